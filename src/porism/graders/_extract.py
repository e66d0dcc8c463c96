r"""Which part of a text is its answer: extraction profiles, with names and versions.

============  =======  ==========================================================================================
profile       version  rules, the strongest first
============  =======  ==========================================================================================
auto          2        ``\boxed{}``, ``####``, ``<answer>``, a final-answer phrase; if none stands, the last of the kind
boxed         1        ``\boxed{}`` alone
last          1        the last number, formula, option or yes/no of the text
strict        3        lm-eval ``gsm8k`` (version 3), ``strict-match``: first ``#### (\-?[0-9\.\,]+)``, as text
strict_cot    3        lm-eval ``gsm8k_cot`` (3), ``strict-match``: first ``The answer is (\-?[0-9\.\,]+).``, as text
strict_llama  4        lm-eval ``gsm8k_cot_llama`` (4), ``strict-match``: last "The final answer is" number, as text
flexible      3        lm-eval's ``flexible-extract``: last ``(-?[$0-9.,]{2,})|(-?[0-9]+)``, compared as text
minerva       3        lm-eval ``minerva_math`` (3.1), ``exact_match``: "The final answer is …", spelt plainly
============  =======  ==========================================================================================

A version changes whenever the same text could be read otherwise than before, and stands in every verdict (``auto@2``).
Only the response is read: what stands between think tags is no answer.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from porism import chains
from porism.errors import RecipeError, nearest
from porism.graders import _minerva
from porism.prompts import profiles as tasks
from porism.records import Problem, Status, Verdict

__all__ = ["PROFILES", "Profile", "Reading", "as_lm_eval", "profile_of", "read", "unstated"]


class Profile(NamedTuple):
    """A named set of extraction rules."""

    name: str
    version: int
    rules: tuple[str, ...] = ()
    """Statements that it accepts, the strongest first; ``last`` where none is needed."""
    pattern: re.Pattern[str] | None = None
    """The whole rule, for those that copy lm-eval."""
    which: int = 0
    """Which match of the pattern counts."""
    ignored: tuple[re.Pattern[str], ...] = ()
    """What its comparison of texts takes out."""
    normalised: bool = False
    """Compared as Minerva's evaluation does it: by a plain spelling, else as mathematics."""

    @property
    def label(self) -> str:
        """Name and version, as verdicts carry them."""
        return f"{self.name}@{self.version}"


_SYMBOLIC = "symbolic"
"""In a profile of another harness: read as ``auto`` does, and compared as mathematics."""
_IGNORED = tuple(map(re.compile, (r",", r"\$", r"(?s).*#### ", r"\.$")))
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
PROFILES = {
    profile.name: profile
    for profile in (
        Profile("auto", 2, ("boxed", "hash", "tag", "phrase", "last")),
        Profile("boxed", 1, ("boxed",)),
        Profile("last", 1, ("last",)),
        Profile("strict", 3, pattern=re.compile(r"#### (\-?[0-9\.\,]+)"), ignored=_IGNORED),
        Profile("strict_cot", 3, pattern=re.compile(r"The answer is (\-?[0-9\.\,]+)."), ignored=_IGNORED),
        Profile(
            "strict_llama",
            4,
            pattern=re.compile(r"The final answer is ((-?[$0-9.,]{2,})|(-?[0-9]+))"),
            which=-1,
            ignored=_IGNORED,
        ),
        Profile("flexible", 3, pattern=_FLEXIBLE, which=-1, ignored=_IGNORED),
        Profile("minerva", 3, pattern=_minerva.ANSWER, normalised=True),
    )
}


def profile_of(name: str) -> Profile:
    """The profile of that name; ``-`` and ``_`` are alike. ``lm-eval/gsm8k@3`` means that of its first score.

    Raises:
        RecipeError: there is none.
    """
    if "/" in name:
        name = next(iter(tasks.load(name).scores.values()))
        name = "auto" if name == _SYMBOLIC else name
    known = PROFILES.get(name) or PROFILES.get(name.replace("-", "_"))
    if known is None:
        raise RecipeError(f"no extraction profile {name!r}.{nearest(name, PROFILES)} Known: {', '.join(PROFILES)}.")
    return known


class Reading(NamedTuple):
    """What a profile's rules find in a text."""

    rule: str
    """The rule that fired; ``last`` where no statement stands and the profile allows to go without."""
    statement: str = ""
    """The text of the answer that is stated; for ``last`` the part of the text in which the last one counts."""
    rest: str = ""
    """What follows a phrase's answer on its line."""
    several: bool = False
    """Boxes that are joined by "and", "or" or a comma: a list of answers."""


_JOINER = re.compile(r"\b(?:and|or)\b|[,;、，和或と]|\A\W*\Z", re.IGNORECASE)
_CONJUNCTION = re.compile(r"\b(?:and|or)\b", re.IGNORECASE)
_WORDS = re.compile(r"\b(?!and\b|or\b|quad\b|qquad\b|text\b)[A-Za-z]+\b", re.IGNORECASE)
_REFUSES = re.compile(
    r"(?:\b(?:not|never|instead of|rather than)|n['’]t|不是)\s*(?:(?:equal to|be)\s*)?(?:\\?[$(\[]\s*)*\Z",
    re.IGNORECASE,
)
_CORRECTS = re.compile(
    r"(?<=[.!?。！\n])\s*(?:(?:wait|actually|hmm|hold on|no|correction|oops|sorry)\b[,.:!]?"
    r"|不对|等等|错了|いや|待って|違う)",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"(?:\b(?:is|are|was|be|it['’]s)\s+not|n['’]t|\bnot|\b(?:can['’]?t|cannot)(?:\s+\w+)?\s+be|不是|并非)"
    r"\s*(?:equal to\s*)?[$\\(]*(?:boxed\s?\{)?"
    r"[-−–]?\d[\d.,]*|(?<![\d.,])[-−–]?\d[\d.,]{0,30}\s{0,3}(?:is\s+not\s+the|とは違|ではな|じゃな)",
    re.IGNORECASE,
)
_NOT_A_NUMBER = re.compile(r"n(?:o|['’])t\s+(?:the\b|\w{0,12}\s?be\b|equal|[^A-Za-z]{0,6}(?:\d|\\boxed))")
_REST = 200
_MAX_BOXES = 100
_MAX_GAP = 60
_MAX_WORDS_BETWEEN = 4
_CONCLUDES = re.compile(
    r"\b(?:then|thus|so|hence|therefore|not|gives?|yields?|get|simplif\w+|is|are|final|answer|no|wait|check|actually|hmm|instead|rather|correct\w*)\b",
    re.IGNORECASE,
)


def read(text: str, profile: Profile) -> Reading | None:
    """The strongest statement of an answer, or where to look for the last candidate; None where no rule fires.

    Only the response is read: what stands between think tags is no answer, also where the tags are never closed.
    """
    if chains.is_bare(text):
        return Reading("last", _without_denials(text)) if "last" in profile.rules else None
    chain = chains.read(text)
    statements = chain.statements
    if chain.reasoning is not None:
        statements = tuple(one for one in statements if chain.response.covers(one.span))
    statements = tuple(
        one for one in statements if not _REFUSES.search(text[max(0, one.span.start - 40) : one.span.start])
    )
    for rule in profile.rules:
        if rule == "last":
            return Reading("last", _undenied(text, chain))
        found = [one for one in statements if one.rule == rule]
        if found:
            if rule == "boxed":
                return _joined(text, found)
            answer = found[-1].answer
            corrected = _CORRECTS.search(text, found[-1].span.end)
            if "last" in profile.rules and corrected and re.search(r"\w", text[corrected.end() :]):
                return Reading("last", text[corrected.end() :])
            rest = text[answer.end : answer.end + _REST].partition("\n")[0] if rule == "phrase" else ""
            return Reading(rule, answer.of(text), rest)
    return None


def _joined(text: str, boxes: list[chains.Statement]) -> Reading:
    """The last box, with those before it that make one list with it."""
    outer = boxes[:1]
    for box in boxes[1:]:
        if not outer[-1].answer.covers(box.span):
            outer.append(box)
    parts = [outer[-1]]
    for box in reversed(outer[-_MAX_BOXES:-1]):
        if not _joins(text[box.span.end : parts[0].span.start]):
            break
        parts.insert(0, box)
    if len(parts) == 1:
        return Reading("boxed", parts[0].answer.of(text))
    return Reading("boxed", " , ".join(part.answer.of(text) for part in parts), several=True)


def _joins(gap: str) -> bool:
    if len(gap) > _MAX_GAP or not _JOINER.search(gap) or _CONCLUDES.search(gap):
        return False
    words = len(_WORDS.findall(gap))
    if words and ("\n" in gap or not _CONJUNCTION.search(gap)):
        return False
    return words <= _MAX_WORDS_BETWEEN and "\n\n" not in gap and not re.search(r"[.!?。]\s|[+*/]", gap)


def _undenied(text: str, chain: chains.Chain) -> str:
    """The response, without statements of what the answer is not."""
    start, end = chain.response if chain.reasoning is not None else (0, len(text))
    kept, at = [], start
    for denied in chain.denied:
        if start <= denied.start < end:
            kept.append(text[at : denied.start])
            at = denied.end
    body = " ".join([*kept, text[at:end]]) if kept or (start, end) != (0, len(text)) else text
    return _without_denials(body)


def _without_denials(text: str) -> str:
    """Without numbers that are said not to be meant; most texts have no word that could say so."""
    if ("not" in text or "n't" in text or "n’t" in text) and _NOT_A_NUMBER.search(text):
        return _DENIES.sub(" ", text)
    if not text.isascii() and ("不是" in text or "并非" in text or "とは" in text or "では" in text or "じゃ" in text):
        return _DENIES.sub(" ", text)
    return text


def unstated(profile: Profile) -> Verdict:
    """The verdict on a text in which no rule of the profile fires."""
    return Verdict(status=Status.UNPARSED, reason=f"no statement that the profile {profile.name} accepts")


def as_lm_eval(problem: Problem, text: str, profile: Profile) -> Verdict:
    """Extraction and exact match as lm-eval's GSM8K tasks do them: texts are compared, not values."""
    found = ""
    if profile.pattern is not None:
        matches = profile.pattern.findall(text + _minerva.ENDING if profile.normalised else text)
        if matches:
            match = matches[profile.which]
            found = match if isinstance(match, str) else next((group for group in match if group), "")
    found = found.strip()
    if not found:
        return Verdict(status=Status.UNPARSED, reason=f"lm-eval's expression for {profile.name} matches nothing")
    if profile.normalised:
        same = _same_normalised(problem.answer, found)
    else:
        same = _without(found, profile) == _without(problem.answer, profile)
    return Verdict(status=Status.CORRECT if same else Status.WRONG, answer=found, rule=profile.name)


def _same_normalised(gold: str, found: str) -> bool:
    gold, found = _minerva.normal(gold), _minerva.normal(found)
    if gold == found:
        return True
    from porism.graders.math import judge_text

    return judge_text(gold, rf"\boxed{{{found}}}", profile="boxed").correct


def _without(text: str, profile: Profile) -> str:
    for pattern in profile.ignored:
        text = pattern.sub("", text)
    return text.lower()
