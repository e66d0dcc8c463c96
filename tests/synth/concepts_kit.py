"""An engine that writes problems from concepts, judges and solves them, all by what it is asked."""

import json
from pathlib import Path
from typing import Any

ENGINE = '''
import dataclasses
import json
from pathlib import Path

from porism.engines import Reply
from porism.engines.scripted import Scripted

BLOCKS = "<!-- BEGIN RATIONALE -->r<!-- END RATIONALE --><!-- BEGIN PROBLEM -->p<!-- END PROBLEM -->"
REASONS = ["Because.", "Long and winding reasons, one two three.", "<!-- no"]
RATINGS = {name: "Perfect" for name in ("format", "accuracy", "difficulty", "coverage", "solvability")}


def start(model: str, *, said: str = "", dies: str = "", calm_calls: int = 2, fails: str = "") -> Scripted:
    """``said``: JSON with other answers, by what is asked or by the model's name; where the file ``dies`` is, it dies
    after so many calls; it fails at prompts that begin with ``fails``."""
    other = json.loads(said or "{}")
    calls = []

    def say(request, number):
        asked = request.messages[-1]["content"]
        if model in other:
            return other[model]
        if asked.startswith("You analyse problems"):
            return other.get("extract", '{"concepts": ["Sums", "sums ", "carrying"], "level": "primary"}')
        if asked.startswith("Write one pro"):
            if not request.prefix:
                return other.get("free", BLOCKS)
            if "BEGIN PROBLEM" in request.prefix:
                return other.get("problem", f"What is 2 + {request.seed % 997}?")
            return other.get("rationale", "Add two numbers. The second one is drawn")
        if asked.startswith("You judge"):
            judged = other.get("judges", [RATINGS])
            answer = judged[request.seed % len(judged)]
            return answer if isinstance(answer, str) else json.dumps(answer)
        if asked.startswith("Here are concepts"):
            return other.get("posterior", REASONS)[number % 3]
        if asked.startswith("You test programs"):
            proposals = other.get("proposals", ['{"input": "1 2"}', '{"input": "5 5"}', "no"])
            return proposals[request.seed % len(proposals)]
        answers = other.get("solutions", ["It is \\\\boxed{5}.", "It is \\\\boxed{5}.", "So \\\\boxed{6}."])
        return answers[number % len(answers)]

    made = Scripted(say)
    calm = made.generate

    def generate(requests, **more):
        calls.append(1)
        if dies and len(calls) > calm_calls and Path(dies).exists():
            raise RuntimeError("died")
        return [refused(*pair) for pair in zip(requests, calm(requests, **more))]

    def refused(request, reply):
        if not fails or not request.messages[-1]["content"].startswith(fails):
            return reply
        samples = [dataclasses.replace(one, text="", finish="error", error="it is down") for one in reply.samples]
        return Reply(samples=tuple(samples), prompt_tokens=reply.prompt_tokens)

    made.generate = generate
    return made
'''


def engine(folder: Path) -> str:
    """The engine's name."""
    file = folder / "concepts_engine.py"
    file.write_text(ENGINE)
    return f"{file}:start"


def said(**other: Any) -> str:
    """What the engine is to say instead."""
    return json.dumps(other)
