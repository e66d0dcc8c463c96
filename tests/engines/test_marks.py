"""Stop strings that are marks of a chat template: tokens that decoded text does not show."""

from pathlib import Path

from porism.engines import Request, Sampling, _wire, local
from porism.models.load import load


def test_a_mark_ends_a_generation_though_the_text_does_not_show_it(tiny_model: Path) -> None:
    loaded = load(str(tiny_model), "float32")
    engine = local.Local(loaded)
    mark = loaded.tokenizer.convert_tokens_to_ids("<|im_start|>")
    ends = ((loaded.tokenizer.eos_token_id, -1e9),)
    likely = (*ends, (mark, 12.0))
    found = {}
    for stop in ((), ("<|im_start|>",)):
        sampling = Sampling(temperature=1.0, max_tokens=40, stop=stop, logit_bias=likely)
        found[stop] = engine.generate([Request(text="a", sampling=sampling, seed=seed) for seed in range(8)])
    for plain, stopped in zip(found[()], found[("<|im_start|>",)], strict=True):
        (whole,), (cut,) = plain.samples, stopped.samples
        at = whole.ids.index(mark)
        assert cut.ids == whole.ids[: at + 1]
        assert cut.finish == "stop"
        assert "<|im_start|>" not in cut.text


def test_vllm_is_told_to_show_marks_where_they_are_stop_strings() -> None:
    def sent(request: Request, *, vllm: bool = True) -> dict[str, object]:
        return _wire.body(request, [0], _wire.Server("m", vllm=vllm))

    for stop in ("<|eot_id|>", "<｜Assistant｜>", "[/INST]", "</s>"):
        assert sent(Request(text="a", sampling=Sampling(stop=(stop,))))["skip_special_tokens"] is False
    for request in (
        Request(text="a", sampling=Sampling(stop=("\n",))),
        Request(messages=[{"role": "user", "content": "a"}], sampling=Sampling(stop=("</s>",))),
    ):
        assert "skip_special_tokens" not in sent(request)
    assert "skip_special_tokens" not in sent(Request(text="a", sampling=Sampling(stop=("</s>",))), vllm=False)
