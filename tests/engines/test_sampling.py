"""Choosing tokens: exact shares, and each setting has its effect."""

import math
import random

import pytest
import torch
from scipy import stats

from porism.engines import Request, Sampling
from porism.engines._sampling import choose, generator, logprobs
from porism.errors import RecipeError


def draw(logits: torch.Tensor, n: int, **settings: object) -> torch.Tensor:
    sampling = Sampling(**{"temperature": 1.0, **settings})  # type: ignore[arg-type]
    return choose(logits.repeat(n, 1), sampling, [random.Random(number) for number in range(n)])


@pytest.mark.parametrize("width", [7, 256, 1_000])
@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_shares_pass_a_chi_square_test(width: int, temperature: float) -> None:
    logits = torch.randn(width, generator=torch.Generator().manual_seed(width)) * 2
    n = 60_000
    counts = torch.bincount(draw(logits, n, temperature=temperature), minlength=width).double()
    expected = torch.softmax(logits.double() / temperature, -1) * n
    common = expected >= 5
    observed = [*counts[common].tolist(), counts[~common].sum().item()]
    wanted = [*expected[common].tolist(), expected[~common].sum().item()]
    if wanted[-1] < 1e-9:
        observed, wanted = observed[:-1], wanted[:-1]
    assert stats.chisquare(observed, wanted).pvalue > 1e-4


def test_top_k_min_p_and_top_p_cut_off() -> None:
    logits = torch.log(torch.tensor([0.4, 0.3, 0.2, 0.06, 0.04]))
    assert set(draw(logits, 500, top_k=2).tolist()) == {0, 1}
    assert set(draw(logits, 500, min_p=0.45).tolist()) == {0, 1, 2}
    assert set(draw(logits, 500, top_p=0.65).tolist()) == {0, 1}
    assert set(draw(logits, 500, top_p=0.71).tolist()) == {0, 1, 2}
    assert set(draw(logits, 2_000).tolist()) == {0, 1, 2, 3, 4}


def test_top_p_of_a_flat_distribution_keeps_more_than_are_sorted_at_first() -> None:
    found = set(draw(torch.zeros(5_000) + torch.arange(5_000) * 1e-6, 4_000, top_p=0.9).tolist())
    assert min(found) >= 490
    assert len(found) > 2_000


def test_bias_forbids_and_forces() -> None:
    logits = torch.zeros(10)
    assert set(draw(logits, 200, logit_bias=((3, 50.0),)).tolist()) == {3}
    assert 3 not in draw(logits, 500, logit_bias=((3, -50.0),)).tolist()
    assert choose(torch.zeros(1, 10), Sampling(logit_bias=((7, 1.0),)), []).tolist() == [7]


def test_what_a_guide_forbids_is_not_drawn() -> None:
    allowed = torch.zeros(100, 300, dtype=torch.bool)
    allowed[:, 298] = allowed[:, 5] = True
    tokens = choose(torch.zeros(100, 300), Sampling(temperature=1.0), [random.Random(n) for n in range(100)], allowed)
    assert set(tokens.tolist()) == {5, 298}


@pytest.mark.parametrize("number", [0.0, 1 - 2**-53])
def test_the_ends_of_the_unit_interval(number: float) -> None:
    class Fixed(random.Random):
        def random(self) -> float:
            return number

    logits = torch.full((1, 600), float("-inf"))
    logits[0, [17, 280, 511]] = 1.0
    token = choose(logits, Sampling(temperature=1.0), [Fixed()]).item()
    assert token == (17 if number == 0 else 511)


def test_logprobs_are_the_models_own() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    expected = 2 - math.log(math.exp(1) + math.exp(2) + math.exp(3))
    assert logprobs(logits, torch.tensor([1])).item() == pytest.approx(expected, abs=1e-6)


def test_generators_differ_by_seed_and_sample() -> None:
    numbers = {generator(seed, sample).random() for seed in range(20) for sample in range(20)}
    assert len(numbers) == 400
    assert generator(3, 4).random() == generator(3, 4).random()


@pytest.mark.parametrize("temperature", [1e-320, 1e-45, 1e-39, 1e-7])
def test_the_coldest_temperatures_take_the_likeliest(temperature: float) -> None:
    logits = torch.tensor([-3.0, 20.0, 19.9, 4.0])
    assert draw(logits, 20, temperature=temperature, top_p=0.9).tolist() == [1] * 20


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": "hot"}, "temperature: expected a number, got 'hot'"),
        ({"temperature": math.inf}, "temperature: expected at least 0, and finite, got inf"),
        ({"temperature": math.nan}, "temperature: expected at least 0, and finite, got nan"),
        ({"top_p": None}, "top_p: expected a number, got None"),
        ({"max_tokens": 4.5}, "max_tokens: expected a whole number, got 4.5"),
        ({"stop": "END"}, "stop: expected a tuple of texts, such as ('END',), got 'END'"),
        ({"stop": ["END"]}, "stop: expected a tuple of texts, such as ('END',), got ['END']"),
        ({"logit_bias": {5: 1.0}}, "logit_bias: expected a tuple of pairs (token id, finite number), got {5: 1.0}"),
        ({"logit_bias": ((5, math.nan),)}, "logit_bias: expected a tuple of pairs (token id, finite number)"),
        ({"logit_bias": ((5,),)}, "logit_bias: expected a tuple of pairs (token id, finite number)"),
        ({"json_schema": {"type": "object"}}, "json_schema: expected a text, got {'type': 'object'}"),
        ({"regex": 3}, "regex: expected a text, got 3"),
    ],
)
def test_values_of_another_type_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Sampling(**settings)  # type: ignore[arg-type]
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"messages": "hello"}, "messages: expected a list of {'role': text, 'content': text}, got 'hello'"),
        ({"messages": [{"content": "x"}]}, "messages: expected a list"),
        ({"messages": [{"role": "user", "content": None}]}, "messages: expected a list"),
        ({"ids": [1.5]}, "ids: expected whole numbers, got [1.5]"),
        ({"text": ["a"]}, "text: expected a text, got ['a']"),
        ({"text": "a", "n": 1.5}, "n: expected at least 1, and whole, got 1.5"),
        ({"text": "a", "n": 0}, "n: expected at least 1, and whole, got 0"),
        ({"text": "a", "first": -1}, "first: expected at least 0, and whole, got -1"),
    ],
)
def test_requests_that_are_none_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Request(**values)  # type: ignore[arg-type]
    assert said in str(caught.value)
