r"""An answer as people and models write it (LaTeX or plain, Unicode or ASCII) → tokens.

Text is cleaned first: dollar signs and display brackets, ``\left`` and ``\right``, spacing commands and fonts go, and
each Unicode sign becomes its LaTeX command, so that the parser has one spelling to read.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

__all__ = ["MAX_LENGTH", "Excessive", "Token", "Unreadable", "clean", "tokens"]

MAX_LENGTH = 2_000
"""Longest answer, in characters, that is read; a longer one is not an answer."""
MAX_SIGNS = 400
"""Most numbers, letters and signs in one answer."""
MAX_DIGITS = 1_000
"""Most digits in one number."""
MAX_NESTING = 40
"""Most brackets open at once."""


class Unreadable(Exception):
    """The text is not an expression that this reader knows; the message says why."""


class Excessive(Unreadable):
    """It is beyond the limits of size: no answer, and not worth anybody's time."""


class Token(NamedTuple):
    """One sign of an expression."""

    kind: str
    """``num``, ``cmd`` (a LaTeX command), ``sym`` (a letter), ``word``, ``text``, ``op`` or ``end``."""
    text: str
    spaced: bool = False
    """White space stands before it."""


_UNICODE = {
    **dict.fromkeys("−–—‒﹣", "-"),
    "×": r"\times ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
    "∙": r"\cdot ",
    "÷": r"\div ",
    "√": r"\sqrt ",
    "π": r"\pi ",
    "∞": r"\infty ",
    "≤": r"\le ",
    "⩽": r"\le ",
    "≥": r"\ge ",
    "⩾": r"\ge ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "∈": r"\in ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∅": r"\emptyset ",
    "±": r"\pm ",
    "°": r"^\circ ",
    "²": "^{2}",
    "³": "^{3}",
    "½": r"\frac{1}{2}",
    "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}",
    "⁄": "/",
    "α": r"\alpha ",
    "β": r"\beta ",
    "γ": r"\gamma ",
    "θ": r"\theta ",
    "λ": r"\lambda ",
    "φ": r"\phi ",
    "ω": r"\omega ",
    "、": ",",
    "，": ",",
    "；": ";",
    "：": ":",
    "％": "%",
    "＝": "=",
    "\u00a0": " ",
    "\u2009": " ",
    "\u202f": " ",
}
_UNICODE_RE = re.compile("[" + "".join(map(re.escape, _UNICODE)) + "]")
_GONE = re.compile(
    r"\\(?:left|right|[bB]ig{1,2}[lrm]?|displaystyle|textstyle|limits|nolimits|boldsymbol|mathop|phantom|hline|rm|bf|it)"
    r"(?![a-zA-Z])\.?|\\label\{[^{}]*\}"
)
_SPACING = re.compile(r"(?<!\\)\\(?:quad|qquad|enspace|thinspace|hspace\{[^{}]*\}|[;:> ])|~")
_FONT = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|sc|normal|up|md)?|mbox|hbox|mathrm|mathsf|mathtt|operatorname)\*?(?![a-zA-Z])\s*(?=\{)"
)
_BARE_FONT = re.compile(r"\\(?:mathbf|mathit|mathcal|mathbb|bm|vec|hat|overrightarrow|tilde|underline)\s*(?=\{)")
_FRACTION = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
_SAME = {r"\leq": r"\le", r"\geq": r"\ge", r"\neq": r"\ne", r"\leqslant": r"\le", r"\geqslant": r"\ge", r"\lt": "<"}
_SAME |= {r"\gt": ">", r"\lbrace": r"\{", r"\rbrace": r"\}", r"\lbrack": "[", r"\rbrack": "]", r"\lparen": "("}
_SAME |= {r"\rparen": ")", r"\varnothing": r"\emptyset", r"\lvert": "|", r"\rvert": "|", r"\vert": "|", r"\mid": "|"}
_SAME |= {r"\ast": r"\cdot", r"\star": r"\cdot", r"\colon": ":", r"\cong": r"\approx", r"\simeq": r"\approx"}
_SAME |= {r"\land": r"\and", r"\wedge": r"\and", r"\lor": r"\or", r"\vee": r"\or", r"\isin": r"\in", r"\doteq": "="}
_SAME |= {r"\arctg": r"\arctan", r"\tg": r"\tan", r"\ctg": r"\cot", r"\textdegree": r"^\circ", r"\degree": r"\circ"}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_REALS = re.compile(r"\\math(?:bb|bf|rm)\s?\{R\}|\\mathbb\s?R(?![a-zA-Z])|ℝ")
_MARKS = re.compile(r"\\(?:blacksquare|square|Box|qed|checkmark|star)(?![a-zA-Z])|[∎■□✓]")
_LEAD = re.compile(r"\A\s*\\text\s?\{[^{}]*\b(?:is|are|be|equals?)\b\s*:?\s*\}|\A\s*\\text\s?\{[^{}\d]*:\s*\}")
_TEXT_NUMBER = re.compile(r"\\text\s?\{\s*(-?\d[\d.,]*)\s*([^{}]*)\}")
_ONE_LINE = re.compile(r"\\begin\{(align(?:ed)?\*?|equation\*?|gather(?:ed)?\*?)\}((?:[^\\]|\\[^\\])*?)\\end\{\1\}")
_MONEY = re.compile(r"\\\$\s?(\d[\d,.]*(?:\\!|\{,\}|[\d,.])*)(?!\s*\\text)")
_CURRENCY = re.compile(r"(?:\b(?:US|AU|CA|HK|NT|NZ))?\\?\$|[€£¥₹]")
_LEADING_SIGN = re.compile(r"\A\s*(?:\\approx|≈|=|~)\s*")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\s?\}|\s?\{\s?,\s?\}\s?|,\\!\s?|,\\,|\\,|\\!)(?=\d{3})")
_ROW_SPACE = re.compile(r"\\\\\s*\[-?[\d.]+\s*[a-z]{2}\]")
_SPACED_NUMBER = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
_RUN_TOGETHER = re.compile(r"(?<=[\d)])(?:or|and)(?=[A-Z(\d\\])")
_DOUBLED = re.compile(r"\\\\(?=[a-zA-Z{}])")
_LAST_FULL_STOP = re.compile(r"[\s.,;:。]+$")

_TOKEN = re.compile(
    r"""
      \\text\{(?P<text>[^{}]*)\}
    | (?P<num>\d+(?:\.\d+)?[eE][-+]?\d{1,3}(?![\w.])
        |\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+|\.(?=\\overline))?|\.\d+)
    | (?P<cmd>\\[a-zA-Z]+|\\[{}%$|\\\#_!,&])
    | (?P<word>[A-Za-z]+)
    | (?P<op><=|>=|!=|==|\*\*|\.\.\.|[^\s])
    """,
    re.VERBOSE,
)


def clean(text: str) -> str:
    """The text without what carries no meaning, in one spelling.

    Raises:
        Excessive: it is too long.
        Unreadable: it holds a control character.
    """
    if len(text) > MAX_LENGTH:
        raise Excessive(f"an answer of {len(text):,} characters; at most {MAX_LENGTH:,} are read")
    text = _MARKS.sub("", _REALS.sub(r"(-\\infty,\\infty)", text))
    if _DATE.fullmatch(text.strip()):
        raise Excessive("a date")
    if not text.isascii():
        text = _UNICODE_RE.sub(lambda found: _UNICODE[found[0]], text)
        text = unicodedata.normalize("NFKC", text)
    text = text.replace("\x0c", r"\f").replace("\x08", r"\b")  # \frac and \boxed after a careless unescaping
    if not text.replace("\n", "").replace("\t", "").replace("\r", "").isprintable():
        raise Unreadable("a control character")
    text = _CURRENCY.sub(" ", _MONEY.sub(r"\1\\text{ dollars}", text))
    text = _LEADING_SIGN.sub("", text)
    text = _RUN_TOGETHER.sub(r" \g<0> ", text)
    if "\\" in text:
        if "\\\\" in text and r"\begin" not in text:  # LaTeX that was escaped once too often
            text = _DOUBLED.sub(r"\\", text)
        text = _ROW_SPACE.sub(r"\\\\", text)
        text = re.sub(r"(?<!\\)\\[()\[\]]", " ", text)
        text = _THOUSANDS.sub("", text)
        text = _SPACING.sub(" ", _GONE.sub("", text.replace("\\!", "").replace("\\,", " ")))
        text = _BARE_FONT.sub("", _FONT.sub(r"\\text", _FRACTION.sub(r"\\frac", text)))
        text = re.sub(r"\\bar(?![a-zA-Z])", r"\\overline", text)
        text = _ONE_LINE.sub(lambda found: found[2].replace("&", " "), text)
        text = _TEXT_NUMBER.sub(r"\1\\text{\2}", _LEAD.sub("", text))
        text = _COMMAND.sub(lambda found: _SAME.get(found[0], found[0]), text)
    text = _LAST_FULL_STOP.sub("", text).strip()
    return text.replace(" ", "") if _SPACED_NUMBER.fullmatch(text) else text


def tokens(cleaned: str) -> list[Token]:
    """The signs of a cleaned text.

    Raises:
        Excessive: too many signs, digits in a number, or brackets open at once.
    """
    found: list[Token] = []
    depth = listed = 0
    end = 0
    for match in _TOKEN.finditer(cleaned):
        kind = match.lastgroup or "op"
        text = match[kind]
        spaced = match.start() > end
        end = match.end()
        if text in _OPENING:
            depth += 1
            listed += text != "{"
            if depth > MAX_NESTING:
                raise Excessive(f"more than {MAX_NESTING} brackets inside one another")
        elif text in _CLOSING:
            depth -= 1
            listed -= text != "}"
        elif kind == "num":
            if len(text) > MAX_DIGITS:
                raise Excessive(f"a number of {len(text):,} digits; at most {MAX_DIGITS:,} are read")
            parts = text.split(",")
            if listed > 0:  # within brackets a comma separates
                for number, part in enumerate(parts):
                    found += [Token("op", ","), Token("num", part)] if number else [Token("num", part, spaced)]
                continue
            text = "".join(parts)
        found.append(Token(kind, text, spaced))
        if len(found) > MAX_SIGNS:
            raise Excessive(f"an answer of more than {MAX_SIGNS} signs")
    return found


_OPENING = frozenset({"(", "[", "{", r"\{"})
_CLOSING = frozenset({")", "]", "}", r"\}"})
