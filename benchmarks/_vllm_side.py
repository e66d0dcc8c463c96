"""The vLLM side of ``sampling.py``: runs in vLLM's own environment, holds the engine, answers a line with a line.

Start-up is over when the first line is written. Each line read is ``{"prompts": [[token ids]], "n": …, "tokens": …,
"temperature": …}``; the answer has the seconds that ``generate`` took, the tokens it made, and their ids
where the temperature is 0. No seed is given: vLLM draws faster for all rows together than for each with a seed.
"""

import json
import os
import sys
import time


def main() -> None:
    """Read a workload a line, write its result a line. What vLLM itself prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    began = time.monotonic()
    from vllm import LLM, SamplingParams  # type: ignore[import-not-found, unused-ignore]  # another environment

    model, dtype = sys.argv[1:3]
    engine = LLM(
        model, dtype=dtype, max_model_len=2048, max_num_seqs=512, enable_prefix_caching=True, disable_log_stats=True
    )
    print(json.dumps({"started_in": time.monotonic() - began}), file=answers, flush=True)
    for line in sys.stdin:
        work = json.loads(line)
        sampling = SamplingParams(
            n=work["n"],
            temperature=work["temperature"],
            max_tokens=work["tokens"],
            ignore_eos=True,
            detokenize=True,
        )
        prompts = [{"prompt_token_ids": ids} for ids in work["prompts"]]
        start = time.perf_counter()
        out = engine.generate(prompts, sampling, use_tqdm=False)
        seconds = time.perf_counter() - start
        ids = [list(sample.token_ids) for request in out for sample in request.outputs]
        answer = {"seconds": seconds, "made": sum(map(len, ids)), "ids": ids if work["temperature"] == 0 else []}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
