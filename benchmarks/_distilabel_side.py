"""The distilabel side of ``magpie.py``: runs in its own environment, holds the model, answers a line with a line.

Start-up is over when the first line is written. Each line read is ``{"rows": …, "batch": …}``: so many instructions,
and at how many prompts at a time the pipeline generates; 1 is what distilabel does. The answer has the seconds, the
texts, and how many tokens they have.
"""

import json
import os
import sys
import time


def main() -> None:
    """Read a workload a line, write its result a line. What the libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import torch

    settings = json.loads(sys.argv[1])
    torch.set_num_threads(settings["threads"])
    from distilabel.models.llms import TransformersLLM  # type: ignore[import-not-found, unused-ignore]
    from distilabel.steps.tasks import MagpieGenerator  # type: ignore[import-not-found, unused-ignore]

    sampled = {"temperature": settings["temperature"], "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0}
    llm = TransformersLLM(
        model=settings["model"],
        tokenizer=settings["tokenizer"],
        torch_dtype=settings["dtype"],
        device="cpu",
        use_magpie_template=True,
        magpie_pre_query_template=settings["pre_query"],
        generation_kwargs={**sampled, "max_new_tokens": settings["tokens"], "do_sample": True},
    )
    task = MagpieGenerator(llm=llm, only_instruction=True, num_rows=1)
    task.load()
    pipeline = llm._pipeline  # noqa: SLF001 (there is no public way to a batch size)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        work = json.loads(line)
        task.num_rows = task.batch_size = work["rows"]
        pipeline._batch_size = work["batch"]  # noqa: SLF001
        began = time.perf_counter()
        rows, _ = next(task.process())
        seconds = time.perf_counter() - began
        texts = [row["instruction"] for row in rows]
        tokens = sum(len(pipeline.tokenizer.encode(text, add_special_tokens=False)) for text in texts if text)
        print(json.dumps({"seconds": seconds, "texts": texts, "tokens": tokens}), file=answers, flush=True)


if __name__ == "__main__":
    main()
