"""Units of measurement: name → dimension and factor to the dimension's first unit."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["UNITS", "unit"]

_TABLE = {
    "length": "m:1 meter metre meters metres, cm:1/100 centimeter centimeters centimetre centimetres, "
    "mm:1/1000 millimeter millimeters millimetre millimetres, km:1000 kilometer kilometers kilometre kilometres, "
    "in:127/5000 inch inches, ft:381/1250 foot feet, yd:1143/1250 yard yards, mi:201168/125 mile miles",
    "mass": "kg:1 kilogram kilograms, g:1/1000 gram grams, mg:1/1000000 milligram milligrams, "
    "lb:45359237/100000000 lbs pound pounds, oz:45359237/1600000000 ounce ounces, ton:1000 tons tonne tonnes",
    "time": "s:1 sec secs second seconds, min:60 mins minute minutes, h:3600 hr hrs hour hours, day:86400 days, "
    "week:604800 weeks",
    "volume": "l:1 liter liters litre litres, ml:1/1000 milliliter milliliters millilitre millilitres",
    "money": "dollar:1 dollars usd bucks, cent:1/100 cents",
    "angle": "degree:1 degrees deg",
    "length/time": "mph:1397/3125, kph:5/18",
    "temperature in C": "c:1 celsius",
    "temperature in F": "f:1 fahrenheit",
    "angle in radians": "radian:1 radians rad rads",
    "morning": "am:1",
    "afternoon": "pm:1",
}
UNITS: dict[str, tuple[str, Fraction]] = {}
for _dimension, _entries in _TABLE.items():
    for _entry in _entries.split(","):
        _first, *_others = _entry.split()
        _name, _, _factor = _first.partition(":")
        for _said in (_name, *_others):
            UNITS[_said] = (_dimension, Fraction(_factor))

_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


def unit(said: str) -> tuple[str, Fraction] | None:
    """The dimension and factor of a unit as people write it; None for a counted noun or a unit that is not known.

    >>> unit("square feet"), unit("cm ^2")
    (('length^2', Fraction(145161, 1562500)), ('length^2', Fraction(1, 10000)))
    """
    if "/" in said:
        above, _, below = said.partition("/")
        parts = unit(above), unit(below)
        if parts[0] is None or parts[1] is None:
            return None
        return f"{parts[0][0]}/{parts[1][0]}", parts[0][1] / parts[1][1]
    words = re.sub(r"[\\{}(),]", " ", said.lower().replace(".", "")).replace("^ ", "^").split()
    power = 1
    if words and words[0] in _POWERS:
        power, words = _POWERS[words[0]], words[1:]
    if len(words) > 1 and re.fullmatch(r"\^\d", words[-1]):
        power, words = int(words[-1][1]), words[:-1]
    if len(words) != 1 or words[0] not in UNITS:
        return None
    dimension, factor = UNITS[words[0]]
    return (dimension if power == 1 else f"{dimension}^{power}"), factor**power
