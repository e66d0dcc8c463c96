"""Stands in for vLLM's server: its command line, key, health and adapters.

``--fake-…`` arguments make it misbehave.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from fake_openai import Act, Fake, Seen

ARGUMENTS = dict(argument.partition("=")[::2] for argument in sys.argv[1:] if argument.startswith("--"))
PORT = int(sys.argv[sys.argv.index("--port") + 1])
NAME = ARGUMENTS["--served-model-name"]
MISCHIEF = ARGUMENTS.get("--fake", "")


adapters: dict[str, str] = {}
"""Name → folder."""


def echoed(name: str, ids: list[int]) -> list[float | None]:
    """The log-probability of each token of a prompt, from the table that a test has made with the models themselves."""
    table = json.loads(Path(ARGUMENTS["--fake-scores"]).read_text())
    folder = adapters[name] if name in adapters and MISCHIEF != "deaf" else ""
    return list(table[folder][" ".join(map(str, ids))])


def told(body: dict[str, Any]) -> dict[str, Any]:
    """Answers of three tokens, with these and their log-probabilities, as vLLM tells them."""
    choices = [
        {
            "index": at,
            "text": f"{body['model']} says {at}",
            "token_ids": [5 + at, 40 + body["seed"] % 100, 2],
            "logprobs": {"tokens": ["a", "b", "c"], "token_logprobs": [-5.0, -6.0, -5.5], "text_offset": [0, 1, 2]},
            "finish_reason": "stop",
        }
        for at in range(body.get("n", 1))
    ]
    return {"choices": choices, "usage": {"prompt_tokens": len(body["prompt"]), "completion_tokens": 3 * len(choices)}}


def act(seen: Seen) -> Act | None:
    """What vLLM does and :class:`Fake` does not."""
    if seen.path == "/health":
        return Act(200, "")
    if seen.path.startswith("/v1") and seen.headers.get("authorization") != f"Bearer {os.environ['VLLM_API_KEY']}":
        return Act(401, {"error": "Unauthorized"})
    if MISCHIEF == "dies-of-a-chat" and "chat" in seen.path:
        print("RuntimeError: the worker has had enough", file=sys.stderr, flush=True)
        os._exit(3)
    name = seen.body.get("lora_name", "")
    if seen.path.endswith("/load_lora_adapter"):
        if MISCHIEF == "refuses" or "--enable-lora" not in ARGUMENTS:
            return Act(400, {"error": {"message": "vLLM does not yet support DoRA.", "code": 400}})
        adapters[name] = seen.body["lora_path"]
        return Act(200, f"Success: LoRA adapter '{name}' added successfully.")
    if seen.path.endswith("/unload_lora_adapter"):
        del adapters[name]
        return Act(200, f"Success: LoRA adapter '{name}' removed successfully.")
    if seen.path.endswith("/models"):
        rows = [{"id": model, "object": "model", "owned_by": "vllm"} for model in (NAME, *adapters)]
        return Act(200, {"object": "list", "data": [{**row, "max_model_len": 4096} for row in rows]})
    if seen.body.get("model") not in (NAME, *adapters):
        return Act(404, {"error": {"message": f"The model {seen.body.get('model')} does not exist.", "code": 404}})
    return completed(seen.body)


def completed(body: dict[str, Any]) -> Act | None:
    """What it says where :class:`Fake` would say something else."""
    if MISCHIEF == "tokens" and body.get("return_token_ids"):
        return Act(200, told(body))
    if body.get("echo"):
        values = echoed(body["model"], body["prompt"])
        return Act(200, {"choices": [{"index": 0, "text": "", "logprobs": {"token_logprobs": values}}], "usage": {}})
    return None


def main() -> None:
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if "--fake-tells" in ARGUMENTS:
        told = {"pids": [os.getpid(), helper.pid], "argv": sys.argv, "environment": dict(os.environ), "path": sys.path}
        file = Path(ARGUMENTS["--fake-tells"])
        file.with_suffix(".tmp").write_text(json.dumps(told))
        file.with_suffix(".tmp").replace(file)
    print("INFO starting", flush=True)
    if MISCHIEF == "dies":
        print(f"(EngineCore) ERROR ValueError: no room for {os.environ['VLLM_API_KEY']}", file=sys.stderr, flush=True)
        print("RuntimeError: operator torchvision::nms does not exist", file=sys.stderr, flush=True)
        print("nanobind: leaked 4 instances!", file=sys.stderr, flush=True)
        sys.exit(1)
    if MISCHIEF == "never-ready":
        time.sleep(600)
    if MISCHIEF == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def answer(body: dict[str, Any], number: int) -> str:
        return f"{body['model']} says {number}"

    with Fake(act, answer=answer, port=PORT, tokenizes=True):
        threading.Event().wait()


if __name__ == "__main__":
    main()
