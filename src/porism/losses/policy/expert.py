"""Expert iteration: supervised learning on the model's own answers that are good, round after round.

Anthony et al., 2017, arXiv:1705.08439; for language models rejection sampling (RAFT: Dong et al., 2023,
arXiv:2304.06767; STaR: Zelikman et al., 2022, arXiv:2203.14465). Nothing is learnt from an answer with a reward below
``least_reward``.
"""

from __future__ import annotations

import torch

from porism.losses.policy import Average, Estimates, Minimised, Rollouts, Tokens, averaged, spread

__all__ = ["advantages", "loss"]


def advantages(rollouts: Rollouts, *, least_reward: float = 1.0) -> Estimates:
    """1 at the tokens of answers whose reward is at least ``least_reward``, else 0: [N].

    Args:
        rollouts: with rewards.
        least_reward: of an answer that is learnt.
    """
    good = torch.nan_to_num(rollouts.rewards, nan=-torch.inf) >= least_reward
    return Estimates(spread(good.to(rollouts.penalty.dtype), rollouts.answer))


def loss(tokens: Tokens, *, average: Average = "token", max_tokens: int = 256) -> Minimised:
    """Cross-entropy of the good answers, and the divergence where it belongs to the loss.

    Args:
        tokens: the micro-batch.
        average: see :func:`porism.losses.policy.averaged`; the counts are of all answers, the others add nothing.
        max_tokens: longest answer, for ``average constant``.
    """
    return Minimised(averaged(-tokens.logps * tokens.advantages, tokens, average, max_tokens))
