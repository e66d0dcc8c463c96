"""What a model wrote in the user's turn → an instruction, or the reason why it is none.

First what does not belong to the instruction is taken away: marks of the template, numbering and labels such as
"Question 3:", quotation marks around all of it, and a solution that the model went on with. Then come the checks, each
with its reason. A generation is not ended at a newline, which cuts instructions in two, nor at the plain word
"assistant", which stands in real questions.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal, NamedTuple

from porism.problems._language import UNKNOWN, language_of
from porism.synth._domains import Domain

__all__ = ["Cleaned", "Rules", "clean"]


class Rules(NamedTuple):
    """What an instruction must be."""

    leaked: Literal["cut", "drop"] = "cut"
    """What becomes of an instruction that is followed by its solution."""
    shortest: int = 20
    longest: int = 1000
    """Characters."""
    language: str = "en"
    """ISO 639-1 code; empty for any."""
    on_domain: bool = False
    """Whether one of the domain's words must stand in it."""
    with_data: bool = False
    """Whether a number or a formula must stand in it."""


class Cleaned(NamedTuple):
    """An instruction."""

    text: str
    reason: str = ""
    """Why it is dropped; empty if it is kept."""
    changes: tuple[str, ...] = ()
    """What was taken away."""


_MARKS = re.compile(
    r"<\|[^\s<>|]{0,40}\|>|<\|(?:im_|end|eot|start|begin|system|user|assistant|\s*$)[a-z_]{0,30}\|?"
    r"|<｜[^<>\n]{0,40}｜?>?|</?s>|<(?:bos|eos|pad|unk)>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|</?think>"
)
"""The second kind is a mark without its end; ``|x|<|y|`` is none."""
_OWN_ROLE = re.compile(r"^\W{0,4}(?:user|human|student)\b\W{0,3}(?:[:\n])\s*", re.IGNORECASE)
_OTHER_ROLE = re.compile(
    r"^[ \t#*>_]{0,6}(?:assistant|user|human|system|ai assistant|chatbot|bot|tutor|teacher)[ \t*_]{0,4}(?::|$)",
    re.IGNORECASE | re.MULTILINE,
)
_NO_LABEL = (
    "solve|answer|find|prove|show|write|create|design|give|explain|describe|discuss|generate|provide|make|consider|read|"
    "formulate|pose|evaluate|compute|calculate|determine|analy[sz]e|complete|simplify|what|which|how|why|is|are|do|can"
)
_LABEL = re.compile(
    r"^[\s>*#_`-]*(?:"
    rf"(?!(?:{_NO_LABEL})\b)(?:[a-z]+[ \t]+){{0,2}}(?:task|prompt|question|problem|exercise|challenge|query|request|"
    r"instructions?|scenario|example|statement|q)[ \t]*(?:#?[ \t]?\d{1,3})?[ \t]*(?:\*\*)?[ \t]*"
    r"(?::|\.|\)|-|\n)[ \t]*(?:\*\*)?"
    r"|\(?\d{1,3}[.)](?=\s)|\(?[a-z]\)(?=\s)"
    r")\s*",
    re.IGNORECASE,
)
_SOLUTION = re.compile(
    r"^[ \t>*#_`]*(?:the[ \t]+)?(?:final[ \t]+|correct[ \t]+|sample[ \t]+|step[- ]by[- ]step[ \t]+)?"
    r"(?:answers?|solutions?|ans|solution approach|approach|explanation|reasoning)\b[ \t*_]*(?:[:：]|\n|is\b|to\b)"
    r"|^[ \t>*#_`]*step[ \t]*(?:1|one)\b"
    r"|^[ \t]*a[ \t]*:[ \t]*$"
    r"|(?<=[.?!$)])[ \t]+\(?(?:answers?|solution|ans)[ \t]*[:：]"
    r"|^[ \t]*(?:sure[,!]|certainly[,!]|of course[,!]|okay[,!]|great question)"
    r"|^[ \t]*here(?:'s| is| are) (?:the|a|an|how|one)\b",
    re.IGNORECASE | re.MULTILINE,
)
_SOLVES = re.compile(
    r"^[ \t]*(?:to (?:solve|find|answer|determine|calculate|compute|prove|evaluate|simplify)\b|let's|let us|"
    r"we (?:can|need|have|know|are)\b|first(?:ly)?,|the (?:first|answer|solution)|you can|using the|by using|since\b|"
    r"therefore|thus\b|yes\b|no,|this (?:is|problem|question|can)\b|i(?:'ll| will| can)\b)",
    re.IGNORECASE | re.MULTILINE,
)
"""Lines that go on with a solution where a question stands before them."""
_ANSWERS = re.compile(
    r"^\W*(?:sure\b|certainly\b|of course\b|here(?:'s| is| are)\b|as an ai\b|"
    r"i(?:'m| am) (?:sorry|happy|glad|an ai|here|unable)|i(?:'d| would) be happy|i can(?:'t|not)? (?:help|assist)|"
    r"hello\b|hi\b[,! ]|welcome\b|thank(?:s| you)\b|"
    r"to (?:solve|find|answer|determine|calculate|compute)\b[^.?!]*,? "
    r"(?:we|you (?:can|need|should|will|have)|follow|use)\b|"
    r"let's (?:solve|break|start|find|begin)|the (?:answer|solution) (?:is|to)\b|step \d|yes\b|no,|great\b|"
    r"in this (?:problem|question|exercise|example)|this (?:is|problem|question)\b|therefore\b|"
    r"we (?:can|need to)\b|we have\b(?![^?]*\?))",
    re.IGNORECASE,
)
_ORDERS = (
    "find|solve|prove|show|compute|calculate|determine|evaluate|simplify|factor|factori[sz]e|expand|express|derive|"
    "differentiate|integrate|graph|sketch|draw|plot|write|implement|create|design|develop|build|construct|explain|"
    "describe|"
    "define|give|list|name|state|verify|check|test|estimate|approximate|convert|compare|classify|identify|count|choose|"
    "select|use|apply|consider|complete|fill|generate|provide|discuss|analy[sz]e|suppose|decide|tell|help|make|print|return|"
    "sort|reverse|multiply|divide|add|subtract|round|rewrite|translate|summari[sz]e|predict|interpret|optimi[sz]e|"
    "minimi[sz]e|maximi[sz]e|arrange|rank|deduce|argue|justify|demonstrate|produce|investigate|outline|"
    "work out|figure out|know"
)
_ASKS = re.compile(
    rf"\?|(?:^|[.!:;,\n]\s*|\b(?:and|then|please|to|must|should|can you)\s+)(?:{_ORDERS})\b"
    r"|(?:^|[.!:;]\s+|\n)(?:what|how many|how much|how long|how far|how large|how old|in how many|which|at what)\b"
    r"|,\s+(?:what|how many|how much|how long|how far|how large)\b",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"\[(?:insert|your|name|enter|add|topic|equation|number|problem|question|the)\b[^\]]*\]|<(?:insert|your)\b[^>]*>"
    r"|\{\{\s*[#/]?[a-z_]{3}[\w. ]*\}\}|lorem ipsum",
    re.IGNORECASE,
)
"""``{{ name }}`` is one; in formulas braces that stand in one another are common."""
_YOU_ARE = re.compile(r"^\W*you are (?:an?|the)\b[^.]*\b(?:assistant|ai|chatbot|tutor|expert|model)\b", re.IGNORECASE)
_TELLS_OF_USER = re.compile(
    r"\bthe user (?:asks|also|wants|is|may|might|can|has|will|needs|gives|just)\b", re.IGNORECASE
)
_HANGS = re.compile(
    r"(?:[,(\[{=+*/^\\]|\b(?:and|or|the|a|an|of|to|with|that|is|are|if|by|for|in|at|from))$", re.IGNORECASE
)
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_DATA = re.compile(
    r"\d|\\[a-z]+|\b[a-z]\s?(?:[=^<>≤≥+*/]|-\s?[a-z\d])|\w\([a-z]\)"
    r"|\b(?:zero|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|fifty|hundred|thousand"
    r"|half|third|quarter|twice|double|triple|dozen)\b",
    re.IGNORECASE,
)
"""A number, as digits or as a word, or a formula."""
_COPIED = 0.5
_GRAM = 4


def clean(text: str, *, whole: bool, domain: Domain, rules: Rules) -> Cleaned:
    """Make an instruction of a text, or say why it is none.

    Args:
        text: what the model wrote.
        whole: whether it came to an end, instead of being cut off by the token limit.
        domain: what it is to be about, and what the model was given to say so.
        rules: what it must be.
    """
    found, changes = _stripped(text)
    if "solution" in changes and rules.leaked == "drop":
        return Cleaned(found, "leaked solution", changes)
    if not found:
        leaked = "solution" in changes or "turn" in changes
        return Cleaned(text.strip(), "leaked solution: no question before it" if leaked else "template junk", changes)
    whole = whole or "solution" in changes or "turn" in changes
    return Cleaned(found, _complaint(found, whole, domain, rules), changes)


def _stripped(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without what does not belong to an instruction, and the names of what was taken away."""
    changes: list[str] = []

    def cut(found: re.Match[str] | None, what: str, least: int = 0) -> None:
        nonlocal text
        if found and found.start() >= least:
            text = text[: found.start()].strip()
            changes.append(what)

    text = text.strip()
    leading = _MARKS.match(text)
    while leading:
        text = text[leading.end() :].lstrip()
        leading = _MARKS.match(text)
    cut(_MARKS.search(text), "marks")
    role = _OWN_ROLE.match(text)
    if role:
        text = text[role.end() :]
        changes.append("role")
    cut(_OTHER_ROLE.search(text), "turn")
    for _ in range(3):
        label = _LABEL.match(text)
        if label:
            text = text[label.end() :].strip()
            changes.append("label")
    cut(_SOLUTION.search(text), "solution")
    asked = _ASKS.search(text)
    if asked:
        cut(_SOLVES.search(text, asked.end()), "solution", 1)
    for left, right in (('"', '"'), ("“", "”"), ("**", "**"), ("'", "'")):
        inside = text[len(left) : len(text) - len(right)]
        if text.startswith(left) and text.endswith(right) and inside and left not in inside:
            text = inside.strip()
            changes.append("quotes")
    return text.strip(), tuple(dict.fromkeys(changes))


def _complaint(text: str, whole: bool, domain: Domain, rules: Rules) -> str:
    """Why a text is no instruction; empty if it is one."""
    return _unfinished(text, whole) or _debris(text, domain, rules) or _elsewhere(text, domain, rules)


def _unfinished(text: str, whole: bool) -> str:
    """Why it is not the whole of one."""
    if not whole:
        return "truncated"
    if text.endswith((":", "：")):
        return "ends in a colon"
    return "truncated: its end hangs" if _is_cut(text) else ""


def _debris(text: str, domain: Domain, rules: Rules) -> str:
    """Why it is something else: too little, too much, junk, a copy, an answer."""
    if len(text) < rules.shortest:
        return f"too short: {len(text)} characters"
    if len(text) > rules.longest:
        return f"too long: {len(text)} characters"
    junk = _junk(text)
    if junk:
        return f"template junk: {junk}"
    if _YOU_ARE.match(text) or _is_copied(text, domain):
        return "copies the system message"
    if _TELLS_OF_USER.search(text):
        return "not a question: it tells of a user"
    if _ANSWERS.match(text):
        return "not a question: it answers one"
    return "" if _ASKS.search(text) else "not a question: it asks for nothing"


def _elsewhere(text: str, domain: Domain, rules: Rules) -> str:
    """Why it is not what was asked for: another language, another domain, nothing to compute with."""
    if rules.language:
        spoken = language_of(text)
        if spoken not in (UNKNOWN, rules.language):
            return f"wrong language: {spoken}"
    if rules.on_domain and domain.words and not _mentions(text, domain.words):
        return "off the domain: none of its words"
    return "nothing given: no number and no formula" if rules.with_data and not _DATA.search(text) else ""


def _is_cut(text: str) -> bool:
    """Whether the end hangs in the air: an open formula, bracket or environment, or a word that wants another."""
    if text.count("$") % 2 and not re.search(r"\$\d", text):  # a price has one sign
        return True
    if text.count(r"\begin{") != text.count(r"\end{") or text.count("```") % 2:
        return True
    return bool(_HANGS.search(text))


def _junk(text: str) -> str:
    """What shows that a text is debris: placeholders, broken characters, repetition, hardly any words."""
    if _PLACEHOLDER.search(text):
        return "a placeholder"
    if "\ufffd" in text:
        return "broken characters"
    letters = sum(character.isalnum() or character.isspace() for character in text)
    if letters < len(text) / 2:
        return "hardly any words"
    words = _WORD.findall(text.casefold())
    grams = Counter(tuple(words[at : at + 8]) for at in range(len(words) - 7))
    if any(count >= 3 for count in grams.values()):
        return "it repeats itself"
    return ""


def _is_copied(text: str, domain: Domain) -> bool:
    """Whether it repeats the system message, or one of the questions and answers that were shown.

    One with other numbers than a shown question is another question, though the words are the same.
    """
    if _shared(text, domain.system) >= _COPIED:
        return True
    numbers = _NUMBER.findall(text)
    told = (one for pair in domain.shown for one in pair)
    return any(_NUMBER.findall(one) == numbers and _shared(text, one) >= _COPIED for one in told)


def _shared(text: str, given: str) -> float:
    """The share of the text's runs of four words that stand in what the model was given too."""
    ours, theirs = (_WORD.findall(part.casefold()) for part in (text, given))
    runs = [tuple(ours[at : at + _GRAM]) for at in range(len(ours) - _GRAM + 1)]
    known = {tuple(theirs[at : at + _GRAM]) for at in range(len(theirs) - _GRAM + 1)}
    return sum(run in known for run in runs) / len(runs) if runs else 0.0


def _mentions(text: str, words: list[str]) -> bool:
    """Whether one of the words begins in the text; one of one or two letters must stand alone."""
    ends = ((rf"(?<!\w){re.escape(word)}", r"(?!\w)" if len(word) < 3 else "") for word in words)
    return re.search("|".join(begin + end for begin, end in ends), text, re.IGNORECASE) is not None
