"""Losses against formulas written out by hand, and their gradients against finite differences."""

import math

import pytest
import torch
from torch.nn import functional

from porism import find
from porism.losses import logprobs
from porism.losses.binary import binary
from porism.losses.bradley_terry import bradley_terry
from porism.losses.cross_entropy import cross_entropy
from porism.losses.divergence import divergence
from porism.losses.kto import kto, reference_point
from porism.losses.preferences import Pairs

PREFERENCES = find.names("porism.losses.preferences")


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    torch.manual_seed(3)


@pytest.mark.parametrize("kept", [2**28, 0])
@pytest.mark.parametrize("chunk", [2**26, 4 * 50 * 3])
def test_log_probabilities_and_their_gradients(kept: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In chunks or at once, kept or computed again: what log_softmax and autograd give."""
    monkeypatch.setattr(logprobs, "_KEPT", kept)
    monkeypatch.setattr(logprobs, "_CHUNK", chunk)
    hidden, weight = torch.randn(11, 6, requires_grad=True), torch.randn(50, 6, requires_grad=True)
    targets, factor = torch.randint(50, (11,)), torch.randn(11)
    expected = torch.log_softmax(hidden @ weight.T, -1)[range(11), targets]
    theirs = torch.autograd.grad((expected * factor).sum(), (hidden, weight))
    found = logprobs.token_logprobs(hidden, weight, targets)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad((found * factor).sum(), (hidden, weight)), theirs)
    frozen = logprobs.token_logprobs(hidden, weight.detach(), targets)
    torch.testing.assert_close(torch.autograd.grad((frozen * factor).sum(), hidden)[0], theirs[0])
    torch.testing.assert_close(logprobs.selected(hidden @ weight.T, targets), expected)


def test_narrow_numbers_are_only_in_the_product() -> None:
    hidden, weight = torch.randn(4, 32, requires_grad=True), torch.randn(70, 32, requires_grad=True)
    found = logprobs.token_logprobs(hidden, weight, torch.arange(4), torch.bfloat16)
    expected = torch.log_softmax((hidden.bfloat16() @ weight.bfloat16().T).float(), -1)[range(4), range(4)]
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.dtype == weight.grad.dtype == torch.float32  # type: ignore[union-attr]


def test_weights_of_the_cross_entropy() -> None:
    logps, weights = torch.tensor([-1.0, -2.0, -4.0]), torch.tensor([1.0, 2.0, 0.5])
    assert float(cross_entropy(logps, weights, weights.sum())) == pytest.approx((1 + 4 + 2) / 3.5)
    assert float(cross_entropy(logps, 3 * weights, 3 * weights.sum())) == pytest.approx(2.0)


def pairs_of(numbers: torch.Tensor) -> Pairs:
    return Pairs(*numbers.view(4, -1).unbind(0), torch.tensor([3.0, 2.0]), torch.tensor([5.0, 4.0]))


@pytest.mark.parametrize("name", PREFERENCES)
def test_gradients_of_preference_losses_are_finite_differences(name: str) -> None:
    loss = find.find("porism.losses.preferences", name, "loss")
    options = {"robust": {"label_smoothing": 0.1}, "simpo": {"gamma": 0.5}}.get(name, {})

    def of(numbers: torch.Tensor) -> torch.Tensor:
        return loss(pairs_of(numbers), beta=0.4, **options)  # type: ignore[no-any-return]

    numbers = (-torch.rand(8, dtype=torch.float64) * 6 - 0.5).requires_grad_()
    assert torch.autograd.gradcheck(of, numbers)


def test_preference_losses_by_hand() -> None:
    numbers = torch.tensor([-3.0, -4.0, -9.0, -5.0, -3.5, -4.5, -8.0, -5.5])
    pairs = pairs_of(numbers)
    difference = [(-3 + 3.5) - (-9 + 8), (-4 + 4.5) - (-5 + 5.5)]
    by_token = [0.5 / 3 + 1 / 5, 0.5 / 2 - 0.5 / 4]

    def of(name: str, **options: float) -> list[float]:
        return find.find("porism.losses.preferences", name, "loss")(pairs, beta=0.5, **options).tolist()  # type: ignore[no-any-return]

    def softplus(value: float) -> float:
        return math.log1p(math.exp(value))

    assert of("sigmoid") == pytest.approx([softplus(-0.5 * one) for one in difference])
    assert of("hinge") == pytest.approx([max(0, 1 - 0.5 * one) for one in difference])
    assert of("ipo") == pytest.approx([(one - 1) ** 2 for one in by_token])
    assert of("sigmoid_norm") == pytest.approx([softplus(-0.5 * one) for one in by_token])
    assert of("robust", label_smoothing=0.0) == pytest.approx(of("sigmoid"))
    assert of("simpo", gamma=0.3) == pytest.approx(
        [softplus(0.3 - 0.5 * (-3 / 3 + 9 / 5)), softplus(0.3 - 0.5 * (-4 / 2 + 5 / 4))]
    )

    def odds(mean: float) -> float:
        return mean - math.log(1 - math.exp(mean))

    assert of("orpo") == pytest.approx(
        [0.5 * softplus(odds(-9 / 5) - odds(-1.0)), 0.5 * softplus(odds(-5 / 4) - odds(-2.0))], rel=1e-5
    )


def test_kto_pulls_wanted_answers_up_and_others_down() -> None:
    ratios = torch.tensor([0.5, 0.5], requires_grad=True)
    point = reference_point(torch.tensor([0.4, -0.2]))
    assert float(point) == pytest.approx(0.1)
    assert float(reference_point(torch.tensor([-1.0]))) == 0
    losses = kto(ratios, torch.tensor([True, False]), point, beta=2.0, desirable_weight=3.0)
    assert losses.tolist() == pytest.approx([3 * (1 - 1 / (1 + math.exp(-0.8))), 1 - 1 / (1 + math.exp(0.8))])
    (gradient,) = torch.autograd.grad(losses.sum(), ratios)
    assert gradient[0] < 0 < gradient[1]


def test_margins_and_centring() -> None:
    chosen, rejected = torch.tensor([2.0]), torch.tensor([1.0])
    plain = float(bradley_terry(chosen, rejected))
    assert plain == pytest.approx(math.log1p(math.exp(-1)))
    assert float(bradley_terry(chosen, rejected, torch.tensor([1.0]))) == pytest.approx(math.log(2))
    assert float(bradley_terry(chosen, rejected, centre=0.1)) == pytest.approx(plain + 0.9)
    assert float(binary(torch.tensor([0.0]), torch.tensor([0.25]))) == pytest.approx(math.log(2))


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_divergences(beta: float) -> None:
    student, teacher = (torch.randn(3, 7, dtype=torch.float64) for _ in range(2))
    p, q = torch.softmax(teacher, -1), torch.softmax(student, -1)
    mixed = beta * p + (1 - beta) * q

    def kl(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return functional.kl_div(right.log(), left, reduction="none").sum(-1)

    by_hand = {0.0: kl(p, q), 1.0: kl(q, p)}.get(beta, beta * kl(p, mixed) + (1 - beta) * kl(q, mixed))
    torch.testing.assert_close(divergence(student, teacher, beta=beta).double(), by_hand, rtol=1e-4, atol=1e-6)
    assert divergence(student, student, beta=beta).abs().max() < 1e-6
    hot = divergence(student, teacher, beta=beta, temperature=10.0)
    assert (hot < divergence(student, teacher, beta=beta)).all()
