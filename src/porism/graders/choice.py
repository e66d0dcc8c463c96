"""Multiple choice: the answer is an option's letter. Read from what the text states, or by the option's own words.

Options are read from the question (``A) 5``, ``(B) 6``, ``C. 7``, one a line or in one line). "The answer is (C)",
"故选C" and a boxed C name the letter; "the answer is 7" is taken for C if one option says that, and it alone.
"""

from __future__ import annotations

import re

from porism.graders._answers import compare
from porism.graders._extract import profile_of, read, unstated
from porism.records import Attempt, Problem, Status, Verdict

__all__ = ["grade", "options"]

_LETTERS = "A-J"
_FULL_WIDTH = {0xFEE0 + code: code for code in range(0x21, 0x7F)}
_GOLD = re.compile(rf"\W*(?:\\text\s?\{{)?\W*([{_LETTERS}])(?:\W*|\W.*)", re.IGNORECASE | re.DOTALL)
_LINE = re.compile(rf"^[ \t]*[*_]{{0,2}}\(?([{_LETTERS}])[).:、．][*_]{{0,2}}[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_MARK = re.compile(rf"(?<!\w)\(([{_LETTERS}])\)")
_BARE_MARK = re.compile(rf"(?:^|(?<=[\s,;:]))([{_LETTERS}])[).]\s*")
_NAMED = re.compile(
    rf"(?<=\()(?P<small>[a-j])(?=\))|(?<![A-Za-z\\'’])(?:\(|\\text\s?\{{\(?|\\textbf\s?\{{\(?|\\mathrm\s?\{{\(?)?(?P<letter>[{_LETTERS}])"
    r"(?:\)|\}|\.(?!\d)|:|、|．|(?![A-Za-z'’]))"
)
_LEADING = re.compile(
    rf"[*_(\s]*(?:(?:option|choice)\s+)?\(?([{_LETTERS}])(?:\)|\.(?!\d)|:)(?!\s*(?:or|and|,|/)\s*\(?[{_LETTERS}]\b)",
    re.IGNORECASE,
)
_ALIKE = re.compile(r"\s*(?:,?\s*(?:or|and)|,|/)\s*(?:(?:option|choice)\s+)?", re.IGNORECASE)
_REFUSED_BEFORE = re.compile(
    r"(?:\b(?:not|cannot|neither|nor|eliminates?|except|but|rules? out)|n['’]t)\s*(?:be\s*)?(?:option|choice)?\s*\Z"
    r"|(?:不是|不选)\s*\Z",
    re.IGNORECASE,
)
_REFUSED_AFTER = re.compile(
    rf"[\s)*\]]*(?:(?:and|or|,|nor)\s*(?:option|choice)?\s*\(?[{_LETTERS}]\)?\s*)*"
    r"(?:(?:is|are|was|were|can be|seems?)\s+(?:both\s+|all\s+|also\s+)?(?:not|wrong|incorrect|false|invalid"
    r"|impossible|ruled out|eliminated|too\s(?:small|large|big|low|high))\b"
    r"|(?:is|are|was|were)n['’]t\b|错|不对|不正确|は間違|は誤)",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"[AI]\s+(?!(?:or|and|is|are|but)\b)[a-z]")
_ALONE = re.compile(rf"\W*(?:option|choice|answer|选项|選択肢)?\W*([{_LETTERS}])\W*", re.IGNORECASE)


def grade(problem: Problem, attempt: Attempt, *, profile: str = "auto") -> Verdict:
    """Judge a text whose answer is one of the options.

    Raises:
        RecipeError: no such profile.
    """
    known = profile_of(profile)
    gold = _GOLD.fullmatch(problem.answer.strip())
    if gold is None:
        return Verdict(
            status=Status.GOLD_UNPARSED, reason=f"the reference answer names no option: {problem.answer[:60]!r}"
        )
    wanted = gold[1].upper()
    offered = options(problem.question)
    if offered and wanted not in offered:
        return Verdict(status=Status.GOLD_UNPARSED, reason=f"the question has no option {wanted}")
    reading = read(attempt.text.translate(_FULL_WIDTH), known)
    if reading is None:
        return unstated(known)
    choose = _last_named if reading.rule == "last" else _chosen
    chosen = choose(reading.statement, offered)
    if chosen is None:
        rule = "" if reading.rule == "last" else reading.rule
        return Verdict(status=Status.UNPARSED, rule=rule, reason="no option, or more than one, where the answer stands")
    if offered and chosen not in offered:
        return Verdict(
            status=Status.WRONG, answer=chosen, rule=reading.rule, reason=f"the question has no option {chosen}"
        )
    return Verdict(status=Status.CORRECT if chosen == wanted else Status.WRONG, answer=chosen, rule=reading.rule)


def options(question: str) -> dict[str, str]:
    """The options of a question, letter → words; empty where they cannot be told. Letters must go A, B, C in order."""
    inline = [pattern.split(question) for pattern in (_MARK, _BARE_MARK)]
    for found in (_LINE.findall(question), *(list(zip(parts[1::2], parts[2::2], strict=True)) for parts in inline)):
        first = max((at for at, (letter, _) in enumerate(found) if letter == "A"), default=len(found))
        run = found[first:]
        if len(run) > 1 and [letter for letter, _ in run] == [chr(ord("A") + place) for place in range(len(run))]:
            return {letter: words.strip(" ,;\n") for letter, words in run}
    return {}


def _chosen(statement: str, offered: dict[str, str]) -> str | None:
    """The option that a statement names, by its letter or by its words."""
    statement = statement.strip()
    alone = _ALONE.fullmatch(statement)
    if alone:
        return alone[1].upper()
    leading = _LEADING.match(statement)
    if leading:
        return leading[1].upper()
    same = [letter for letter, words in offered.items() if _says(words, statement)]
    if len(same) == 1:
        return same[0]
    letters = list(dict.fromkeys(_named(statement, offered)))
    return letters[0] if len(letters) == 1 else None


def _says(words: str, statement: str) -> bool:
    if words.casefold().strip(" .") == statement.casefold().strip(" .$"):
        return True
    return bool(re.search(r"\d", words)) and len(statement) < 60 and compare(words, statement, symbolic=False).correct


def _last_named(text: str, offered: dict[str, str]) -> str | None:
    """The last option that is named and not turned down; the whole text may also be an option's words."""
    same = [letter for letter, words in offered.items() if _says(words, text.strip())]
    if len(same) == 1:
        return same[0]
    named = [match for match in _letters(text, offered) if not _is_refused(text, match)]
    if not named or (len(named) > 1 and _ALIKE.fullmatch(text, named[-2].end(), named[-1].start())):
        return None  # "A or B"
    return _letter(named[-1])


def _letter(match: re.Match[str]) -> str:
    return str(match["letter"] or match["small"]).upper()


def _is_refused(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - 24) : match.start()]
    return bool(_REFUSED_BEFORE.search(before) or _REFUSED_AFTER.match(text, match.end()))


def _named(text: str, offered: dict[str, str]) -> list[str]:
    return [_letter(match) for match in _letters(text, offered)]


def _letters(text: str, offered: dict[str, str]) -> list[re.Match[str]]:
    """The letters that stand for options; an article ("A car") and words are none."""
    found = []
    for match in _NAMED.finditer(text):
        letter = _letter(match)
        bare = match[0] == letter
        if bare and _ARTICLE.match(text, match.start()):
            continue
        if not offered or letter in offered:
            found.append(match)
    return found
