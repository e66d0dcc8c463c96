"""Two sets of attempts at the same problems: what changed, and could it be chance?

The figures are in ``comparison.json``. The gain is taken apart into two sums that add up to it: problems whose answer
could not be read before or after (format), and problems with a readable answer both times (reasoning).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from porism import console, recipe, store
from porism.errors import DataError
from porism.evaluate import Clusters, accuracy, cluster_of, load, measure
from porism.evaluate.clusters import paired_bootstrap, paired_mean
from porism.evaluate.many import benjamini_hochberg, holm
from porism.evaluate.power import Design, detectable
from porism.evaluate.statistics import mcnemar, paired_difference, plain
from porism.evaluate.tries import is_right
from porism.records import JUDGED, Attempt

__all__ = ["Settings", "compare", "inputs", "run", "settings"]


_LEVEL = 0.05


class Settings(recipe.Settings):
    """Settings of ``porism compare``."""

    reads = (Attempt,)
    makes = ()

    before: Annotated[str, Field(description="graded attempts: a file or a stage folder")]
    after: Annotated[str, Field(description="graded attempts at the same problems")]
    clusters: Annotated[
        Clusters, Field(description="what is independent: each problem, each group, or each original of changed ones")
    ] = "problem"
    examples: Annotated[int, Field(description="changed answers of each kind to show for each set", ge=0)] = 5


def settings(part: str, values: Mapping[str, Any]) -> type[Settings]:
    """The settings; there are no parts."""
    del part, values
    return Settings


def inputs(part: str, settings: Settings) -> dict[str, str]:
    """Hashes of the attempts."""
    del part
    return store.hashes([store.locate(settings.before), store.locate(settings.after)])


def run(part: str, settings: Settings, out: store.Output) -> None:
    """Write ``comparison.json``.

    Raises:
        DataError: the two files are not attempts at the same problems, one each.
    """
    del part
    before, after = _by_problem(settings.before), _by_problem(settings.after)
    if before.keys() != after.keys():
        missing = len(before.keys() ^ after.keys())
        raise DataError(
            f"{settings.before} and {settings.after} are not attempts at the same problems: "
            f"{missing} stand in one only. Solve the same input twice."
        )
    ways = [sorted({_way(attempt) for attempt in side.values()}) for side in (before, after)]
    if ways[0] != ways[1]:
        console.notice(
            f"Graded differently: {settings.before} by {', '.join(ways[0])}, {settings.after} by {', '.join(ways[1])}. "
            "A part of the difference may be the grading's; 'porism grade' scores both alike."
        )
    sets: dict[str, list[tuple[Attempt, Attempt]]] = defaultdict(list)
    for key, attempt in before.items():
        sets[attempt.problem.set].append((attempt, after[key]))
    target = out.beside("comparison.json")
    found = {name: compare(pairs, settings.examples, settings.clusters) for name, pairs in sets.items()}
    _adjust(found)
    _warn(found)
    store.write_json(target, found)
    out.counts["pairs"] = len(before)
    out.add(target)


def _way(attempt: Attempt) -> str:
    """How an attempt was graded."""
    verdict = attempt.verdict
    return f"{verdict.grader} {verdict.profile}" if verdict else "nothing"


def compare(
    pairs: Sequence[tuple[Attempt, Attempt]], examples: int = 5, clusters: Clusters = "problem"
) -> dict[str, Any]:
    """What changed between two attempts at each of some problems.

    Args:
        pairs: the attempt before and the attempt after, graded.
        examples: how many changed answers of each kind to include.
        clusters: what is independent. For anything but ``problem`` the difference's interval is from the clustered
            standard error, and McNemar's p, which would be too small, is not given.

    Returns:
        A JSON-able object: both measures, difference with interval, McNemar's p, its two parts, examples.
    """
    moves = Counter((_state(before), _state(after)) for before, after in pairs)
    only_before = sum(count for (was, now), count in moves.items() if was == "correct" != now)
    only_after = sum(count for (was, now), count in moves.items() if now == "correct" != was)
    both = moves["correct", "correct"]
    n = len(pairs)
    names = [cluster_of(before, clusters) for before, _ in pairs]
    alone = clusters == "problem"
    was, now = ([float(is_right(pair[side])) for pair in pairs] for side in (0, 1))
    difference = (
        paired_difference(both, only_before, only_after, n - both - only_before - only_after)
        if alone
        else paired_mean(was, now, names)
    )
    return {
        "problems": n,
        "before": measure([before for before, _ in pairs], clusters=clusters),
        "after": measure([after for _, after in pairs], clusters=clusters),
        "difference": plain(difference),
        "bootstrap": plain(paired_bootstrap(was, now, names)),
        "mcnemar_p": mcnemar(only_before, only_after) if alone else None,
        "detectable": detectable(n, _design(only_before + only_after, n, difference.value)) if alone else None,
        "wrong_to_right": only_after,
        "right_to_wrong": only_before,
        "gain_by_format": (moves["unread", "correct"] - moves["correct", "unread"]) / n,
        "gain_by_reasoning": (moves["wrong", "correct"] - moves["correct", "wrong"]) / n,
        "groups": _groups(pairs),
        "examples": {
            "wrong_to_right": _examples(pairs, to_right=True, most=examples),
            "right_to_wrong": _examples(pairs, to_right=False, most=examples),
        },
    }


def _design(changes: int, n: int, difference: float) -> Design:
    """A comparison of which so many problems changed: their share is the variance, but for the difference itself."""
    share = max(changes, 1) / n
    return Design(accuracy=0.5, correlation=1 - 2 * max(share, difference**2))


def _adjust(found: dict[str, dict[str, Any]]) -> None:
    """Write the p-values that stay honest when several sets are compared at once."""
    known = [item for item in found.values() if item["mcnemar_p"] is not None]
    p_values = [item["mcnemar_p"] for item in known]
    for item, strict, loose in zip(known, holm(p_values), benjamini_hochberg(p_values), strict=True):
        item["p_holm"], item["p_benjamini_hochberg"] = strict, loose


def _warn(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Say which sets are too small for what was found on them."""
    for name, item in found.items():
        least, gain = item["detectable"], item["difference"]["value"]
        if least is not None and item["p_holm"] >= _LEVEL and abs(gain) < least:
            console.notice(
                f"{name}: {item['problems']} problems are too few to claim a difference of {100 * gain:+.1f} points; "
                f"they show one of {100 * least:.0f} points or more in four cases of five. See 'porism eval --power'."
            )


def _by_problem(path: str) -> dict[str, Attempt]:
    found: dict[str, Attempt] = {}
    for attempt in load([path]):
        key = f"{attempt.problem.set} {attempt.problem.id}"
        if key in found:
            raise DataError(
                f"{path}: expected one attempt at each problem, got several at {attempt.problem.id}. "
                "Solve with samples=1, and remove problems that stand twice ('curate: dedup')."
            )
        found[key] = attempt
    return found


def _state(attempt: Attempt) -> str:
    """``correct``, ``wrong``, or ``unread`` where no answer could be judged."""
    if attempt.verdict is None or attempt.verdict.status not in JUDGED:
        return "unread"
    return str(attempt.verdict.status)


def _groups(pairs: Sequence[tuple[Attempt, Attempt]]) -> dict[str, Any]:
    groups: dict[str, list[tuple[Attempt, Attempt]]] = defaultdict(list)
    for pair in pairs:
        groups[pair[0].problem.group].append(pair)
    return {
        name: {
            "problems": len(chosen),
            "before": plain(accuracy([before for before, _ in chosen])),
            "after": plain(accuracy([after for _, after in chosen])),
        }
        for name, chosen in sorted(groups.items())
    }


def _examples(pairs: Sequence[tuple[Attempt, Attempt]], *, to_right: bool, most: int) -> list[dict[str, Any]]:
    """Changed answers, spread over the groups."""
    seen: Counter[str] = Counter()
    changed = [
        pair
        for pair in pairs
        if (_state(pair[1]) == "correct") is to_right and (_state(pair[0]) == "correct") is not to_right
    ]
    ranked: list[tuple[int, int, tuple[Attempt, Attempt]]] = []
    for pair in changed:
        ranked.append((seen[pair[0].problem.group], len(ranked), pair))
        seen[pair[0].problem.group] += 1
    chosen = [pair for _, _, pair in sorted(ranked, key=lambda item: item[:2])[:most]]
    return [
        {
            "question": before.problem.question,
            "answer": before.problem.answer,
            "group": before.problem.group,
            "before": _shown(before),
            "after": _shown(after),
        }
        for before, after in chosen
    ]


def _shown(attempt: Attempt) -> dict[str, Any]:
    verdict = attempt.verdict
    return {"text": attempt.text, "status": verdict and verdict.status, "read": verdict and verdict.answer}
