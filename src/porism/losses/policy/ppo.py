"""Proximal policy optimisation with a critic: generalised advantages, clipped values.

Schulman et al., 2017, arXiv:1707.06347; advantages: Schulman et al., 2015, arXiv:1506.02438; what matters in practice:
Huang et al., "The N implementation details of RLHF with PPO", 2023. A token is a step; the reward comes at the last
token, and the divergence from the reference is taken off at every token, or is part of the loss.
"""

from __future__ import annotations

import torch

from porism.losses.policy import Average, Estimates, Minimised, Rollouts, Tokens, surrogate, whitened

__all__ = ["CRITIC", "KL", "advantages", "loss"]

CRITIC = True
KL = "reward"


def advantages(rollouts: Rollouts, *, gamma: float = 1.0, gae_lambda: float = 0.95, whiten: bool = True) -> Estimates:
    """Generalised advantages and the returns that the critic is to expect: [N] each.

    Args:
        rollouts: with rewards, penalties and values.
        gamma: a token later counts this much less.
        gae_lambda: 1: returns minus values, no bias; 0: one step ahead, little variance.
        whiten: make the advantages of the batch have mean 0 and deviation 1.
    """
    values = rollouts.values if rollouts.values is not None else torch.zeros_like(rollouts.penalty)
    lengths = torch.bincount(rollouts.answer, minlength=len(rollouts.rewards)).tolist()
    parts = zip(rollouts.rewards, torch.split(values, lengths), torch.split(rollouts.penalty, lengths), strict=True)
    found = torch.cat([_generalised(*part, gamma, gae_lambda) for part in parts])
    judged = ~torch.isnan(rollouts.rewards)[rollouts.answer]
    returns = torch.where(judged, found + values, values)
    return Estimates(whitened(found, judged) if whiten else torch.where(judged, found, 0.0), returns)


def loss(
    tokens: Tokens,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    average: Average = "token",
    max_tokens: int = 256,
    value_clip: float = 0.2,
    value_weight: float = 0.1,
) -> Minimised:
    """The clipped objective, plus the critic's squared error times its weight.

    Args:
        tokens: the micro-batch, with values.
        clip_low: see :func:`porism.losses.policy.clipped`.
        clip_high: see there.
        average: see :func:`porism.losses.policy.averaged`.
        max_tokens: longest answer, for ``average constant``.
        value_clip: a value that moved further than this from the old one counts as if it had not; 0: no limit.
        value_weight: weight of the critic's error.
    """
    policy = surrogate(tokens.logps - tokens.old, tokens, (clip_low, clip_high), average, max_tokens)
    if tokens.values is None or tokens.old_values is None or tokens.returns is None:
        return policy
    error = (tokens.values - tokens.returns) ** 2
    if value_clip:
        near = tokens.old_values + (tokens.values - tokens.old_values).clamp(-value_clip, value_clip)
        error = torch.maximum(error, (near - tokens.returns) ** 2)
    critic = 0.5 * error.sum() / tokens.tokens
    return Minimised(policy.loss + value_weight * critic, {**policy.figures, "value_loss": critic.detach()})


def _generalised(
    reward: torch.Tensor, values_T: torch.Tensor, penalty_T: torch.Tensor, gamma: float, gae_lambda: float
) -> torch.Tensor:
    """Advantages of one answer, from its last token back: A_t = δ_t + γλ·A_{t+1}, δ_t = r_t + γ·V_{t+1} − V_t."""
    rewards = (-penalty_T).tolist()
    values = [*values_T.tolist(), 0.0]
    if rewards:
        rewards[-1] += float(torch.nan_to_num(reward, nan=0.0))
    found, later = [], 0.0
    for at in range(len(rewards) - 1, -1, -1):
        later = rewards[at] + gamma * values[at + 1] - values[at] + gamma * gae_lambda * later
        found.append(later)
    return values_T.new_tensor(found[::-1])
