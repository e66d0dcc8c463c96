"""Named tuples in a function's signature are settings of their own."""

from typing import Annotated, NamedTuple

import pytest
from pydantic import Field

from porism import recipe
from porism.errors import RecipeError


class Size(NamedTuple):
    width: Annotated[int, Field(description="of the thing", ge=1)] = 2
    height: int = 3


class Named(NamedTuple):
    size: str
    colour: str = "red"


@recipe.flat
def shown(thing: str, *, size: Size, named: Named, times: int = 1) -> str:
    return f"{thing} {size.width}x{size.height} {named.size} {named.colour} {times}"


def test_fields_are_settings_and_are_collected_again() -> None:
    kind = recipe.settings_of(shown, recipe.Settings)
    assert list(kind.model_fields) == ["width", "height", "size", "colour", "times"]
    assert kind.model_fields["width"].description == "of the thing"
    settings = recipe.build(kind, {"size": "big", "height": 9}, "test")
    assert recipe.bind(shown, settings)("box") == "box 2x9 big red 1"
    assert shown("box", size="small", times=4) == "box 2x3 small red 4"


def test_what_is_wrong_with_a_field_is_said_as_of_any_setting() -> None:
    kind = recipe.settings_of(shown, recipe.Settings)
    with pytest.raises(RecipeError, match="test: width: input should be greater than or equal to 1, got 0"):
        recipe.build(kind, {"size": "x", "width": 0}, "test")
    with pytest.raises(RecipeError, match="test: the setting 'size' is required"):
        recipe.build(kind, {}, "test")


def test_two_groups_cannot_have_a_field_of_the_same_name() -> None:
    with pytest.raises(ValueError, match="duplicate parameter name"):

        @recipe.flat
        def twice(*, one: Size, other: Size) -> None:
            pass
