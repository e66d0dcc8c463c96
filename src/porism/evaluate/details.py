"""Everything that ``evaluate`` says of a set besides accuracy, as JSON; undefined figures are None."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from porism.errors import DataError
from porism.evaluate import calibration, contamination, efficiency, quality, robustness, tries
from porism.evaluate.clusters import bootstrap, clustered_mean, totals
from porism.evaluate.statistics import Interval, plain
from porism.graders import Scorer
from porism.records import Attempt

__all__ = ["chain", "details", "repeated", "robust"]

_COVERAGES = (0.25, 0.5, 0.75, 1.0)
_QUANTILES = {"p50": 0.5, "p95": 0.95}


def details(
    attempts: Sequence[Attempt],
    *,
    ks: Sequence[int] = (),
    budgets: Sequence[int] = (),
    confidence: str = "",
    scorer: Scorer | None = None,
) -> dict[str, Any]:
    """Several attempts a problem, efficiency, chain quality, calibration and contamination of one set.

    Args:
        attempts: graded, of one set.
        ks: numbers of attempts for maj@k and its like.
        budgets: numbers of tokens.
        confidence: the tag of an attempt that holds its probability of being right; else the share of votes.
        scorer: a process verifier.

    Raises:
        DataError: ``confidence`` is set and an attempt has no such number.
    """
    return {
        **repeated(attempts, ks),
        "efficiency": _efficiency(attempts, budgets),
        "chain": chain(attempts, scorer),
        "calibration": _calibration(attempts, confidence),
        "contamination": _plain_report(contamination.report(attempts)),
    }


def repeated(attempts: Sequence[Attempt], ks: Sequence[int]) -> dict[str, Any]:
    """pass^k, maj@k, G-Pass@k and self-consistency, where problems have several attempts; empty objects where not."""
    fewest = min(map(len, tries.by_problem(attempts).values()), default=0)
    known = [k for k in ks if 1 < k <= fewest]
    return {
        "pass_all": {str(k): plain(tries.pass_all(attempts, k)) for k in known},
        "maj_at": {str(k): plain(tries.maj_at(attempts, k)) for k in known},
        "g_pass_at": {
            str(k): {
                **{str(share): plain(tries.g_pass_at(attempts, k, share)) for share in tries.THRESHOLDS},
                "mean": plain(tries.g_pass_at(attempts, k, None)),
            }
            for k in known
        },
        "consistency": {
            "agreement": plain(tries.agreement(attempts)),
            "entropy": plain(tries.entropy(attempts)),
        }
        if fewest > 1
        else {},
    }


def _efficiency(attempts: Sequence[Attempt], budgets: Sequence[int]) -> dict[str, Any]:
    return {
        "tokens_per_answer": plain(efficiency.tokens_per_answer(attempts)),
        "tokens_per_correct": plain(efficiency.tokens_per_correct(attempts)),
        "truncated": plain(efficiency.truncated(attempts)),
        "accuracy_within": {str(most): plain(efficiency.accuracy_within(attempts, most)) for most in budgets},
        "seconds": {name: plain(efficiency.latency(attempts, share)) for name, share in _QUANTILES.items()},
    }


def chain(attempts: Sequence[Attempt], scorer: Scorer | None = None) -> dict[str, Any]:
    """Chain quality: problems are the independent units of the intervals.

    Args:
        attempts: graded.
        scorer: a process verifier, whose first error is told; with ``meta.first_error`` in the attempts, its F1 too.
    """
    problems = [one.problem.id for one in attempts]
    found = [quality.calculations(one.text) for one in attempts]
    checked = [[sum(each.right for each in some), len(some)] for some in found]
    steps = [quality.step_counts(one.text) for one in attempts]
    ends = [
        quality.ends_in(some, one.verdict.answer if one.verdict else None)
        for one, some in zip(attempts, found, strict=True)
    ]
    return {
        "calculations": sum(count for _, count in checked),
        "calculations_right": plain(_ratio(checked, problems)),
        "last_step_is_answer": plain(_known_mean(ends, problems)),
        "repetition": plain(_known_mean([quality.repetition(one.text) for one in attempts], problems)),
        "steps": {
            by: plain(clustered_mean([float(count[by]) for count in steps], problems))
            for by in (steps[0] if steps else ())
        },
        **(_verified(attempts, scorer, problems) if scorer else {}),
    }


def _ratio(rows: Sequence[Sequence[float]], clusters: Sequence[str]) -> Interval:
    """The first quantity's sum over the second's, with the bootstrap's interval; NaN where the second is none."""
    kept = [(row, cluster) for row, cluster in zip(rows, clusters, strict=True) if row[1]]
    if not kept:
        return Interval(math.nan, math.nan, math.nan)
    sums = totals([row for row, _ in kept], [cluster for _, cluster in kept])
    return bootstrap(sums, lambda total: total[:, 0] / total[:, 1])


def _known_mean(values: Iterable[float], clusters: Sequence[str]) -> Interval:
    """The mean of those values that are defined."""
    kept = [(value, cluster) for value, cluster in zip(values, clusters, strict=True) if not math.isnan(value)]
    return clustered_mean([value for value, _ in kept], [cluster for _, cluster in kept])


def _verified(attempts: Sequence[Attempt], scorer: Scorer, problems: Sequence[str]) -> dict[str, Any]:
    """What a process verifier says of the steps.

    Raises:
        DataError: it judges whole answers only.
    """
    if not scorer.steps_by:
        raise DataError(
            f"{scorer.loaded.path}: expected a process verifier, which judges steps, got one of whole answers. "
            "Train one on labelled steps with 'porism train verifier', or leave out scorer."
        )
    scored = scorer.scored([(one.messages, one.text) for one in attempts])
    kept = [(at, quality.first_error(one.steps)) for at, one in enumerate(scored) if one.steps]
    known = [(place, attempts[at].meta["first_error"]) for at, place in kept if _is_place(attempts[at])]
    return {
        "verified": {
            "attempts": len(kept),
            "no_error_found": plain(
                clustered_mean([float(one < 0) for _, one in kept], [problems[at] for at, _ in kept])
            ),
            "first_error": {
                str(place): sum(one == place for _, one in kept) for place in sorted({one for _, one in kept})
            },
            "process_f1": plain(quality.process_f1([one for one, _ in known], [true for _, true in known])),
        }
    }


def _is_place(attempt: Attempt) -> bool:
    return isinstance(attempt.meta.get("first_error"), int)


def _calibration(attempts: Sequence[Attempt], confidence: str) -> dict[str, Any]:
    """Calibration of the tagged confidence, or of the share of votes where there are several attempts a problem."""
    said = _tagged(attempts, confidence) if confidence else _voted(attempts)
    if not said:
        return {}
    sure, right, problems = [one for one, _, _ in said], [true for _, true, _ in said], [name for _, _, name in said]
    return {
        "confidence": confidence or "share of votes",
        "brier": plain(calibration.brier(sure, right, problems)),
        "expected_error": plain(calibration.expected_error(sure, right, problems)),
        "area_under_risk": plain(calibration.area_under_risk(sure, right, problems)),
        "risk_at_coverage": {f"{share:g}": _none(calibration.risk_at(sure, right, share)) for share in _COVERAGES},
        "bins": [{**one._asdict(), "accuracy": plain(one.accuracy)} for one in calibration.reliability(sure, right)],
    }


def _tagged(attempts: Sequence[Attempt], tag: str) -> list[tuple[float, bool, str]]:
    found = []
    for one in attempts:
        value: Any = {"meta": one.meta, "detail": one.verdict.detail if one.verdict else {}, **one.meta}
        for part in tag.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise DataError(
                f"the attempt {one.id} has no probability under {tag!r}: expected a number from 0 to 1, got "
                f"{value!r:.40}. Set confidence to such a tag, as detail.probability for a verifier's verdicts."
            )
        found.append((float(value), tries.is_right(one), one.problem.id))
    return found


def _voted(attempts: Sequence[Attempt]) -> list[tuple[float, bool, str]]:
    """The most frequent answer to each problem: its share of the votes, and whether it is right."""
    found = []
    for name, tried in tries.by_problem(attempts).items():
        numbers = tries.answer_classes(tried) if len(tried) > 1 else None
        if numbers is None:
            return []
        stated = [one for one in numbers if one >= 0]
        if stated:
            best = max(dict.fromkeys(stated), key=stated.count)
            found.append((stated.count(best) / len(tried), tries.is_right(tried[numbers.index(best)]), name))
    return found


def robust(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Drops under changes and the spread over instances of templates, of all sets together; empty without any."""
    found: dict[str, Any] = {}
    dropped = robustness.drops(attempts)
    if dropped:
        found["changes"] = {name: _plain_report(one) for name, one in dropped.items()}
    sets: dict[str, list[Attempt]] = {}
    for one in attempts:
        sets.setdefault(one.problem.set, []).append(one)
    spreads = {name: told for name, some in sets.items() if (told := robustness.spread(some))}
    if spreads:
        found["templates"] = {name: _plain_report(one) for name, one in spreads.items()}
    return found


def _plain_report(found: Any) -> dict[str, Any] | None:
    """A NamedTuple of figures as JSON."""
    if found is None:
        return None
    return {
        name: plain(value) if isinstance(value, Interval) else _none(value) for name, value in found._asdict().items()
    }


def _none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
