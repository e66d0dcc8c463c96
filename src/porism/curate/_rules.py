r"""Language, subject, difficulty and safety of a question by rules: no model, no network, tens of microseconds.

The subjects are those of MATH (Hendrycks et al., 2021, arXiv:2103.03874), and a few beyond. Words speak for subjects
with weights; the heaviest subject is taken. Difficulty is MATH's level, 1 to 5, from the lengths of question and
solution and from the subject.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from porism.curate._text import LONGEST

__all__ = ["SUBJECTS", "difficulty", "language", "safety", "subject", "subject_scores"]

_LOOKED_AT = 4_000
"""Characters of a question that rules are tried on."""


class _Rule(NamedTuple):
    """Words that speak for subjects."""

    pattern: re.Pattern[str]
    weights: Mapping[str, float]


def _rule(pattern: str, **weights: float) -> _Rule:
    return _Rule(re.compile(pattern), {name.replace("_", " "): weight for name, weight in weights.items()})


_RULES: Sequence[_Rule] = (
    _rule(r"\\(?:sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan)\b|\b(?:sin|cos|tan)\b|三角関数|三角函数", precalculus=3.5),
    _rule(r"\\begin\{[pbv]matrix\}|\bmatri(?:x|ces)\b|\bdeterminant|\\mathbf|\bvectors?\b|\bcross product|\bdot product", precalculus=4),
    _rule(r"\b(?:polar|rectangular|spherical|cylindrical) coordinates|\\theta|\\rho\b|\\phi\b", precalculus=3),
    _rule(r"\\operatorname\{(?:cis|proj)\}|\\text\{cis\}|e\^\{[^}]*\bi\b|\bcis\b|\bprojection\b|\brotation", precalculus=3),
    _rule(r"\bderivative|\bdifferentia(?:te|ble)|\bintegral|\\int\b|\\lim\b|\blimit of|\btaylor|\\frac\{d\w?\}\{d|f'\(|導関数|导数|微分|積分|积分|極値|极值", calculus=6),
    _rule(r"\bstandard deviation|\bvariance\b|\bcorrelation\b|\bregression\b|\bconfidence interval|\bhypothesis test|標準偏差|标准差|方差|分散", statistics=6),
    _rule(r"\beigenvalue|\beigenvector|\bvector space|\blinear transformation|\blinearly independent|特征值|固有値", linear_algebra=8),
    _rule(r"\btriangles?\b|\\triangle|三角形", geometry=3.5),
    _rule(r"\bcircles?\b|\bradi(?:us|i)\b|\bdiameter|\bcircumference|\bchord|\barcs?\b|円周|圆|半径|半徑", geometry=2.5),
    _rule(r"\bperimeter|\bareas?\b|\bvolume|\bsurface area|面積|面积|体積|体积", geometry=2),
    _rule(r"\bangles?\b|\\angle|\bdegrees?\b|\^\\circ|\bperpendicular|\bparallel\b|\bbisect|角度", geometry=1.6),
    _rule(r"\bsquares?\b(?! root)(?<!perfect square)(?<!perfect squares)|\brectang|\bparallelogram|\btrapezoid|\brhombus|\bquadrilateral|\bdiagonal", geometry=1.4),
    _rule(r"\bhexagon|\bpentagon|\boctagon|\bpolygon|\bvertices\b|\binscribed|\bcircumscribed|\btangent (?:to|at|line)|\bsimilar\b", geometry=2.2),
    _rule(r"\bcubes?\b(?! root)|\bspheres?\b|\bcones?\b|\bcylinder|\bpyramid|\bprism|\btetrahedron|\bhypotenuse|\baltitude|\bmidpoints?\b", geometry=2),
    _rule(r"\[asy\]", geometry=1.6, prealgebra=0.7),
    _rule(r"\\overline\{[a-z]{2}\}|\b[a-z]{2} ?= ?\d+\b.*\b[a-z]{2} ?= ?\d+", geometry=1.5),
    _rule(r"\bdivisors?\b|\bdivisible\b|整除|約数|约数", number_theory=4),
    _rule(r"\bremainder|余数|余り|餘數", number_theory=3.5),
    _rule(r"\bprimes?\b|\bcomposite\b|素数|質数|质数", number_theory=3),
    _rule(r"\\pmod|\\mod\b|\\equiv|\bmodulo\b|\bcongruent to\b|\\bmod", number_theory=4.5),
    _rule(r"\bbase[ -](?:\$?\w|two|three|five|eight|ten)|\b[\da-f]+_\{?\d{1,2}\b|_\{(?:two|three|five|seven|eight|nine|ten)\}|\bbinary\b", number_theory=3.5),
    _rule(r"\bgreatest common|\bleast common|\bgcd\b|\blcm\b|\\gcd|\bcommon (?:factor|multiple)|公約数|公约数|公倍数", number_theory=3.5),
    _rule(r"\bunits? digit|\bones digit|\btens digit|\bdigits?\b|\bpalindrome", number_theory=2.2),
    _rule(r"\brelatively prime|\bperfect (?:square|cube|power)s?\b|\bconsecutive\b|\bmultiples? of|\bfactors\b", number_theory=1.6),
    _rule(r"\brepeating decimal|\bdecimal (?:representation|expansion|point)|\bterminat", number_theory=2, prealgebra=0.8),
    _rule(r"\bintegers?\b|整数", number_theory=0.9, algebra=0.3),
    _rule(r"\bprobabilit|\bat random|\brandomly|\bdice\b|\bdie\b|\bcoins? (?:is|are) (?:flipped|tossed)|\bfair coin|確率|概率|機率", counting_and_probability=4.5),
    _rule(r"\bhow many (?:different |distinct |possible )?ways|\bin how many|\bways (?:can|are|to)|何通り|多少种", counting_and_probability=4),
    _rule(r"\barrange|\bpermut|\bcombination|\\binom|\bcommittee|\bexpected value|\bchoos(?:e|es|ing)\b|\bselect|排列|组合|組み合わせ", counting_and_probability=2.4),
    _rule(r"\bhow many (?:different|distinct)|\bdistinguishable|\bseated|\bcards?\b|\bpaths?\b|\bletters?\b|\bpascal|!\}?\$|\bmarbles?\b|\bballs?\b", counting_and_probability=1.5),
    _rule(r"\bpolynomials?\b|多項式|多项式", intermediate_algebra=2.8),
    _rule(r"\broots?\b(?<!square root)(?<!square roots)(?<!cube root)", intermediate_algebra=1.6, algebra=0.6),
    _rule(r"\bcomplex numbers?|\bimaginary|\|z\b|\bz\^|複素数|复数", intermediate_algebra=2.2, precalculus=1.2),
    _rule(r"\bellipse|\bhyperbola|\basymptote|\bfoc(?:us|i)\b|\bdirectrix", intermediate_algebra=4),
    _rule(r"\bfor all (?:real|positive|integers|x|\$x)|\ball functions|\bfunctional equation|\bsatisfies\b", intermediate_algebra=1.6),
    _rule(r"x\^\{?[3-9]|x\^\{?\d\d|\bcubic|\bquartic", intermediate_algebra=1.8),
    _rule(r"\bwhen [^.]{0,60}is divided by \$?\(?x\b|\bdivided by \$?\(?x", intermediate_algebra=5),
    _rule(r"\b(?:maximum|minimum|smallest possible|largest possible|largest|smallest) (?:possible )?value|\bminimize|\bmaximize|最大値|最小値|最大值|最小值", intermediate_algebra=1.5, algebra=0.5),
    _rule(r"\\sum|\\prod|\\cdots|\\ldots|\\dots|\binfinite", intermediate_algebra=1.2),
    _rule(r"\b(?:positive |nonzero )?real numbers?\b|\bcoefficients?\b|\bnonnegative real", intermediate_algebra=1.1, algebra=0.4),
    _rule(r"a_n\b|a_\{?[0-9n]|\brecur|\bpartial fraction|\\omega\b|\broots? of unity", intermediate_algebra=1.6),
    _rule(r"\bsolve for|\bequations?\b|\bsystem of|\bquadratic|方程", algebra=2.1),
    _rule(r"\bf\(x\)|\bg\(x\)|\bf\(|\bfunctions?\b|\bdomain\b|\brange\b|\binverse\b|関数|函数", algebra=1.7, intermediate_algebra=0.9),
    _rule(r"\bslope|\by-intercept|\bx-intercept|\bintercept|\bgraph\b|\bline\b|\bcoordinate|\bparabola|\bvertex of", algebra=1.7),
    _rule(r"\bexpand\b|\bfactor (?:the|completely|\$)|\bsimplify|\brationali|因式分解|因数分解", algebra=1.9),
    _rule(r"\\lfloor|\\lceil|\\log|\binterest\b|\bcompound|\binversely|\bdirectly proportional|\b(?:arithmetic|geometric) (?:sequence|series|progression)", algebra=2.3),
    _rule(r"\bvalues? of \$?[a-z]\$?\b|\bfind \$?[a-z]\$?\b|\bterms? of \$?[a-z]\b|\bin terms of", algebra=0.9),
    _rule(r"\$[^$]*\b[xyabcnt]\b[^$]*=[^$]*\$", algebra=0.8, intermediate_algebra=0.4),
    _rule(r"x\^\{?2", algebra=1.0, intermediate_algebra=0.4),
    _rule(r"\bpercent|\\%|%|\bdiscount|\btax\b|百分|パーセント", prealgebra=2.2),
    _rule(r"\bratio\b|\bfractions?\b|\baverage\b|\bmean\b|\bmedian\b|\bmode\b|平均", prealgebra=1.7),
    _rule(r"\bround(?:ed)?\b|\bnearest (?:whole|tenth|hundredth|integer|cent)|\bconvert|\breciprocal|\bevaluate|\bcompute\b|\bcalculate", prealgebra=1.2),
    _rule(r"\b(?:hours?|minutes?|miles?|feet|inches|pounds?|gallons?|ounces?|dollars?|cents?|cost|price|weeks?|days?)\b|\\\$", prealgebra=1.2, arithmetic=0.7),
    _rule(r"\bhow many\b|\bhow much\b|\btotal\b|いくつ|いくら|何個|何人|多少", prealgebra=0.8, arithmetic=0.7),
    _rule(r"\b(?:bought|buys?|sold|sells?|gave|gives?|ate|eats?|left|each|earns?|spends?|pays?|friends?|apples?)\b|一共|还剩|合わせて|残り", arithmetic=0.9, prealgebra=0.3),
    _rule(r"\b(?:python|javascript|java|c\+\+|sql)\b|\bdef \w+\(|\bwrite (?:a|an) (?:\w+ )?(?:function|program|script|query)|\balgorithm\b|```|プログラム|编程|代码", coding=6),
    _rule(r"\b(?:true or false|knights? and knaves?|syllogism|logically|liar|premise|conclude)\b|论证|論理|逻辑", logic=4),
    _rule(r"\b(?:velocity|acceleration|newtons?|joules?|voltage|molar|chemical|enzyme|photosynthesis|momentum)\b", science=3),
)  # fmt: skip

SUBJECTS = tuple(sorted({name for rule in _RULES for name in rule.weights} | {"other"}))
"""Every subject that can be given."""

_DRAWING = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)", re.DOTALL)
_LEAST = 0.75
"""Weight below which a question is of no subject."""

_WORDS: Mapping[str, frozenset[str]] = {
    "en": frozenset("the of and is to in that how what many are for if each with find has have he she it from at be does did was on a".split()),
    "es": frozenset("el la los las de que y en un una es se por con para cuántos cuál cuántas si del al su tiene cada como qué".split()),
    "fr": frozenset("le la les des de un une et est que qui dans pour combien si du au il elle avec chaque quel quelle sont par".split()),
    "de": frozenset("der die das und ist ein eine wie viele von mit zu den dem wenn für er sie es hat auf im jede nicht auch wird".split()),
    "pt": frozenset("o a os as de que e em um uma é se por com para quantos qual quantas do da dos das tem cada como não seu".split()),
    "it": frozenset("il lo la i gli le di che e un una è si per con quanti qual quante se del della ha ogni come nel sono".split()),
    "nl": frozenset("de het een en is van hoeveel met te in dat die als voor hij zij heeft op elke niet zijn wat er ook".split()),
}  # fmt: skip
_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7a3]")),
    ("zh", re.compile("[\u3400-\u9fff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
    ("el", re.compile("[\u0370-\u03ff]")),
)
_LATIN = re.compile(r"[^\W\d_]+")
_LATEX = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)|\\[A-Za-z]+|\$[^$]*\$", re.DOTALL)
_SHARE = {"ja": 0.02}
"""Kana between ideographs make a text Japanese even where there are few."""

_UNSAFE = (
    ("weapons", r"\b(?:make|build|construct|assemble)\b[^.?!]{0,40}\b(?:bombs?|explosives?|grenades?|nerve agent|molotov)|炸弹的制作|爆弾の作り方|制作炸弹"),
    ("self-harm", r"\b(?:kill|hurt|cut) myself\b|\b(?:ways|how|methods?) to (?:commit suicide|end my life)|自杀方法|自殺の方法|自殺方法"),
    ("violence", r"\b(?:how (?:do i|to|can i))\b[^.?!]{0,40}\b(?:murder|poison|kidnap|torture|strangle)\b"),
    ("drugs", r"\b(?:cook|synthesi[sz]e|manufacture|produce)\b[^.?!]{0,40}\b(?:meth(?:amphetamine)?|heroin|fentanyl|cocaine|mdma)\b"),
    ("crime", r"\b(?:hack into|steal (?:a |someone'?s )?(?:credit cards?|identity|password)|launder money|counterfeit (?:money|bills)|write (?:a |some )?(?:ransomware|malware|virus))\b"),
    ("sexual content", r"\b(?:explicit|erotic|pornographic)\b[^.?!]{0,40}\b(?:story|scene|description|content|image)"),
    ("hate", r"\b(?:exterminate|inferior race|subhuman|ethnic cleansing)\b"),
)  # fmt: skip
_UNSAFE_RULES = [(name, re.compile(pattern)) for name, pattern in _UNSAFE]


def language(text: str) -> str:
    """The language as an ISO 639-1 code, by script and by common words; ``und`` where nothing tells.

    Formulas are set aside. A text in Latin letters with no common word of a known language is undetermined.
    """
    plain = unicodedata.normalize("NFKC", _LATEX.sub(" ", text[:_LOOKED_AT]))
    letters = sum(character.isalpha() for character in plain)
    if not letters:
        return "und"
    for name, pattern in _SCRIPTS:
        if len(pattern.findall(plain)) > _SHARE.get(name, 0.3) * letters:
            return name
    words = _LATIN.findall(plain.casefold())
    counts = {name: sum(word in known for word in words) for name, known in _WORDS.items()}
    best = max(counts, key=lambda name: (counts[name], name == "en"))
    return best if counts[best] else "und"


def _plain(question: str) -> str:
    """The text that rules are tried on: drawings in code are left out."""
    return unicodedata.normalize("NFKC", _DRAWING.sub("[asy]", question[:LONGEST])[:_LOOKED_AT]).casefold()


def subject_scores(question: str) -> dict[str, float]:
    """Subject → weight of what speaks for it; a rule counts more the more often it fires, but little."""
    text = _plain(question)
    found: dict[str, float] = {}
    for rule in _RULES:
        times = sum(1 for _ in zip(rule.pattern.finditer(text), range(3), strict=False))
        if times:
            for name, weight in rule.weights.items():
                found[name] = found.get(name, 0.0) + weight * (1 + 0.25 * (times - 1))
    return found


def subject(question: str) -> str:
    """The subject with the greatest weight; ``other`` where hardly anything speaks for one.

    >>> subject("What is the remainder when 7^{100} is divided by 5?")
    'number theory'
    """
    found = subject_scores(question)
    best = max(found, key=lambda name: (found[name], name), default="other")
    return best if found.get(best, 0.0) >= _LEAST else "other"


_LEVEL_OF = {
    "arithmetic": -0.9,
    "prealgebra": -0.6,
    "algebra": -0.2,
    "geometry": 0.2,
    "counting and probability": 0.2,
    "number theory": 0.1,
    "precalculus": 0.4,
    "intermediate algebra": 0.5,
    "calculus": 0.5,
    "linear algebra": 0.5,
}
_BASE, _PER_QUESTION, _PER_SOLUTION, _ALONE = -1.2, 0.15, 0.75, 3.0


def difficulty(question: str, solution: str = "") -> int:
    """MATH's level, 1 (easy) to 5 (hard), from lengths and subject; much better with a worked solution.

    Args:
        question: what is asked.
        solution: a worked solution or a right answer with its reasoning, where there is one.
    """
    length = math.log(1 + len(_plain(question)))
    level = _LEVEL_OF.get(subject(question), 0.0) + _PER_QUESTION * (length - 5)
    if len(solution) > 40:
        level += _BASE + _PER_SOLUTION * math.log(len(solution[:LONGEST]))
    else:
        level += _ALONE + 0.2 * (length - 5)
    return int(min(5, max(1, round(level))))


def safety(text: str) -> str:
    """``safe``, or ``unsafe: `` and what for. A list of phrases: it misses much, and what it finds is worth a look."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).casefold()
    return next((f"unsafe: {name}" for name, pattern in _UNSAFE_RULES if pattern.search(plain)), "safe")


