"""How a sentence begins that changes the mind or the method, in English, Chinese and Japanese."""

from __future__ import annotations

import re

__all__ = ["SWITCH"]

_ENGLISH = r"""
    (?:(?:But|Oh|Ah|Hm+|Okay|OK|Ok|So|And|Well|No|Hey)[,.…!]{0,3}\s{1,3})?
    [Ww]ait(?: (?=[,.…!?:;—–-]|\s*\Z)
      | (?=\s{1,3}(?:no|but|I|I['’]m|let|that|this|if|is|so|maybe|the|we|what|why|how|it|there|actually|hold|not|because
        |can|does|do|did|are|was|then|when|where|also|again|wait|perhaps|since|in|my|you|they|he|she|or|a)\b) )
  | (?:But\s{1,3})?[Hh]old\s{1,3}on\b
  | [Hh]m{1,8}\b
  | (?:But\s{1,3}|Or,?\s{1,3})?[Aa]lternatively\b
  | (?:But\s{1,3})?[Aa]ctually\b
  | (?:But\s{1,3}|So,?\s{1,3}|Now,?\s{1,3})?[Ll]et(?:\s{1,3}me|['’]s|\s{1,3}us)\s{1,3}(?:just\s|quickly\s|also\s)?
    (?: re-?(?:consider|check|examine|think|visit|evaluate|calculate|compute|do|read|verify|start)
      | double[-\ ]?check | verify | check\s(?:again|my|that|this|the|if|whether|it)
      | try\s(?:another|again|an?\s(?:different|new|second|alternative)|something)
      | think\s(?:again|differently) | start\s(?:over|again) | go\sback | step\sback | backtrack )\b
  | On\ssecond\sthought
  | No,\s{1,3}(?:wait|that|this|it|not|because|we|I|but|no)\b
  | (?:Oops|Whoops|Scratch\sthat|Never\s?mind)\b
  | (?:Another|A\sdifferent|An\salternative)\s(?:way|approach|method|idea|option|possibility)\b
  | Or\s(?:maybe|perhaps)\b
  | I\s(?:made\san?\s(?:mistake|error)|was\swrong|think\sI\smade)\b
  | (?:That|This)(?:['’]s|\sis)\s(?:not\s(?:right|correct)|wrong|incorrect)\b
"""
_CHINESE = r"""
    (?:(?:哦|啊|嗯|哎|但|但是|不过|可是)[，,]?)?
    (?: 等等(?=[，,。.！!…、：:\s]|\Z|我|让|这|不|是|如|题) | 等一下 | 等下 | 等会 | 稍等 | 不对 | 不是这样 )
  | 不[，,] | 或者 | 另(?:外)?一种(?:方法|思路|解法|方式|做法|可能|情况|角度) | 换(?:一种|一个|个|种)
  | (?:让我们|让我|我们|我|那)?(?:来|还是|需要|应该)?(?:再|重新)(?:来)?
    (?:检查|验证|核对|确认|考虑|计算|审视|思考|推导|分析|算|想|看|读|仔细)
  | 其实 | 仔细想想 | 我(?:可能|好像)?(?:错了|搞错|算错|弄错|看错) | 嗯(?=[，,。.…])
"""
_JAPANESE = r"""
    (?:(?:あ|あっ|でも|いや|しかし)[、,]?)?(?:ちょっと)?待(?:って|てよ)
  | いや(?=[、,。．！!…\s]|違|\Z) | いやいや | いいえ[、,] | 違う(?=[、,。．！!])
  | 別の(?:方法|解法|アプローチ|考え方|やり方|見方) | あるいは | もう(?:一度|一回) | 再度 | 再確認 | やっぱり | 考え直
"""
SWITCH = re.compile(rf"""["'“‘「『(（*_>\ -]{{0,6}}+(?P<label>{_ENGLISH}|{_CHINESE}|{_JAPANESE})""", re.VERBOSE)
"""Match it where a sentence begins. "Wait," is a change of mind; "Waiting" and "Wait for the bus" are none."""
