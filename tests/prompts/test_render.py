from pathlib import Path

import pytest
import transformers

from porism.errors import ModelError, RecipeError
from porism.prompts import messages
from porism.prompts.render import Rendered, encode, encode_turns, prompt_text
from porism.records import Message, Problem

USER = [Message(role="user", content="1+1?")]
ANSWER = [Message(role="assistant", content="#### 2")]


@pytest.fixture
def tokenizer(tiny_model: Path) -> transformers.PreTrainedTokenizerBase:
    return transformers.AutoTokenizer.from_pretrained(tiny_model)


def rendered(tokenizer: transformers.PreTrainedTokenizerBase) -> Rendered:
    prompt, turns = encode_turns(tokenizer, USER, ANSWER)
    return Rendered(prompt, [token for turn in turns for token in turn.ids])


def test_training_and_generation_see_the_same_prompt(tokenizer) -> None:
    pair = rendered(tokenizer)
    assert pair.prompt == encode(tokenizer, USER)
    assert tokenizer.decode(pair.prompt) == prompt_text(tokenizer, USER)
    assert tokenizer.decode(pair.completion) == "#### 2<|im_end|>"


def test_the_completion_ends_its_turn_even_if_the_template_does_not(tokenizer) -> None:
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}|{% endfor %}"
    assert rendered(tokenizer).completion[-1] == tokenizer.eos_token_id


def test_unfit_templates_are_refused(tokenizer) -> None:
    tokenizer.chat_template = "{{ messages | length }} {% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(ModelError, match="renders a prompt differently"):
        rendered(tokenizer)
    tokenizer.chat_template = "{{ raise_exception('no system') }}"
    with pytest.raises(ModelError, match="refuses the roles user: no system"):
        encode(tokenizer, USER)
    tokenizer.chat_template = "{{ messages[0]['content'] + 1 }}"
    with pytest.raises(ModelError, match="refuses the roles user: can only concatenate str"):
        encode(tokenizer, USER)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        encode(tokenizer, USER)


def test_prompts_are_built_from_parts() -> None:
    problem = Problem(question=" 2+2? ", answer="4")
    assert messages.question(problem) == [{"role": "user", "content": "2+2?"}]
    assert messages.question(problem, "Think.", "")[0] == {"role": "system", "content": ""}
    assert messages.question(problem, "Think.")[-1]["content"] == "2+2?\n\nThink."
    shown = messages.shots("worked", 2)
    short = messages.after_examples(problem, shown, reasoning=False, instruction="Go.", system="S")
    assert [m["role"] for m in short] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert short[2]["content"] == "#### 17"
    assert short[-1]["content"] == "2+2?\n\nGo."
    assert messages.after_examples(problem, shown, reasoning=True)[1]["content"].startswith("The trays hold")
    with pytest.raises(RecipeError, match="at least 99"):
        messages.shots("worked", 99)
    with pytest.raises(RecipeError, match="Did you mean 'worked'"):
        messages.shots("workd", 2)


def test_shipped_examples_are_right() -> None:
    from porism.graders import check

    for example in messages.shots("worked", 8):
        assert check(gold=example.answer, text=example.solution).correct
