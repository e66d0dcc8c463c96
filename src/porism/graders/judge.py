"""Free text, judged by a model: it sees the question, the reference and the response, and must end in a verdict.

The response is shown between marks that it cannot contain, and as data. A reply without a readable verdict is an
``error``, never a wrong answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from porism import chains
from porism.engines import Engine, Request, Sampling
from porism.errors import DataError
from porism.records import Attempt, Status, Verdict, content_id

__all__ = ["grade_all", "template"]

_VERDICT = re.compile(r"^\W*verdict\W+(correct|incorrect|unclear)\W*$", re.IGNORECASE | re.MULTILINE)
_LONGEST = 6_000
_STATUS = {"correct": Status.CORRECT, "incorrect": Status.WRONG, "unclear": Status.UNPARSED}
_FIELDS = ("{question}", "{reference}", "{response}", "{mark}")


def template(path: str = "") -> str:
    """The judge's prompt: the shipped one, or a file with ``{question}``, ``{reference}``, ``{response}``, ``{mark}``.

    Raises:
        DataError: no such file, or a field is missing in it.
    """
    if not path:
        return resources.files("porism.prompts").joinpath("judge.txt").read_text(encoding="utf-8")
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a prompt that can be read ({error}).") from None
    missing = [field for field in _FIELDS if field not in text]
    if missing:
        raise DataError(
            f"{path}: a judge's prompt needs the fields {', '.join(_FIELDS)}; missing: {', '.join(missing)}."
        )
    return text


def grade_all(
    attempts: Sequence[Attempt], *, profile: str = "auto", engine: Engine, prompt: str = "", max_tokens: int = 256
) -> list[Verdict]:
    """Ask the judge about each attempt, all in one call of the engine, at temperature 0.

    Args:
        attempts: with the problem's reference answer.
        profile: not used: a judge reads the whole response.
        engine: who judges.
        prompt: a file to use instead of the shipped prompt.
        max_tokens: longest reply.
    """
    del profile
    text = template(prompt)
    sampling = Sampling(temperature=0.0, max_tokens=max_tokens)
    requests = [
        Request(
            messages=[{"role": "user", "content": _filled(text, attempt)}],
            sampling=sampling,
            seed=int(content_id("judge", attempt.id), 16),
        )
        for attempt in attempts
    ]
    replies = engine.generate(requests)
    return [_verdict(reply.samples[0].text, reply.samples[0].error) for reply in replies]


def _filled(text: str, attempt: Attempt) -> str:
    response = chains.read(attempt.text).response.of(attempt.text).strip()[-_LONGEST:]
    mark = hashlib.sha256(response.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    values = {
        "question": attempt.problem.question,
        "reference": attempt.problem.answer,
        "response": response,
        "mark": mark,
    }
    return re.sub(r"\{(question|reference|response|mark)\}", lambda found: values[found[1]], text)


def _verdict(reply: str, error: str) -> Verdict:
    if error:
        return Verdict(status=Status.ERROR, reason=f"the judge failed: {error}")
    found = _VERDICT.findall(reply)
    if not found:
        return Verdict(status=Status.ERROR, reason=f"the judge gave no verdict: {reply.strip()[-80:]!r}")
    return Verdict(status=_STATUS[found[-1].lower()], rule="judge", reason=reply.strip()[:300])
