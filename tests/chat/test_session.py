import io
import random
import signal
from threading import Event
from typing import Any

import pytest
from fake_openai import Fake

from porism import chat
from porism.chat import ContextFull, Session, Terminal
from porism.chat._session import Reading
from porism.chat._thoughts import Part, Splitter
from porism.engines import OnText, Reply, Request, Sample, Sampling
from porism.engines.scripted import Scripted
from porism.errors import ModelError, RecipeError

TEXT = "a < b <think>\nhm </thin k>\n</think> so <b>4</b> <thinking>x</thinking>."


def ask(session: Session, question: str, *, cancel: Event | None = None, **sampling: Any) -> tuple[Any, str]:
    """An answer, and what was streamed."""
    told: list[str] = []
    answer = session.ask(question, Sampling(**sampling), 7, told.append, cancel or Event())
    return answer, "".join(told)


class Halting(Scripted):
    """Says two words, is cancelled, and ends as the engines do."""

    def __init__(self, cancel: Event, says: tuple[str, ...] = ("one ", "two ")) -> None:
        super().__init__({})
        self._cancel, self._says = cancel, says

    def generate(self, requests: Any, *, on_text: OnText | None = None, cancel: Event | None = None) -> list[Reply]:
        self.requests.extend(requests)
        for word in self._says:
            assert on_text
            on_text(0, 0, word)
        self._cancel.set()
        assert cancel is self._cancel
        return [Reply(samples=(Sample(text="", finish="error", error="cancelled"),))]


# --- thoughts ---


@pytest.mark.parametrize("seed", range(20))
def test_thoughts_are_told_apart_however_the_text_is_cut(seed: int) -> None:
    cuts = sorted(random.Random(seed).choices(range(len(TEXT)), k=12))
    splitter = Splitter()
    parts: list[Part] = []
    for start, end in zip([0, *cuts], [*cuts, len(TEXT)], strict=True):
        parts += splitter.feed(TEXT[start:end])
    parts += splitter.flush()
    assert "".join(part.text for part in parts) == TEXT
    thought = "".join(part.text for part in parts if part.thought)
    assert thought == "<think>\nhm </thin k>\n</think><thinking>x</thinking>"


def test_a_text_may_begin_in_a_thought() -> None:
    assert Splitter(thinking=True).feed("hm</think>4") == [Part("hm</think>", True), Part("4", False)]
    assert Splitter().feed("<thi") == []


# --- the conversation ---


def test_the_conversation_is_kept() -> None:
    engine = Scripted({"1 + 1?": "2", "And 3?": "5"})
    session = Session(engine, system="Be brief.")
    answer, told = ask(session, "1 + 1?")
    assert (answer.text, answer.ended, told) == ("2", "stop", "2")
    ask(session, "And 3?")
    assert [(one["role"], one["content"]) for one in engine.requests[-1].messages] == [
        ("system", "Be brief."), ("user", "1 + 1?"), ("assistant", "2"), ("user", "And 3?"),
    ]  # fmt: skip
    assert engine.requests[0].seed != engine.requests[1].seed
    session.system = None
    session.reset()
    ask(session, "1 + 1?")
    assert engine.requests[-1].messages == [{"role": "user", "content": "1 + 1?"}]


def test_an_answer_can_be_made_again() -> None:
    engine = Scripted({}, default="4")
    session = Session(engine)
    with pytest.raises(RecipeError, match="no answer yet"):
        ask(session, "")
    ask(session, "2 + 2?")
    ask(session, "")
    assert len(session.messages) == 2
    assert engine.requests[0].messages == engine.requests[1].messages
    assert engine.requests[0].seed != engine.requests[1].seed, "another draw"


def test_what_was_said_before_a_stop_stays() -> None:
    cancel = Event()
    session = Session(Halting(cancel))
    answer, _ = ask(session, "Count.", cancel=cancel)
    assert (answer.ended, answer.text, answer.tokens) == ("stopped", "one two ", 2)
    assert session.messages[-1] == {"role": "assistant", "content": "one two "}
    cancel = Event()
    silent = Session(Halting(cancel, ()))
    assert ask(silent, "Count.", cancel=cancel)[0].ended == "stopped"
    assert silent.messages == [], "a question that got no word is not kept"


def test_a_failure_leaves_the_conversation_as_it_was() -> None:
    class Broken(Scripted):
        def generate(self, requests: Any, **_: Any) -> list[Reply]:
            return [Reply(samples=(Sample(text="", finish="error", error="the fuse blew"),))]

    session = Session(Scripted({}, default="4"))
    ask(session, "2 + 2?")
    session._engine = Broken({})
    for question in ("And now?", ""):
        with pytest.raises(ModelError, match="no answer: the fuse blew"):
            ask(session, question)
        assert [one["content"] for one in session.messages] == ["2 + 2?", "4"]


def test_max_tokens_is_what_the_context_leaves(tiny_model) -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    engine = Scripted({}, default="a b c d e f g h i j k l m n o p q r s t u v w x y z " * 4)
    session = Session(engine, Reading(tokenizer, 100))
    answer, _ = ask(session, "Hello", max_tokens=90)
    length = len(tokenizer.apply_chat_template(session.messages[:1], add_generation_prompt=True)["input_ids"])
    assert engine.requests[0].sampling.max_tokens == 100 - length
    assert (answer.ended, answer.tokens) == ("full", 100 - length)
    assert ask(Session(engine, Reading(tokenizer, 100)), "Hello", max_tokens=3)[0].ended == "length"
    with pytest.raises(ContextFull, match=r"has \d+ tokens, and the model reads 100 at most.*/reset"):
        ask(session, "x" * 100)
    assert len(session.messages) == 2


def test_a_template_that_opens_a_thought(tiny_model) -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    assert not Session(Scripted({}), Reading(tokenizer, 0)).begins_in_thought
    tokenizer.chat_template = "{{ messages[0].content }}{% if add_generation_prompt %}A: <think>\n{% endif %}"
    assert Session(Scripted({}), Reading(tokenizer, 0)).begins_in_thought


# --- where it is held ---


class Screen(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_not_steered_by_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    terminal = Terminal(Screen(), screen)
    terminal.write(Part("a\x1b]0;gotcha\x07\r\u202eb\n", False))
    terminal.write(Part("hm", True))
    terminal.remark("say \x1b[31m")
    assert screen.getvalue() == ("a\\x1b]0;gotcha\\x07\\r\\u202eb\n\x1b[2mhm\x1b[0m\x1b[2msay \\x1b[31m\x1b[0m\n")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Screen()
    Terminal(Screen(), plain).write(Part("hm", True))
    assert plain.getvalue() == "hm"


def test_what_goes_wrong_stands_on_a_line_of_its_own() -> None:
    class Dying(Scripted):
        def generate(self, requests: Any, *, on_text: Any = None, **_: Any) -> list[Reply]:
            on_text(0, 0, "It is ")
            raise ModelError("the server is gone\x1b[2J")

    screen = Screen()
    terminal = Terminal(Screen(), screen)
    terminal.questions = lambda: iter(["What?", "/nope"])  # type: ignore[method-assign]
    chat._Talk(Session(Dying({})), chat.settings({})(), terminal).run("m")
    assert screen.getvalue().splitlines()[1:3] == ["It is ", "the server is gone\\x1b[2J"]
    assert "no command /nope" in screen.getvalue().splitlines()[3]


def talk(lines: str, engine: str = "scripted", **values: Any) -> str:
    """What is written for these lines of a pipe."""
    chosen = chat.settings({"engine": engine})(engine=engine, **values)
    out = io.StringIO()
    chat.talk("m", chosen, Terminal(io.StringIO(lines), out))
    return out.getvalue()


def test_a_pipe_has_a_question_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert talk("hi\n\nthere\n", default="<think>hm</think> yes") == "<think>hm</think> yes\n" * 2
    assert talk('"""one\ntwo\n"""\nthree', default="ok") == "ok\nok\n"
    assert talk('"""never closed\n', default="ok") == "ok\n"
    assert talk("hi\n/exit\nhi\n", default="ok") == "ok\n"
    assert talk("/2 is odd?\n", default="no") == "no\n", "no command"
    assert capsys.readouterr() == ("", "")


def test_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert talk("/help\nhi\n/regenerate\n/reset\n/system S\n/system\n/set\n", default="ok") == "ok\nok\n"
    said = capsys.readouterr().err
    for text in ("/regenerate", "A new conversation.", "System message: S", "No system message of yours.", "top_p 1.0"):
        assert text in said
    assert talk("/set max_tokens 2\nhi\n", default="one two three") == "one two\n"
    assert "Cut off at max_tokens 2" in capsys.readouterr().err
    assert talk("/set stop !\nhi\n", default="one! two") == "one\n"
    assert talk("/set stop\nhi\n", default="one! two", stop=["!"]) == "one! two\n"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("/regenrate\n", r"no command /regenrate. Did you mean 'regenerate'\?"),
        ("/regenerate\n", "there is no answer yet"),
        ("/set temperatur 1\n", r"no setting 'temperatur'. Did you mean 'temperature'\?"),
        ("/set temperature hot\n", "/set: temperature: input should be a valid number, got 'hot'"),
        ("/set top_p 0\n", "/set: top_p: input should be greater than 0"),
    ],
)
def test_a_wrong_command_ends_a_pipe(lines: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        talk(lines)


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_pipe_with_bytes_that_are_no_text(errors: str) -> None:
    lines = io.TextIOWrapper(io.BytesIO(b"hi\n\xff\xfe\n"), encoding="utf-8", errors=errors)
    chosen = chat.settings({"engine": "scripted"})(engine="scripted")
    with pytest.raises(RecipeError, match="standard input: expected UTF-8 text"):
        chat.talk("m", chosen, Terminal(lines, io.StringIO()))


def test_wrong_settings_are_one_message() -> None:
    from porism import recipe

    kind = chat.settings({})
    for name, value in (("top_p", 0.0), ("top_p", 1.5), ("max_tokens", 0), ("temperature", -1.0)):
        with pytest.raises(RecipeError, match=f"chat: {name}: "):
            recipe.build(kind, {name: value}, "chat")
    with pytest.raises(RecipeError, match="no engine is called 'loca'"):
        chat.settings({"engine": "loca"})


def test_a_server_answers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with Fake(answer=lambda body, number: f"{body['messages'][-1]['content']} {len(body['messages'])}") as fake:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        assert talk("one\ntwo\n", "openai", base_url=fake.url, system="S") == "one 2\ntwo 4\n"


def test_requests_are_made_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Request] = []
    monkeypatch.setattr(Scripted, "_sample", lambda self, request, number: seen.append(request) or Sample(text="ok"))
    talk("hi\n", temperature=0.3, top_p=0.8, top_k=4, min_p=0.1, max_tokens=9, stop=["x"], seed=5)
    assert seen[0].sampling == Sampling(temperature=0.3, top_p=0.8, top_k=4, min_p=0.1, max_tokens=9, stop=("x",))
    assert seen[0].seed == 5


def test_a_second_ctrl_c_leaves_an_engine_that_does_not_listen() -> None:
    from porism.chat import _stopped_by_user

    cancel = Event()
    with _stopped_by_user(cancel):
        signal.raise_signal(signal.SIGINT)
        assert cancel.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
