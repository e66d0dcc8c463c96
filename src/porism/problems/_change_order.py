"""The sentences of a question in another order, where none leans on the one before it.

Chen et al., 2024, arXiv:2402.08939 (premise order), permute premises by hand; here it is done only where every sentence
stands by itself: it has no pronoun, no "the", no word of a sequence and no share of something. Else the question goes
to the front, if it has no pronoun: every premise then keeps its place among the others.
"""

from __future__ import annotations

import dataclasses
import random
import re

from porism.problems._changing import Unchanged, is_formal, is_japanese_or_chinese, sentences
from porism.records import Problem

__all__ = ["order"]

_PRONOUN = re.compile(
    r"\b(?:he|she|it|they|him|his|her|hers|its|them|their|theirs|himself|herself|itself|themselves|this|that|these"
    r"|those|there|here|ones?|both|such)\b",
    re.IGNORECASE,
)
_LEANS = re.compile(
    r"\b(?:the|then|next|after|afterwards|before|later|earlier|now|first|second|third|last|lastly|finally|also|too"
    r"|another|others?|rest|remaining|remainder|left|again|same|so|but|however|therefore|thus|hence|instead|still|meanwhile"
    r"|while|when|once|until|since|half|quarter|percent|doubles?|doubled|triples?|tripled|halves|halved|increases?|decreases?"
    r"|increased|decreased|rises?|rose|falls?|fell|above|below|following|previous|previously|respectively|if)\b|%"
    r"|\bmore\b(?!(?: \w+)? than)|\d/\d",
    re.IGNORECASE,
)
_LEANS_IN_QUESTION = re.compile(r"\b(?:above|below|following|previous|previously|respectively|then)\b", re.IGNORECASE)


def order(problem: Problem, rng: random.Random) -> Problem:
    """The problem with its premises in another order, or with the question in front of them.

    Raises:
        Unchanged: formulas, options or one sentence; or sentences lean on one another.
    """
    question = problem.question
    if is_formal(question) or problem.kind == "choice" or is_japanese_or_chinese(question):
        raise Unchanged("a formula, options or a script without capitals: sentences cannot be told")
    parts = [part.strip() for part in sentences(question.strip())]
    if len(parts) < 2:
        raise Unchanged("one sentence: there is nothing to be put in order")
    *premises, asked = parts
    if not asked.endswith("?") or any("?" in part for part in premises):
        raise Unchanged("no question at the end, or another before it")
    if any("\n" in part for part in parts):
        raise Unchanged("lines: their order may be meant")
    alone = len(set(premises)) > 1 and not any(_PRONOUN.search(part) or _LEANS.search(part) for part in premises)
    first = not (_PRONOUN.search(asked) or _LEANS_IN_QUESTION.search(asked))
    if alone and (not first or rng.random() < 0.5):
        mixed = premises[:]
        while mixed == premises:
            rng.shuffle(mixed)
        return dataclasses.replace(problem, question=" ".join([*mixed, asked]))
    if first:
        return dataclasses.replace(problem, question=" ".join([asked, *premises]))
    raise Unchanged("sentences that lean on one another: another order may mean something else")
