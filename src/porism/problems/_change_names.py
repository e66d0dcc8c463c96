"""Other first names in a problem.

A name is replaced by one that is used for the same gender, so that pronouns stay right, everywhere in question, solution
and options. Names that are also words (Will, May, Grace, Mark) are not touched.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from porism.problems._changing import Unchanged
from porism.records import Problem

__all__ = ["names"]

_HERS = (
    "Abigail Alice Alicia Amanda Amelia Amy Andrea Angela Anna Annie Audrey Barbara Becky Betty Bianca Brenda Bridget Camila Carla"
    " Carol Caroline Catherine Cecilia Charlotte Chloe Christina Cindy Clara Claire Courtney Cynthia Daniela Deborah Diana"
    " Donna Dorothy Elena Eliza Elizabeth Ella Ellen Emily Emma Erica Erin Esther Eva Fatima Fiona Frances Gabriela"
    " Georgia Gina Gloria Hannah Harriet Heather Helen Irene Isabel Isabella Jane Janet Janice Jasmine Jenna Jennifer Jenny"
    " Jessica Joanna Josephine Joyce Judith Julia Juliana Julie Karen Karina Katherine Kathleen Katie Kayla Kelly Kimberly"
    " Kristen Laura Lauren Leah Lena Leila Lillian Linda Lisa Liz Lola Lucia Lucy Lydia Mabel Madison Maria Mariah Marie"
    " Marina Marissa Martha Mary Megan Melanie Melissa Mia Michelle Mila Miranda Molly Monica Nadia Nancy Naomi Natalia"
    " Natalie Nicole Nina Nora Olga Olivia Pamela Patricia Paula Peggy Priya Rachel Rebecca Renee Rita Rosa Roxanne Samantha"
    " Sandra Sara Sarah Shannon Sharon Sheila Shirley Sofia Sonia Sophia Sophie Stacy Stella Stephanie Susan Susie Sylvia Tamara"
    " Tanya Tara Teresa Tessa Theresa Tina Tracy Valerie Vanessa Vera Veronica Victoria Virginia Vivian Wendy Yolanda"
    " Yvonne Zoe"
).split()
_HIS = (
    "Aaron Abdul Adam Adrian Alan Albert Alberto Alejandro Alexander Alfred Allan Andre Andrew Anthony Antonio Arnold Arthur Austin"
    " Barry Ben Benjamin Bernard Bob Bobby Brad Bradley Brandon Brendan Brian Bruce Bryan Caleb Calvin Carl Carlos Cedric Charles"
    " Charlie Christopher Colin Conrad Craig Damian Daniel Darren Dave David Dennis Derek Diego Dmitri Donald Douglas Dustin"
    " Dylan Edgar Eduardo Edward Edwin Eli Elias Elijah Emilio Enrique Eric Ernest Ethan Eugene Felix Fernando Francisco"
    " Franklin Fred Freddy Gabriel Gary Geoffrey George Gerald Gilbert Gordon Greg Gregory Gustavo Harold Harry Hector"
    " Henry Herbert Howard Hugo Ian Isaac Ivan Jackson Jacob Jake James Jason Javier Jeff Jeffrey Jeremy Jerome Jerry Jim Jimmy"
    " Joe Joel John Johnny Jonathan Jorge Jose Joseph Joshua Juan Julian Justin Karl Keith Ken Kenneth Kevin Kyle Lamar Larry Leo"
    " Leon Leonard Leroy Liam Logan Louis Lucas Luis Luke Malik Manuel Marco Marcus Mario Martin Marvin Mateo Matthew"
    " Maurice Melvin Micah Michael Miguel Mike Mitchell Mohamed Nathan Neil Nicholas Noah Norman Oliver Omar Oscar Owen Pablo"
    " Patrick Paul Pedro Peter Philip Rafael Ralph Ramon Randy Raul Raymond Reggie Ricardo Richard Rick Robert Roberto Rodney"
    " Roger Roland Ronald Ross Roy Ruben Russell Ryan Samuel Scott Sean Sebastian Sergio Seth Shane Shawn Simon Stanley"
    " Stephen Steve Steven Stuart Ted Terrence Theodore Thomas Tim Timothy Todd Tom Tommy Tony Travis Trevor Tyler Victor Vincent"
    " Walter Warren Wayne Wesley William Zachary"
).split()
_EASTERN_HERS = "小红 小丽 小芳 小美 小燕 小敏 小娟 小玲 小兰 小梅 小雪 小婷".split()
_EASTERN_HIS = "小明 小刚 小军 小强 小东 小杰 小亮 小勇 小华 小伟 小磊 小鹏".split()
_LISTS = (_HERS, _HIS, _EASTERN_HERS, _EASTERN_HIS)
_LIST_OF = {name: known for known in _LISTS for name in known}
_WESTERN = re.compile(r"(?<![A-Za-z])[A-Z][a-z]{1,12}(?![A-Za-z])")
_EASTERN = re.compile("|".join([*_EASTERN_HERS, *_EASTERN_HIS]))
_SPELT = re.compile(r"\b(?:letters?|alphabet\w*|vowels?|consonants?|initials?|palindrome|spell\w*)\b|笔画|字母", re.IGNORECASE)


def names(problem: Problem, rng: random.Random) -> Problem:
    """The problem with every known first name replaced by another.

    Raises:
        Unchanged: it has none, or their letters count.
    """
    if _SPELT.search(problem.question):
        raise Unchanged("letters count: the answer may depend on how a name is written")
    found = list(dict.fromkeys([*_WESTERN.findall(problem.question), *_EASTERN.findall(problem.question)]))
    known = [name for name in found if name in _LIST_OF]
    if not known:
        raise Unchanged("no name: the question has no first name that is known")
    everything = f"{problem.question}\n{problem.solution}\n{problem.answer}"
    taken = {name for name in _LIST_OF if name in everything}
    other: dict[str, str] = {}
    for name in known:
        choice = [name for name in _LIST_OF[name] if name not in taken]
        if not choice:
            raise Unchanged("no name is left that does not stand in it")
        other[name] = rng.choice(choice)
        taken.add(other[name])
    pattern = re.compile("|".join(rf"(?<![A-Za-z]){name}(?![A-Za-z])" if name.isascii() else name for name in other))
    return dataclasses.replace(
        problem,
        question=_renamed(problem.question, pattern, other),
        answer=_renamed(problem.answer, pattern, other),
        solution=_renamed(problem.solution, pattern, other),
        meta=_renamed(problem.meta, pattern, other),
    )


def _renamed(value: Any, pattern: re.Pattern[str], other: Mapping[str, str]) -> Any:
    """A value with the names in all its texts replaced."""
    if isinstance(value, str):
        return pattern.sub(lambda match: other[match[0]], value)
    if isinstance(value, Mapping):
        return {key: _renamed(item, pattern, other) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_renamed(item, pattern, other) for item in value]
    return value
