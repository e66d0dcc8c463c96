"""How answers are worded in English, Chinese and Japanese: announced, denied, doubted, or only described."""

from __future__ import annotations

import re

from porism.chains._parts import words

__all__ = [
    "ASKED",
    "AS_FOLLOWS",
    "CJK_CUE",
    "CORRECTION",
    "DENIED_END",
    "DENIED_ENDS",
    "DESCRIPTION",
    "DOUBTED_ENDS",
    "ENGLISH_CUE",
    "HEADS",
    "JAPANESE_NOT",
    "LEADING",
    "NOT",
    "PARTICLES",
    "REMARK",
    "SURE",
    "THINK",
    "UNSURE",
    "UNSURE_ENDS",
]

_ENGLISH = r"""
    [AaCcRrBbFf](?<![^\W_].)
    (?i: (?: (?<=a)ns(?:wers?)? | (?:(?<=c)orrect|(?<=r)ight|(?<=b)est)\s{1,3}(?:option|choice|alternative)
           | (?<=f)inal\s{1,3}result )\b
    [*_]{0,3}
    (?: \s?\([^()\n]{1,60}\) )?
    (?: \s{1,3}(?:to|for)\s[^.\n:?=]{1,80}? (?=\s(?:is|are|was|were|can|could|would|should|must|will)|[:：]) )?
    (?: \s{1,3}(?:therefore|thus|then|hence|indeed|simply|just|actually|clearly|certainly|definitely|obviously|surely
        |now|still|also|again|finally|probably),? )?
    \s{0,3}[*_]{0,3}\s{0,3}
    (?: (?P<en_not>
            (?:is|are|was|were)
            (?:n['’]t | \s{1,2}(?:(?:definitely|certainly|clearly|actually|therefore|just|simply)\s)?
               (?:not|never|no\slonger)
               (?!\s(?:enough|possible|sufficient|defined|determinable|only)\b) )\b
            (?:\sequal\sto)?
          | (?:can(?:not|['’]t|\snot) | (?:could|would|should|must|will|may|might)(?:n['’]t|\snot) | won['’]t)\s{1,2}
            (?:be|equal)\b (?:\sequal\sto)? )
      | (?:is|are|equals)\b
        (?: \s{1,2}(?:therefore|thus|then|hence|indeed|simply|just|actually|clearly|certainly|definitely|obviously|now
            |still|also|again|finally|equal\sto)\b,? )?
        (?: [*_]{0,3}\s{0,2}[*_]{0,3}[:：=] )?
      | (?:\\?["”]\s?)?[:：=]
      | (?P<en_heading> [ \t*_#]{0,8}$ ) ) )
"""
_CHINESE = r"""
    (?:(?:最终|最后|正确|标准|所以|因此|故|总|参考)的?)? (?:答案|(?<=正确)选项|(?<=正确的)选项) [*_]{0,3}
    (?: (?P<zh_not> (?:应该|应|显然|当然|肯定|绝对)? (?: 并?不(?:可能|会|应该|应|能)?(?:是|为|等于) | 并非 ) )
      | (?:应该|应|就|也|便|则)?(?:是|为|等于)[：:＝=]?
      | 选择?(?!项)[：:]?
      | 】?[：:＝=] | 】
      | (?P<zh_heading> [ \t*_#]{0,8}$ ) )
  | (?:故|因此|所以|综上|于是|应)[，,]?(?:本题|应该|应|我们|我)?选择?(?:选项|答案)?[为是]?
    (?: \s{0,2}[：:]\s{0,2}(?=\S) | \s{0,2}(?=[*_]{0,2}[（(]?(?:[A-Ha-hＡ-Ｈ]{1,8}(?![A-Za-z])|[①-⑨])) )
  | (?<![\u4e00-\u9fff])选择?[：:]?\s{0,2}(?=[*_]{0,2}[（(]?[A-HＡ-Ｈ]{1,8}[)）]?[*_]{0,2}(?:[。．.！!\s]|\Z))
"""
_JAPANESE = r"""
    (?:(?:最終的な|最終|正しい|求める)\s?)? (?:答え|答|解答|回答|正解|選択肢(?=は)) [*_]{0,3}
    (?: は[、,]?[：:]? | 】?[：:＝=] | 】 | (?P<ja_heading> [ \t*_#]{0,8}$ ) )
"""

ENGLISH_CUE = re.compile(_ENGLISH, re.VERBOSE | re.MULTILINE)
"""What announces an answer, up to where the answer begins; ``en_not`` denies it.

It begins with a set of letters, because the expression engine then skips quickly over what cannot match.
"""
CJK_CUE = re.compile(rf"(?P<zh>{_CHINESE})|(?P<ja>{_JAPANESE})", re.VERBOSE | re.MULTILINE)
"""The same in Chinese and Japanese; every match has one of the characters 答选選解."""

HEADS = frozenset({"", "final", "the final", "最终", "最終"})
"""What may stand before the cue in a line that says no more than "Final answer": the answer is on the next one."""

LEADING = words("the my our a its this final correct right best overall exact numerical simplified")
"""Words before the cue that belong to the statement."""

UNSURE = words(
    "if whether suppose supposing assume assuming unless until maybe perhaps why how when what wrong incorrect invalid "
    "no any each every which whose previous earlier old other another possible potential initial intermediate "
    "student's student’s claimed proposed"
)
"""Words right before the statement that make it a supposition, or a statement about another answer."""
UNSURE_ENDS = (*words("如果 假设 假如 假定 若 倘若 是否 可能 也许 或许 设 错误 错误的 如果说 もし もし、"),)

SURE = words("sure certain convinced")
THINK = words("think believe say mean conclude agree true correct case")
NOT = ("n't", "n’t", "not", "never")
DENIED_ENDS = ("不认为", "不觉得")

DOUBTED_ENDS = (*words("? ？ 吗 ですか でしょうか だろうか ますか のか かもしれない かもしれません かな"),)
"""The end of a sentence that asks or doubts, before the closing marks."""

ASKED = re.compile(
    r"\s*(?:什么|多少|哪|怎|如何|几[个道]|不是(?!的?\s*(?:[。.!！]|\Z))|否(?!\s*(?:[。.!！]|\Z))|何[がでをかの]|何\b|どれ|どう|いくつ|いくら|what\b|which\b|unclear\b)",
    re.IGNORECASE,
)
"""What stands in an answer's place where the text asks for it."""

DESCRIPTION = re.compile(
    r"""\s*[*_]{0,3}(?:(?:indeed|also|now|then|clearly|completely|certainly|quite)\s)?
    (?: (?:correct|incorrect|right|wrong|reasonable|consistent|verified|confirmed|valid|clear|obvious|plausible|accurate
          |complete|found|obtained|unique|ready|good|fine|okay|ok|close|different|above|below|the\ssame|same)[*_]{0,3}
        (?= \s*(?:[.,;:!)—–]|\Z|\n)
          | \s(?:and|because|since|as|so|but|by|for|if|in|with|to|when|than|from|after|here|now)\b )
      | (?:given|obtained|found|calculated|computed|determined|derived|expressed|written|rounded|verified|confirmed)\s
        (?:by|in|as|from|to|using|with)\s(?!\s*[$\\\d])
      | (?:(?:stated|shown|written)\s(?:above|below)|based\son)\b
      | (?:expected|required|supposed|going|guaranteed|always|in\sthe\s(?:form|range|format))\b
      | [^，。,.\n]{0,12}?(?:正确|对|错|错误|合理|唯一|一致|显然|明确|可靠|合适)的(?=[\s。，,.！!]|\Z) )""",
    re.IGNORECASE | re.VERBOSE,
)
"""What is said about an answer instead of the answer: "The answer is correct"."""

AS_FOLLOWS = re.compile(
    r"(?:as\sfollows|the\sfollowing|given\sbelow|如下|(?:以下|次)の(?:通り|とおり)(?:です)?)[*_]{0,3}\s{0,2}[:：。.]?(?=\s)",
    re.IGNORECASE,
)

REMARK = re.compile(
    r"""[,;，；]?\s{0,3}(?: \b(?:because|since|rather\sthan|instead\sof)\b | 而不是 | 因为 )
      | [,;]\s{0,3}(?:which|not|but|so|as|and\sso|where|however|though|although|if)\b
      | ,\s{0,3}"[A-Za-z_ ]{1,30}"\s?:
      | [，；,]\s{0,3}(?:但|不过|然而|所以|因此|而|让我|验证|检验)
      | \s[—–]\s""",
    re.IGNORECASE | re.VERBOSE,
)
"""Where an answer is over and a remark on it begins."""

CORRECTION = re.compile(
    r"""[*_]{0,3}(?: [,;，；、]?\s{0,2}(?:but(?:\s(?:rather|instead|it\sis|it['’]s))?\b|rather\b
            |而应该是|而是|应该是|应为)
        | [,;]\s{0,2}(?:it\sis|it['’]s|it\sshould\sbe)\b(?!\snot) ) [:：]?\s{0,2}""",
    re.IGNORECASE | re.VERBOSE,
)
"""Between a denied answer and the one that takes its place: "not 5 but 6"."""

DENIED_END = re.compile(r"[,;，；、]|\s(?:but|because|since|so|as|and)\b|而是|因为|所以|\s[—–]\s", re.IGNORECASE)
JAPANESE_NOT = re.compile(
    r"(?P<instead>(?:では|じゃ|で)なくて?[、,]?)|(?:では|じゃ|で)(?:ない|ありません|なかった|なさそう)|とは(?:限らない|言えない)"
)
PARTICLES = re.compile(r"(?:吧|啊|呢|哦|だと思います|です|である|だ|となります|になります|でした|だよ|となる|になる)\Z")
