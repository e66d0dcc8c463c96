"""Policy-gradient algorithms: advantages against closed forms, losses against formulas written out by hand."""

import math

import pytest
import torch

from porism import find
from porism.losses.kl import kl
from porism.losses.policy import (
    Rollouts,
    Tokens,
    averaged,
    clipped,
    expert,
    grpo,
    gspo,
    ppo,
    reinforce_plus_plus,
    rloo,
    whitened,
)

ALGORITHMS = find.names("porism.losses.policy")
LENGTHS = [2, 3, 1, 2]
NAN = float("nan")


def rollouts(rewards: list[float], penalty: list[float] | None = None, values: list[float] | None = None) -> Rollouts:
    """Two problems with two answers each, of 2, 3, 1 and 2 tokens."""
    return Rollouts(
        rewards=torch.tensor(rewards),
        group=torch.tensor([0, 0, 1, 1]),
        answer=torch.arange(4).repeat_interleave(torch.tensor(LENGTHS)),
        penalty=torch.tensor(penalty or [0.0] * 8),
        values=torch.tensor(values) if values else None,
    )


def tokens(log_ratio: torch.Tensor, advantages: torch.Tensor, **more: torch.Tensor) -> Tokens:
    lengths = torch.tensor(LENGTHS, dtype=log_ratio.dtype)
    return Tokens(
        logps=log_ratio,
        old=torch.zeros_like(log_ratio),
        advantages=advantages,
        answer=torch.arange(4).repeat_interleave(torch.tensor(LENGTHS)),
        lengths=lengths,
        answers=torch.tensor(4.0),
        tokens=lengths.sum(),
        weights=more.pop("weights", torch.ones_like(log_ratio)),
        **more,
    )


def by_answer(found: torch.Tensor) -> list[float]:
    """One number an answer; it must be the same at all of its tokens."""
    parts = found.split(LENGTHS)
    assert all(bool((part == part[0]).all()) for part in parts)
    return [float(part[0]) for part in parts]


def test_group_advantages() -> None:
    """With two answers 1 and 0: half of the difference, over a deviation of √½."""
    found = by_answer(grpo.advantages(rollouts([1.0, 0.0, 3.0, 3.0])).advantages)
    assert found == pytest.approx([0.5 / (math.sqrt(0.5) + 1e-4), -0.5 / (math.sqrt(0.5) + 1e-4), 0.0, 0.0])
    found = by_answer(grpo.advantages(rollouts([1.0, 0.0, 3.0, 5.0]), scale="none").advantages)
    assert found == pytest.approx([0.5, -0.5, -1.0, 1.0])
    rewards = torch.tensor([1.0, 0.0, 3.0, 5.0])
    found = by_answer(grpo.advantages(rollouts([1.0, 0.0, 3.0, 5.0]), scale="batch").advantages)
    assert found == pytest.approx([float(one / (rewards.std() + 1e-4)) for one in (0.5, -0.5, -1.0, 1.0)])


def test_leave_one_out() -> None:
    assert by_answer(rloo.advantages(rollouts([1.0, 0.0, 3.0, 5.0])).advantages) == pytest.approx(
        [1.0, -1.0, -2.0, 2.0]
    )
    found = torch.tensor([1.0, -1.0, -2.0, 2.0])
    whole = by_answer(rloo.advantages(rollouts([1.0, 0.0, 3.0, 5.0]), normalise=True).advantages)
    assert whole == pytest.approx((found / (found.std() + 1e-4)).tolist())


def test_leave_one_out_is_the_group_mean_stretched() -> None:
    """RLOO's advantage is n / (n − 1) times reward minus group mean."""
    for seed in range(5):
        rewards = torch.rand(4, generator=torch.Generator().manual_seed(seed)).tolist()
        left = by_answer(rloo.advantages(rollouts(rewards)).advantages)
        mean = by_answer(grpo.advantages(rollouts(rewards), scale="none").advantages)
        assert left == pytest.approx([2 * one for one in mean], abs=1e-6)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_answer_without_a_reward_has_no_part(name: str) -> None:
    """Its advantage is 0, and those of the other problem are what they would be without it."""
    module = {"grpo": grpo, "gspo": gspo, "rloo": rloo, "ppo": ppo, "expert": expert}.get(name, reinforce_plus_plus)
    found = module.advantages(rollouts([1.0, 0.0, NAN, 5.0])).advantages
    assert not torch.isnan(found).any()
    assert found[5] == 0
    assert module.advantages(rollouts([NAN] * 4)).advantages.tolist() == [0.0] * 8


@pytest.mark.parametrize("reward", [1.1, 0.1, 1 / 3, -7.3])
@pytest.mark.parametrize("size", [3, 7, 8])
def test_equal_rewards_leave_nothing(reward: float, size: int) -> None:
    """Not even a rounding error, which Adam would make steps of full size from."""
    given = Rollouts(
        rewards=torch.full((2 * size,), reward),
        group=torch.arange(2).repeat_interleave(size),
        answer=torch.arange(2 * size).repeat_interleave(3),
        penalty=torch.zeros(6 * size),
    )
    for scale in ("group", "batch", "none"):
        assert not grpo.advantages(given, scale=scale).advantages.any()
    for normalise in (False, True):
        assert not rloo.advantages(given, normalise=normalise).advantages.any()
    for baseline in (False, True):
        assert not reinforce_plus_plus.advantages(given, baseline=baseline).advantages.any()
    assert not ppo.advantages(given, gae_lambda=1.0).advantages.any()


def test_whitening() -> None:
    numbers, judged = torch.tensor([1.0, 2.0, 9.0, 6.0]), torch.tensor([True, True, False, True])
    found = whitened(numbers, judged)
    assert found[2] == 0
    assert found[judged].tolist() == pytest.approx([-2 / math.sqrt(7), -1 / math.sqrt(7), 3 / math.sqrt(7)])
    assert whitened(numbers, torch.tensor([False, True, False, False])).tolist() == [0.0, 2.0, 0.0, 0.0]


def test_the_penalty_is_taken_off() -> None:
    penalty = [0.1, 0.2, 0.0, 0.0, 0.0, 0.4, 0.0, 0.0]
    assert by_answer(rloo.advantages(rollouts([1.0, 0.0, 3.0, 5.0], penalty)).advantages) == pytest.approx(
        [0.7, -0.7, -2.4, 2.4]
    )
    found = reinforce_plus_plus.advantages(rollouts([1.0, 0.0, 3.0, 5.0], penalty)).advantages
    plain = torch.tensor([0.5 - 0.3, 0.5 - 0.2, -0.5, -0.5, -0.5, -1.4, 1.0, 1.0])  # what is still to come
    torch.testing.assert_close(found, (plain - plain.mean()) / (plain.std() + 1e-8))
    plain = torch.tensor([1 - 0.3, 1 - 0.2, 0.0, 0.0, 0.0, 2.6, 5.0, 5.0])
    found = reinforce_plus_plus.advantages(rollouts([1.0, 0.0, 3.0, 5.0], penalty), baseline=False).advantages
    torch.testing.assert_close(found, (plain - plain.mean()) / (plain.std() + 1e-8))


def test_generalised_advantages() -> None:
    """λ = 1: returns minus values; λ = 0: one step ahead; between, the sum that the paper's equation 16 has."""
    values = [0.5, 0.2, 0.1, 0.3, 0.4, 0.0, 0.6, 0.7]
    penalty = [0.1, 0.0, 0.0, 0.05, 0.0, 0.0, 0.0, 0.2]
    given = rollouts([1.0, 0.0, 3.0, 5.0], penalty, values)
    step = torch.tensor([-0.1, 1.0, 0.0, -0.05, 0.0, 3.0, 0.0, 4.8])
    ends = {1, 4, 5, 7}
    following = [0.0 if at in ends else values[at + 1] for at in range(8)]
    delta = step + 0.9 * torch.tensor(following) - torch.tensor(values)
    for lam in (0.0, 0.95, 1.0):
        expected = []
        for start, length in zip((0, 2, 5, 6), LENGTHS, strict=True):
            expected += [
                sum((0.9 * lam) ** (k - at) * float(delta[k]) for k in range(at, start + length))
                for at in range(start, start + length)
            ]
        found = ppo.advantages(given, gamma=0.9, gae_lambda=lam, whiten=False)
        torch.testing.assert_close(found.advantages, torch.tensor(expected))
        torch.testing.assert_close(found.returns, torch.tensor(expected) + torch.tensor(values))
    white = ppo.advantages(given).advantages
    assert float(white.mean()) == pytest.approx(0, abs=1e-6)
    assert float(white.std()) == pytest.approx(1, abs=1e-5)


def test_expert_iteration_learns_from_good_answers_alone() -> None:
    found = by_answer(expert.advantages(rollouts([1.0, 0.5, NAN, 2.0])).advantages)
    assert found == [1.0, 0.0, 0.0, 1.0]
    assert by_answer(expert.advantages(rollouts([1.0, 0.5, NAN, 2.0]), least_reward=0.5).advantages) == [
        1.0,
        1.0,
        0.0,
        1.0,
    ]
    logps = -torch.rand(8)
    loss = expert.loss(tokens(logps, torch.tensor([1.0, 1, 0, 0, 0, 0, 1, 1]))).loss
    assert float(loss) == pytest.approx(-float(logps[[0, 1, 6, 7]].sum()) / 8)


def test_clipping() -> None:
    log_ratio = torch.tensor([math.log(1.5), math.log(0.5), math.log(1.5), math.log(0.5), 0.0])
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0, 2.0])
    found, cut = clipped(log_ratio, advantages, 0.2, 0.28)
    assert found.tolist() == pytest.approx([-1.28, -0.5, 1.5, 0.8, -2.0])
    assert cut.tolist() == [True, False, False, True, False]


def test_three_averages() -> None:
    each = torch.arange(8.0)
    given = tokens(each, each)
    assert float(averaged(each, given, "token", 10)) == pytest.approx(28 / 8)
    assert float(averaged(each, given, "constant", 10)) == pytest.approx(28 / 40)
    assert float(averaged(each, given, "answer", 10)) == pytest.approx((0.5 + 3 + 5 + 6.5) / 4)


def test_a_sequence_has_one_ratio() -> None:
    """GSPO: the geometric mean of its tokens' ratios; RLOO: their product."""
    log_ratio = torch.tensor([0.1, -0.3, 0.2, 0.2, -0.1, 0.05, 0.0, 0.4])
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0, -1.0, 2.0, 0.5, 0.5])
    means, sums = [-0.1, 0.1, 0.05, 0.2], [-0.2, 0.3, 0.05, 0.4]
    each = torch.tensor([1.0, -1.0, 2.0, 0.5])

    def by_hand(logs: list[float], low: float, high: float) -> float:
        ratio = torch.tensor(logs).exp()
        return float(-torch.minimum(ratio * each, ratio.clamp(1 - low, 1 + high) * each).mean())

    assert float(gspo.loss(tokens(log_ratio, advantages), clip_low=0.05, clip_high=0.08).loss) == pytest.approx(
        by_hand(means, 0.05, 0.08)
    )
    assert float(rloo.loss(tokens(log_ratio, advantages), clip_low=0.1, clip_high=0.2).loss) == pytest.approx(
        by_hand(sums, 0.1, 0.2)
    )


def test_the_critic() -> None:
    """Half the squared error, of the value or of the clipped value, whichever is worse."""
    old, seen = torch.zeros(8), torch.tensor([0.5, 0.1, -0.5, 0.0, 0.0, 1.0, 0.3, 0.2])
    returns = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.1, 0.0, 0.2])
    more = {"values": seen, "old_values": old, "returns": returns}
    zero = tokens(torch.zeros(8), torch.zeros(8), **more)
    near = seen.clamp(-0.2, 0.2)
    worse = torch.maximum((seen - returns) ** 2, (near - returns) ** 2)
    assert float(ppo.loss(zero, value_weight=0.5).loss) == pytest.approx(0.25 * float(worse.mean()))
    plain = ppo.loss(zero, value_weight=0.5, value_clip=0.0)
    assert float(plain.loss) == pytest.approx(0.25 * float(((seen - returns) ** 2).mean()))
    assert float(plain.figures["value_loss"]) == pytest.approx(0.5 * float(((seen - returns) ** 2).mean()))


@pytest.mark.parametrize("name", ["grpo", "gspo", "rloo", "ppo", "reinforce_plus_plus"])
def test_weights_and_the_divergence_reach_the_loss(name: str) -> None:
    module = {"grpo": grpo, "gspo": gspo, "rloo": rloo, "ppo": ppo}.get(name, reinforce_plus_plus)
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0, -1.0, 2.0, 0.5, 0.5])
    plain = module.loss(tokens(torch.zeros(8), advantages)).loss
    half = module.loss(tokens(torch.zeros(8), advantages, weights=torch.full((8,), 0.5))).loss
    assert float(half) == pytest.approx(float(plain) / 2)
    apart = module.loss(tokens(torch.zeros(8), advantages, divergence=torch.full((8,), 0.25))).loss
    assert float(apart - plain) == pytest.approx(0.5 if name == "rloo" else 0.25)  # of a whole answer there: 2 tokens


@pytest.mark.parametrize("name", ALGORITHMS)
def test_gradients_are_finite_differences(name: str) -> None:
    loss = find.find("porism.losses.policy", name, "loss")
    generator = torch.Generator().manual_seed(1)
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0, -1.0, 2.0, 0.5, 0.5], dtype=torch.float64)
    options = {"gspo": {"clip_low": 0.1, "clip_high": 0.1}}.get(name, {})

    def of(log_ratio: torch.Tensor) -> torch.Tensor:
        return loss(tokens(log_ratio, advantages), **options).loss  # type: ignore[no-any-return]

    numbers = (torch.rand(8, dtype=torch.float64, generator=generator) * 0.6 - 0.3).requires_grad_()
    assert torch.autograd.gradcheck(of, numbers)


def test_estimators_of_the_divergence() -> None:
    """Exact over a small distribution: k1 and k3 have the true mean; k2 is near; k3 is never negative."""
    torch.manual_seed(0)
    policy = torch.log_softmax(torch.randn(50, dtype=torch.float64), 0)
    reference = torch.log_softmax(policy + 0.1 * torch.randn(50, dtype=torch.float64), 0)
    true = float((policy.exp() * (policy - reference)).sum())
    means = {name: float((policy.exp() * kl(policy, reference, name)).sum()) for name in ("k1", "k2", "k3")}
    assert means["k1"] == pytest.approx(true)
    assert means["k3"] == pytest.approx(true)
    assert means["k2"] == pytest.approx(true, rel=0.1)
    assert means["k2"] != pytest.approx(true)
    assert (kl(policy, reference, "k3") >= 0).all()
    assert (kl(policy, reference, "k1") < 0).any()
