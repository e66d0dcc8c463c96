"""Other words of the same meaning in a question, and sentences that have nothing to do with what is asked."""

from __future__ import annotations

import dataclasses
import random
import re

from porism.problems._changing import Unchanged, is_formal, is_japanese_or_chinese, sentences, tokens
from porism.records import Problem

__all__ = ["irrelevant", "reword"]

_SAME = [
    (re.compile(rf"\b{words}\b"), other)
    for words, other in (
        (r"in total", "altogether"),
        (r"altogether", "in total"),
        (r"purchased", "bought"),
        (r"(?<!would )(?<!to )buys", "purchases"),
        (r"bought", "purchased"),
        (r"each day", "every day"),
        (r"every day", "each day"),
        (r"each week", "every week"),
        (r"every week", "each week"),
        (r"each month", "every month"),
        (r"a week(?= for|\.|,)", "each week"),
        (r"twice as many", "two times as many"),
        (r"twice as much", "two times as much"),
        (r"twice as", "two times as"),
        (r"half as many", "one half as many"),
        (r"decides to", "chooses to"),
        (r"decided to", "chose to"),
        (r"needs to", "has to"),
        (r"starts with", "begins with"),
        (r"started with", "began with"),
        (r"gives away", "hands out"),
        (r"gave away", "handed out"),
        (r"are left", "remain"),
        (r"for a total of", "which makes a total of"),
        (r"kids", "children"),
        (r"children", "kids"),
        (r"gets paid", "is paid"),
        (r"is paid", "gets paid"),
    )
]
_SAME_EASTERN = [
    (re.compile(words), other)
    for words, other in (
        (r"一共", "总共"),
        (r"总共", "一共"),
        (r"还剩(?!下)", "还剩下"),
        (r"买了", "购买了"),
        (r"多少元", "多少元钱"),
        (r"每天", "每一天"),
        (r"平均每", "平均下来每"),
        (r"送给", "给了"),
        (r"用去", "用掉"),
    )
]
_SMALL = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_SMALL_EASTERN = "零一二三四五六七八九十"
_NOT_IN_WORDS = re.compile(r"\s?(?:%|percent|degrees?|[ap]\.?m\b|mph|°|[A-Za-z]{1,2}\b)")
_MONEY = re.compile(r"[$£€¥]\s?\Z")

_IDLE = (
    ("A red kite was caught in a tree that morning.", ("kite", "tree", "red", "morning")),
    ("The town's library was founded in 1904.", ("library", "town", "founded", "year", "old", "age", "centur")),
    ("Somewhere down the street a radio played old songs.", ("radio", "song", "street", "music")),
    ("The weather report had promised clouds, but the sky stayed clear.", ("weather", "cloud", "rain", "sky")),
    ("A painting of a lighthouse hung on the wall.", ("paint", "lighthouse", "wall", "picture", "art")),
    ("The number 47 bus passes by there on its way to the harbour.", ("bus", "harbour", "passenger", "ride")),
    ("An old clock in the hall had stopped years ago.", ("clock", "hour", "time", "minute", "hall", "year")),
    ("A neighbour's cat with a white tail was asleep on the windowsill.", ("cat", "animal", "pet", "neighbo")),
    ("A poster announced a chess tournament with 32 players.", ("chess", "player", "game", "team")),
    ("Far away a ship with 3 masts lay at anchor.", ("ship", "boat", "mast", "sea", "sail")),
    ("The nearest mountain is 2,100 metres high.", ("mountain", "height", "high", "metre", "meter", "climb", "hik")),
    ("The curtains in the room were green.", ("curtain", "room", "green", "colo", "cloth", "fabric")),
)  # fmt: skip
_IDLE_EASTERN = (
    ("窗外的天空很蓝。", ("天空", "天气", "窗")),
    ("墙上挂着一幅山水画。", ("画", "墙", "图")),
    ("远处传来一阵歌声。", ("歌", "音乐")),
    ("附近的图书馆建于1954年。", ("图书", "书", "年", "馆")),
    ("门口停着一辆红色的消防车。", ("车", "红", "门")),
    ("那天公园里正在举行有32人参加的象棋比赛。", ("公园", "棋", "比赛", "人")),
)
_COUNTS_ALL = re.compile(
    r"\b(?:objects?|items? (?:are|were) (?:mentioned|there)|things|animals|numbers? (?:is|are) (?:mentioned|in the))\b",
    re.IGNORECASE,
)


def reword(problem: Problem, rng: random.Random) -> Problem:
    """The problem with some phrases replaced by others of the same meaning, and some small numbers written out.

    Raises:
        Unchanged: it has formulas, or nothing in it has other words.
    """
    question = problem.question
    if is_formal(question) or problem.kind == "choice":
        raise Unchanged("a formula or options: words cannot be told from what is asked")
    eastern = is_japanese_or_chinese(question)
    spots = _alike(question, eastern=eastern) + _written_out(question, eastern=eastern)
    spots = _apart(spots)
    if not spots:
        raise Unchanged("no other words: no phrase in it is known")
    chosen = [spot for spot in spots if rng.random() < 0.75] or [rng.choice(spots)]
    for start, end, words in sorted(chosen, reverse=True):
        question = question[:start] + words + question[end:]
    return dataclasses.replace(problem, question=question)


def _alike(question: str, *, eastern: bool) -> list[tuple[int, int, str]]:
    known = _SAME_EASTERN if eastern else _SAME
    return [(*match.span(), other) for pattern, other in known for match in pattern.finditer(question)]


def _written_out(question: str, *, eastern: bool) -> list[tuple[int, int, str]]:
    """The small whole numbers that can be said in words."""
    words = _SMALL_EASTERN if eastern else _SMALL
    found = []
    for token in tokens(question):
        before, after = question[: token.start], question[token.end : token.end + 9]
        small = token.value.denominator == 1 and 2 < token.value < len(words) and token.of(question) == str(token.value)
        if small and token.is_free and not _NOT_IN_WORDS.match(after) and not _MONEY.search(before[-2:]):
            word = words[int(token.value)]
            starts = not before.strip() or before.rstrip()[-1:] in ".!?"
            found.append((token.start, token.end, word.capitalize() if starts else word))
    return found


def _apart(spots: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """The spots that do not overlap, the longer ones first."""
    kept: list[tuple[int, int, str]] = []
    for spot in sorted(spots, key=lambda spot: (spot[0] - spot[1], spot)):
        if all(spot[1] <= other[0] or spot[0] >= other[1] for other in kept):
            kept.append(spot)
    return kept


def irrelevant(problem: Problem, rng: random.Random) -> Problem:
    """The problem with a sentence that shares no subject with it, before its last sentence.

    Where the question has formulas the sentence stands in front of it.

    Raises:
        Unchanged: everything might be counted, or no sentence is idle here.
    """
    question = problem.question
    if _COUNTS_ALL.search(question):
        raise Unchanged("everything counts: what is asked may take in any thing that is named")
    low = question.casefold()
    known = _IDLE_EASTERN if is_japanese_or_chinese(question) else _IDLE
    idle = [sentence for sentence, subjects in known if not any(subject in low for subject in subjects)]
    if not idle:
        raise Unchanged("no idle sentence: each shares a subject with it")
    sentence = rng.choice(idle)
    joint = "" if known is _IDLE_EASTERN else " "
    parts = [question] if is_formal(question) or problem.kind == "choice" else list(sentences(question))
    if len(parts) < 2:
        changed = f"{sentence}{joint}{question.lstrip()}"
    else:
        before = "".join(parts[:-1])
        changed = f"{before}{'' if before[-1:].isspace() else joint}{sentence}{joint}{parts[-1]}"
    return dataclasses.replace(problem, question=changed)
