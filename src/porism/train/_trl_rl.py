"""GRPO and RLOO through TRL's trainers, with the same problems, prompts and rewards.

TRL rolls out by itself, and keeps nothing of it for a run that is cut off; what its trainers rewarded is stored at the
end. The rates and limits of our own trainer hold. What TRL has no setting for is refused.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from porism import store
from porism.errors import MissingExtra, RecipeError
from porism.graders import Grading, grade_all
from porism.models.load import Loaded, load
from porism.models.machine import choose_dtype, choose_threads, prepare
from porism.records import Attempt
from porism.train._groups import Group, Rollout, attempts_of
from porism.train._limits import Limits, rates
from porism.train._rewarding import Judged, Rewarding

if TYPE_CHECKING:
    from porism.train._feed import Asked
    from porism.train.rl import Settings

__all__ = ["run", "told"]

_UNKNOWN = (
    "micro_batch_tokens", "eval_problems", "train_layers", "peft", "minibatches", "choose", "retire_after", "engine",
    "dynamic_sampling", "engine_options", "staleness", "kl_place", "kl_estimator", "kl_weighted", "reference_model",
    "baseline", "least_reward", "gamma", "gae_lambda", "whiten", "value_clip", "value_weight", "critic_warmup",
)  # fmt: skip
_LOSSES = {None: "grpo", "answer": "grpo", "token": "dapo", "constant": "dr_grpo"}
_CLIP = 0.2
"""How far the ratio counts in both algorithms where nothing is set; TRL would take one bound for the other."""


def run(settings: Settings, out: store.Output) -> None:
    """Train with TRL, and write model, roll-outs, metrics and card.

    Raises:
        MissingExtra: TRL is not installed.
        RecipeError: an algorithm or a setting that TRL has no counterpart of.
        UserError: problems, rewards or model are unfit.
    """
    if importlib.util.find_spec("trl") is None:
        raise MissingExtra("trl", "'porism[trl]'", "backend trl")
    _refuse(settings)
    import datasets
    import transformers
    import trl

    from porism.train import _card, _network, _progress
    from porism.train._loop import asked
    from porism.train._run import Job, arguments, rate
    from porism.train._trl import given

    prepare(out.keep("threads", choose_threads(settings.threads)))
    dtype = out.keep("dtype", choose_dtype(settings.dtype))
    out.keep("trl", trl.__version__)
    transformers.set_seed(settings.seed)
    loaded = load(settings.model, "float32", four_bit=settings.method == "qlora")
    problems = asked(settings, loaded.tokenizer)
    network = _network.prepare(loaded, settings)
    base = _network.name_base(network, settings)
    checkpoints, metrics = out.beside("checkpoints"), out.beside("metrics.jsonl")
    out.remove_when_finished(checkpoints)
    per = settings.updates
    steps = settings.max_steps or per * math.ceil(settings.epochs * math.ceil(len(problems) / settings.batch_size))
    own = arguments(settings, Job([], None, steps=steps), dtype, checkpoints, rate(settings, network, "policy"))  # type: ignore[arg-type]
    kept: list[Attempt] = []
    kinds = {"grpo": (trl.GRPOTrainer, trl.GRPOConfig), "rloo": (trl.RLOOTrainer, trl.RLOOConfig)}
    trainer_class, config_class = kinds[settings.algorithm]
    with Grading(settings, grade_all) as grading:
        trainer = trainer_class(
            model=network,
            reward_funcs=_reward(settings, problems, Rewarding(settings, grading), loaded, kept),
            args=config_class(**{**given(own), **told(settings)}),
            train_dataset=datasets.Dataset.from_list(
                [{"prompt": one.messages, "at": at} for at, one in enumerate(problems)]
            ),
            processing_class=loaded.tokenizer,
            callbacks=[_progress.Progressing(out, metrics)],
        )
        trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
        result = trainer.train()
    out.write(store.Placed(at, one) for at, one in enumerate(kept))
    target = out.beside("model")
    _network.save(trainer.accelerator.unwrap_model(trainer.model), loaded.tokenizer, base, target, merge=settings.merge)
    out.figures.update(steps=result.global_step, problems=len(problems))
    _card.write(target, settings, out)
    out.add(metrics, *sorted(target.iterdir()))


def _refuse(settings: Settings) -> None:
    """Refuse what TRL does not have.

    Raises:
        RecipeError: it is asked for.
    """
    if settings.algorithm not in ("grpo", "rloo"):
        raise RecipeError(f"algorithm {settings.algorithm}: TRL has grpo and rloo. Take backend porism.")
    fields = type(settings).model_fields
    for name in _UNKNOWN:
        if getattr(settings, name) != fields[name].get_default(call_default_factory=True):
            raise RecipeError(f"{name}: TRL has no such setting. Leave it out, or take backend porism.")


def told(settings: Settings) -> dict[str, Any]:
    """The settings in TRL's words, but for those of every training."""
    low, high = (_CLIP if one is None else one for one in (settings.clip_low, settings.clip_high))
    own: dict[str, Any] = {"normalize_advantages": settings.normalise}
    if settings.algorithm == "grpo":
        own = {"loss_type": _LOSSES[settings.average], "scale_rewards": settings.scale}
    return {
        "per_device_train_batch_size": min(settings.micro_batch_size, settings.batch_size) * settings.samples,
        "gradient_accumulation_steps": math.ceil(settings.batch_size / settings.micro_batch_size),
        "num_generations": settings.samples,
        "max_completion_length": settings.max_tokens,
        "temperature": settings.temperature,
        "beta": settings.beta,
        "num_iterations": settings.updates,
        "activation_checkpointing": settings.gradient_checkpointing,
        "epsilon": low,
        "epsilon_high": high,
        **own,
    }


def _reward(
    settings: Settings, problems: Sequence[Asked], rewarding: Rewarding, loaded: Loaded, kept: list[Attempt]
) -> Callable[..., list[float | None]]:
    """Our rewards as a function that TRL can call; it keeps every answer with what it earned, and watches the rates."""
    limits = Limits(settings, "TRL keeps no roll-outs: with another limit the same command begins anew.")

    def reward(
        completions: Sequence[Any],
        at: Sequence[int],
        completion_ids: Sequence[Sequence[int]],
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float | None]:
        attempts = []
        for number, place in enumerate(at):
            one = problems[place]
            ids = [int(token) for token in completion_ids[number]]
            cut = len(ids) >= settings.max_tokens and ids[-1] != loaded.tokenizer.eos_token_id
            rollout = Rollout(completions[number][0]["content"], ids, [], "length" if cut else "stop")
            attempts += attempts_of(
                one.problem, one.messages, [rollout], len(one.prompt), seed=settings.seed, model=loaded.fingerprint
            )
        judged = rewarding(attempts, completion_ids)
        kept.extend(one.attempt for one in judged)
        found = rates([_group(place, at, judged) for place in dict.fromkeys(at)])
        for name, share in found.shares().items():
            log_metric(name, share)
        limits.check(found)
        return [one.reward for one in judged]

    return reward


def _group(place: int, at: Sequence[int], judged: Sequence[Judged]) -> Group:
    """The answers to one problem, as far as their rates go."""
    own = [one for number, one in zip(at, judged, strict=True) if number == place]
    return Group(place, [], [], [one.attempt for one in own], [one.reward for one in own])
