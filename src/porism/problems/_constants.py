"""Numbers that a worked solution may use though no question states them: units, and numbers said in words.

``explained(value, text)`` is what decides whether a constant of a solution is understood. A number that is not
understood may hide a calculation that was left out, so a problem with one is not changed.
"""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["DOUBTFUL", "explained"]

_F = Fraction
_WORDS: dict[str, tuple[Fraction | int, ...]] = {
    r"half|halves|halved": (2, _F(1, 2), 50, _F(3, 2)),
    r"third|thirds": (3,),
    r"quarter|quarters": (4, _F(1, 4), _F(3, 4), 25, 75),
    r"fourth|fourths": (4, _F(1, 4), _F(3, 4)),
    r"fifth|fifths": (5, _F(1, 5)),
    r"sixth|sixths": (6,),
    r"eighth|eighths": (8, _F(1, 8)),
    r"tenth|tenths": (10, _F(1, 10)),
    r"twice|double|doubles|doubled|both|pair|pairs|couple|twins?|either|weekend|each other": (2,),
    r"triple|triples|tripled|thrice|trio|triplets|yards?": (3,),
    r"quadruple|quadrupled|quadruplets|square": (4,),
    r"dozens?|feet|foot|inch|inches|months?|monthly|years?|yearly|annual|annually": (12,),
    r"weeks?|weekly|daily|days?": (7,),
    r"weekdays?": (5,),
    r"fortnight": (14, 2),
    r"days?|hours?|daily": (24,),
    r"hours?|hourly|minutes?|seconds?": (60, 3600),
    r"years?|yearly|annual|annually|weeks?": (52,),
    r"year|years": (365,),
    r"months?|monthly": (4, 30),
    r"decades?": (10,),
    r"cent|cents|percent|percents|percentage|pennies|penny|meters?|centimeters?|century|centuries": (100, _F(1, 100)),
    r"dollars?": (100,),
    r"quarters?": (25, _F(1, 4)),
    r"nickels?": (5, _F(1, 20)),
    r"dimes?": (10, _F(1, 10)),
    r"kilometers?|kilograms?|grams?|liters?|milliliters?|kilos?|thousand|thousands": (1000,),
    r"pounds?|ounces?": (16,),
    r"gallons?|quarts?|pints?|cups?": (2, 4, 8, 16),
    r"yards?|feet|foot": (3,),
    r"rectangle|rectangular|perimeter|triangle|round trip|back and forth|bicycles?|bikes?": (2,),
    r"cars?|tires?|tyres?|wheels?": (4,),
    r"average|mean": (2,),
    r"one": (1,),
    r"two": (2, _F(2, 3)),
    r"three": (3, _F(3, 4)),
    r"four": (4,),
    r"five": (5,),
    r"six": (6,),
    r"seven": (7,),
    r"eight": (8,),
    r"nine": (9,),
    r"ten": (10,),
    r"eleven": (11,),
    r"twelve": (12,),
    r"thirteen": (13,),
    r"fourteen": (14,),
    r"fifteen": (15,),
    r"sixteen": (16,),
    r"eighteen": (18,),
    r"twenty": (20,),
    r"thirty": (30,),
    r"forty": (40,),
    r"fifty": (50,),
    r"sixty": (60,),
    r"hundred": (100,),
    r"million": (1_000_000,),
}
_SIGNS: dict[str, tuple[Fraction | int, ...]] = {
    r"一半|半": (2, _F(1, 2)),
    r"[二两双对]": (2,),
    r"三": (3,),
    r"四": (4,),
    r"五": (5,),
    r"六": (6,),
    r"七": (7,),
    r"八": (8,),
    r"九": (9,),
    r"十|元|角|分米|厘米": (10,),
    r"周长|长方形|往返|相遇|三角形|平均|等差": (2,),
    r"正方形": (4,),
    r"星期|周|天": (7,),
    r"小时|分钟|秒": (60,),
    r"天": (24,),
    r"年|打": (12,),
    r"百|元|厘米|米|%|％": (100, _F(1, 100)),
    r"千|千米|公里|千克|公斤|升|毫升|吨": (1000,),
}
_MADE = [
    (re.compile(rf"\b(?:{words})\b", re.IGNORECASE), frozenset(map(_F, values))) for words, values in _WORDS.items()
]
_MADE += [(re.compile(signs), frozenset(map(_F, values))) for signs, values in _SIGNS.items()]

DOUBTFUL = re.compile(
    r"\b(?:which|whichever|whoever|most|least|maxim\w+|minim\w+|cheap\w*|expensive|better|best|worst|exceed\w*|up to"
    r"|limit|(?:over|under|than|first|after|above|below|every|each|until|within|exactly|age|aged|page|room|grade|number|size)"
    r"\s[$£€]?\d|round\w*|nearest|digits?|prime|odd|even|leap|o'clock|midnight|noon|remainder|left ?over|full|overtime"
    r"|january|february|march|april|june|july|august|september|october|november|december|born|teen\w*|odds?|dice|cards?"
    r"|letters?|spell\w*|whole|minimum|multiple of|factor|divisible|consecutive|at a time|enough|cover\w*"
    r"|needs? to buy)\b"
    r"|[最至]少|最多|最大|最小|至多|超过|不到|余|质数|奇数|偶数|整数|四舍五入|哪|第\d|每隔|需要几|够|点",
    re.IGNORECASE,
)
"""Words of a condition that no calculation shows: with other numbers it could turn out otherwise."""


def explained(value: Fraction, text: str) -> bool:
    """True for a constant that the words of a text account for; 1 always is."""
    return value == 1 or any(value in values and words.search(text) for words, values in _MADE)
