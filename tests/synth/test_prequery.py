"""The pre-query text of every family, cut from its published template, against the table."""

from pathlib import Path
from typing import Any

import pytest
from published import PUBLISHED, Published

from porism.errors import ModelError, RecipeError
from porism.synth._families import FAMILIES, named
from porism.synth._prequery import of_family, of_tokenizer

SYSTEM = [{"role": "system", "content": "You solve riddles."}]


def tokenizer(one: Published, template: str = "") -> Any:
    """A byte-level tokenizer with the marks of a family as tokens, which puts its BOS before any text of its own."""
    import tokenizers
    import transformers

    marks = [mark for mark in dict.fromkeys([one.bos, one.eos, *one.added]) if mark]
    core = tokenizers.Tokenizer(tokenizers.models.BPE())
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator([], tokenizers.trainers.BpeTrainer(special_tokens=marks, initial_alphabet=alphabet))
    if one.bos:
        core.post_processor = tokenizers.processors.TemplateProcessing(
            single=f"{one.bos} $A", special_tokens=[(one.bos, core.token_to_id(one.bos))]
        )
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=one.bos or None, eos_token=one.eos, name_or_path="published"
    )
    made.chat_template = template or one.template
    return made


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_derived_text_is_that_of_the_family(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    one = PUBLISHED[name]
    tok = tokenizer(one)
    template = of_tokenizer(tok)
    assert template.family is not None, capsys.readouterr().err
    assert template.family.name == one.family
    bare = template.pre_query([])
    assert bare.text == template.family.bos + template.family.before()
    assert bare.text.endswith(template.family.user)
    assert bare.stops == one.stops
    assert tok.decode(list(bare.ids)) == bare.text, "the ids say the same"


@pytest.mark.parametrize("name", PUBLISHED)
def test_bos_stands_once_and_only_where_the_template_writes_it(name: str) -> None:
    one = PUBLISHED[name]
    tok = tokenizer(one)
    ids = of_tokenizer(tok).pre_query(SYSTEM).ids
    family = named(one.family)
    if family.bos:
        assert ids[0] == tok.bos_token_id
        assert ids.count(tok.bos_token_id) == 1
        assert tok(tok.decode(list(ids)))["input_ids"].count(tok.bos_token_id) == 2, "as it would be with one more"
    doubled = of_tokenizer(tokenizer(one, "{{ bos_token }}" + one.template)).pre_query([]).ids
    if one.bos and family.bos:
        assert doubled == of_tokenizer(tok).pre_query([]).ids


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_system_message_stands_before_the_users_words(name: str) -> None:
    text = of_tokenizer(tokenizer(PUBLISHED[name])).pre_query(SYSTEM).text
    family = named(PUBLISHED[name].family)
    assert text.count("You solve riddles.") == 1
    assert text == family.bos + family.before("You solve riddles.")
    if family.where == "turn":
        assert text.endswith(family.user)
    else:
        assert text.endswith(f"{family.user}You solve riddles.\n\n"), "where the template has no place for it"


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_second_turn_follows_the_first_answer(name: str) -> None:
    said = [
        *SYSTEM,
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "<think>\nOh.\n</think>\n\n1."},
    ]
    text = of_tokenizer(tokenizer(PUBLISHED[name])).pre_query(said).text
    family = named(PUBLISHED[name].family)
    assert text.endswith(family.user)
    assert text.index("riddles") < text.index("One?") < text.index("1.")


def test_a_family_stands_for_a_template_that_is_not_at_hand() -> None:
    for family in FAMILIES:
        found = of_family(family.name).pre_query(SYSTEM)
        assert found.text == family.before("You solve riddles.")
        assert not found.text.startswith(family.bos or "\0"), "a server puts it before a text by itself"
        assert found.stops == (family.end,)
    with pytest.raises(RecipeError, match="Did you mean 'qwen2.5'"):
        of_family("qwen25")
    with pytest.raises(ModelError, match="Name its tokenizer"):
        of_family("")
    with pytest.raises(ModelError, match="turns: a conversation of several turns, or"):
        of_family("qwen3").pre_query([*SYSTEM, {"role": "user", "content": "?"}])


def test_every_family_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs" / "synth.md").read_text(encoding="utf-8")
    assert all(f"\n{family.name} " in page for family in FAMILIES)


def test_a_template_of_no_known_family_is_derived_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    template = "{% for m in messages %}{{ m['role'] | upper }}: {{ m['content'] }}\n{% endfor %}ASSISTANT:"
    found = of_tokenizer(tokenizer(PUBLISHED["SmolLM2"], template))
    assert found.family is None
    assert "of no family that was checked" in capsys.readouterr().err
    assert found.pre_query(SYSTEM) == found.pre_query(SYSTEM)._replace(
        text="SYSTEM: You solve riddles.\nUSER: ", stops=("ASSISTANT:",)
    )


@pytest.mark.parametrize(
    "template",
    ["{{ messages[0]['content'][:4] }}", "{% for m in messages %}{{ m.content }}|{{ m.content }}{% endfor %}"],
)
def test_a_template_that_changes_the_users_words_is_refused(template: str) -> None:
    with pytest.raises(ModelError, match="does not write the user's words once, as they are"):
        of_tokenizer(tokenizer(PUBLISHED["SmolLM2"], template))


def test_generated_tokens_end_at_the_first_mark() -> None:
    one = PUBLISHED["DeepSeek-R1-Distill-Qwen-32B"]
    template = of_tokenizer(tokenizer(one))
    ids = template.tokenizer("What is 1 + 1?<｜Assistant｜><think>\nTwo.", add_special_tokens=False)["input_ids"]
    assert template.text_of(ids, one.stops) == "What is 1 + 1?"
