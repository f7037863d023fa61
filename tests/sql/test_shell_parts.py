"""The parts of the shell that need no terminal: the question of cost, completion, when Enter runs, what is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from huggingface_api_handler.cli.sql.completion import DatabaseNames, SQLCompleter
from huggingface_api_handler.cli.sql.cost_question import CostQuestion, DeclinedError
from huggingface_api_handler.cli.sql.dot_commands import is_dot_command
from huggingface_api_handler.cli.sql.runner import places_of
from huggingface_api_handler.cli.sql.shell import holds_key, is_whole
from huggingface_api_handler.cli.sql.usage import usage_lines, what_is_kept
from huggingface_api_handler.cli.sql.watch import Watch
from huggingface_api_handler.config.reference import settings_arguments
from huggingface_api_handler.config.settings import EngineSettings
from huggingface_api_handler.inference.runtime.progress import Phase
from huggingface_api_handler.inference.telemetry.usage import Usage


@dataclass
class Estimate:
    """What a model would cost."""

    requests: int
    usd_high: float | None = None
    seconds: float | None = None
    usd_low: float = 0.5
    model: str = "mood"
    distinct_inputs: int = 10**6


class Person:
    """Answers questions, and remembers them."""

    def __init__(self, *answers: bool) -> None:
        self.answers, self.asked = list(answers), list[str]()

    def __call__(self, question: str) -> bool:
        """Answer the next one."""
        self.asked.append(question)
        return self.answers.pop(0)


def question(person: Person | None, *, requests: int = 100, dollars: float = 1.0, agreed: bool = False) -> CostQuestion:
    return CostQuestion(requests, dollars, person, agreed)


def test_what_costs_little_is_not_asked_about() -> None:
    person = Person()
    assert question(person)(Estimate(100, 1.0, 5.0))
    assert not person.asked


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (Estimate(101), "mood would be sent 101 requests. Send them?"),
        (Estimate(5000, None, 120.0), "mood would be sent 5,000 requests (about 2 min). Send them?"),
        (Estimate(1, 2.5, 3.0), "mood would be sent 1 request (about 3.0 s, estimated 0.50 to 2.5 USD). Send them?"),
        (
            Estimate(101, 0.004, 3.0, usd_low=0.00023),
            "mood would be sent 101 requests (about 3.0 s, estimated 0.00023 to 0.0040 USD). Send them?",
        ),
        (Estimate(101, 0.0, 3.0), "mood would be sent 101 requests (about 3.0 s). Send them?"),
    ],
)
def test_what_costs_more_is(estimate: Estimate, words: str) -> None:
    person = Person(True)
    assert question(person)(estimate)
    assert person.asked == [words]


def test_a_no_sends_nothing() -> None:
    with pytest.raises(DeclinedError, match="Nothing was sent to mood"):
        question(Person(False))(Estimate(101))


@pytest.mark.parametrize(
    ("estimate", "options"),
    [
        (Estimate(101), "--max-requests 101 "),
        (Estimate(5, 2.5), r"--max-dollars 2\.50 "),
        (Estimate(101, 2.5), r"--max-requests 101 --max-dollars 2\.50 "),
    ],
)
def test_where_nobody_can_be_asked_it_says_what_to_add(estimate: Estimate, options: str) -> None:
    with pytest.raises(DeclinedError, match=rf"would be sent .*Nothing was sent.*Add {options}.*or --yes"):
        question(None)(estimate)


def test_the_option_that_it_names_is_enough() -> None:
    assert question(None, requests=101, dollars=2.51)(Estimate(101, 2.504))
    with pytest.raises(DeclinedError, match=r"--max-dollars 2\.51"):
        question(None)(Estimate(5, 2.504))


def test_yes_agrees_to_everything() -> None:
    person = Person()
    assert question(person, agreed=True)(Estimate(10**6, 10**6))
    assert not person.asked


def test_the_models_of_a_statement_count_together_and_statements_do_not() -> None:
    person = Person(True)
    asked = question(person)
    assert asked(Estimate(60))
    asked.begin()
    assert asked(Estimate(60))
    assert not person.asked
    assert asked(Estimate(60))
    assert len(person.asked) == 1
    assert asked(Estimate(60))  # what was agreed to does not count again
    assert len(person.asked) == 1


def test_few_inputs_are_not_counted() -> None:
    class Uncounted(Estimate):
        """Fails where it is counted."""

        @property
        def requests(self) -> int:
            """Fail."""
            raise AssertionError

        @requests.setter
        def requests(self, _: int) -> None: ...

    assert question(None, requests=160)(Uncounted(0, distinct_inputs=10))
    with pytest.raises(AssertionError):
        question(None, requests=159)(Uncounted(0, distinct_inputs=10))


def test_a_no_in_a_later_window_does_not_say_that_nothing_was_sent() -> None:
    asked = question(None)
    assert asked(Estimate(100))
    with pytest.raises(DeclinedError, match="No more was sent"):
        asked(Estimate(1))


NAMES = DatabaseNames(
    ("SELECT", "FROM", "WHERE", "GROUP"),
    {"reviews": ("id", "text", "stars"), "mood": ("mood", "mood_error")},
    ("mood",),
    ("hf", "local_one"),
)


def completions(text: str) -> list[str]:
    completer = SQLCompleter(lambda: NAMES)
    return [each.text for each in completer.get_completions(Document(text), CompleteEvent(completion_requested=True))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SEL", ["SELECT"]),
        ("sel", ["select"]),
        ("SELECT tex", ["text"]),
        ("SELECT * FROM ", ["mood", "reviews"]),
        ("SELECT 1; SELECT * FROM r", ["reviews"]),
        ("SELECT * FROM reviews JOIN m", ["mood"]),
        ("SELECT reviews.", ["id", "text", "stars"]),
        ("SELECT * FROM reviews AS r JOIN mood m ON r.s", ["stars"]),
        ("SELECT * FROM reviews AS r JOIN mood m ON m.mood_", ["mood_error"]),
        ("SELECT * FROM reviews r WHERE unknown.", []),
        ("CREATE MODEL a PREDICT b USING engine = '", ["hf", "local_one"]),
        ("CREATE MODEL a PREDICT b USING task = 'text-cl", ["text-classification"]),
        ("CREATE MODEL a PREDICT b USING task = 'text-classification', to", ["top_k"]),
        ("CREATE MODEL a PREDICT b USING en", ["endpoint", "engine"]),
        ("CREATE ML_ENGINE a FROM huggingface_api USING endpoint = 'l", ["local"]),
        ("SELECT * FROM reviews JOIN mood USING thr", ["threshold"]),
        ("CREATE MODEL a PREDICT b USING column = 'st", ["stars"]),
        ("DROP ML_ENGINE l", ["local_one"]),
        ("SELECT 'tex", []),
        (".mo", [".models", ".mode"]),
        (".mode js", ["json", "jsonlines"]),
    ],
)
def test_tab_offers(text: str, expected: list[str]) -> None:
    assert completions(text) == expected


def test_tab_offers_every_argument_of_an_engine() -> None:
    assert completions("CREATE ML_ENGINE hf FROM huggingface_api USING ") == list(settings_arguments(EngineSettings))


def test_tab_offers_files(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").touch()
    assert completions(f"SELECT * FROM '{tmp_path}/rev") == ["iews.csv"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("  \n ", True),
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1; SELECT", False),
        ("SELECT ';", False),
        ("SELECT $$;", False),
        ("/* ;", False),
        (".tables", True),
        ("\\q", True),
        ("exit", True),
        ("quit;", True),
        ("help me", False),
    ],
)
def test_enter_runs_what_is_whole(text: str, expected: bool) -> None:
    assert is_whole(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        "CREATE ML_ENGINE hf FROM huggingface_api USING api_key = 'my own key';",
        "CREATE ML_ENGINE hf FROM huggingface_api USING TOKEN='x';",
        "SELECT 'hf_AbCdEfGhIjKlMnOpQrStUv';",
    ],
)
def test_a_statement_with_a_key_is_known(text: str) -> None:
    assert holds_key(text)


@pytest.mark.parametrize(
    "text", ["SELECT api_key_env FROM t;", "USING api_key_env = 'HF_TOKEN'", "SELECT tokens FROM t;"]
)
def test_other_statements_have_none(text: str) -> None:
    assert not holds_key(text)


def test_a_column_may_be_called_as_a_command() -> None:
    assert is_dot_command("help") and not is_dot_command("help help")


def test_statements_are_found_with_their_lines() -> None:
    script = "-- first\nSELECT 1;\n\nSELECT ';\n';  INSERT INTO t\nVALUES (1);\n"
    found = [(place.number, place.line, place.is_change) for place in places_of(script)]
    assert found == [(1, 2, False), (2, 4, False), (3, 5, True)]


def usage(**counts: object) -> Usage:
    made = Usage("text-classification", "org/model", "host")
    for name, value in counts.items():
        setattr(made, name, value)
    return made


def test_what_a_model_was_asked_is_one_line() -> None:
    lines = usage_lines([("mood", usage(distinct=20, cache_hits=8, requests=12, answered=20, seconds=0.31))])
    assert lines == ["  mood: 12 requests, 8 of 20 inputs stored, 0.3 s"]


def test_a_model_that_was_asked_nothing_has_none() -> None:
    assert usage_lines([("mood", usage())]) == []


def test_failed_inputs_have_their_number_and_the_most_frequent_reason() -> None:
    failing = usage(distinct=9, requests=9)
    failing.errors.update({"rejected input": 3, "temporary failure": 2})
    assert usage_lines([("mood", failing)])[1].startswith(
        "  mood: 5 inputs failed, most often for: rejected input (3 times)."
    )


def test_an_interrupted_statement_says_what_is_kept() -> None:
    watch = Watch(has_bars=False)
    watch.attach()
    try:
        assert watch.interrupted_line() == "Interrupted."
        watch.progress("mood", 10, 500)
        watch.progress("mood", 40, 1000)
        assert "40 of 1,000 inputs were answered. They are kept" in watch.interrupted_line()
        watch.begin()
        assert watch.interrupted_line() == "Interrupted."
    finally:
        watch.close()


def test_an_interrupted_cascade_says_in_which_phase() -> None:
    watch = Watch(has_bars=False)
    watch.attach()
    try:
        watch.progress("topic", 1062, 2000, phase=Phase("large model checks", 62, 312, 1.0, is_most=True))
        assert watch.interrupted_line() == (
            "Interrupted. topic, large model checks: 62 of at most 312 inputs. They are kept: the same statement asks "
            "only for the rest."
        )
        watch.progress("mood", 40, 1000)
        assert watch.interrupted_line().startswith(
            "Interrupted. 40 of 1,000 inputs were answered. topic, large model checks: 62 of at most 312 inputs. They"
        )
    finally:
        watch.close()


def test_what_is_not_stored_is_not_promised() -> None:
    assert "asks only for the rest" in what_is_kept({"text-classification"})
    line = what_is_kept({"text-classification", "chat-completion"})
    assert "rest" not in line and "chat-completion" in line and "cache = true" in line
