"""Generalised knowledge distillation: forward, reverse and Jensen–Shannon divergence from a teacher.

Agarwal et al., 2023, arXiv:2306.13649, equation 1, with TRL's conventions: ``beta`` 0 is the forward divergence
KL(teacher ‖ student), 1 the reverse KL(student ‖ teacher), and between them lies the generalised Jensen–Shannon one.
"""

from __future__ import annotations

import math

import torch

__all__ = ["divergence"]


def divergence(
    student_N_V: torch.Tensor, teacher_N_V: torch.Tensor, *, beta: float = 0.5, temperature: float = 1.0
) -> torch.Tensor:
    """The divergence at each position, in nats: [N].

    Args:
        student_N_V: the student's scores.
        teacher_N_V: the teacher's, for the same tokens of the same vocabulary.
        beta: in [0, 1].
        temperature: both distributions are softened by it.
    """
    student = torch.log_softmax(student_N_V.float() / temperature, dim=-1)
    teacher = torch.log_softmax(teacher_N_V.float() / temperature, dim=-1)
    if beta == 0:
        return _kl(teacher, student)
    if beta == 1:
        return _kl(student, teacher)
    mixture = torch.logaddexp(student + math.log1p(-beta), teacher + math.log(beta))
    return beta * _kl(teacher, mixture) + (1 - beta) * _kl(student, mixture)


def _kl(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """KL(left ‖ right) of log-probabilities over the last dimension."""
    return (left.exp() * (left - right)).sum(-1)
