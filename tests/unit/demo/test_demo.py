"""The demo without MindsDB: its script, its tables, what it stops and puts back."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.console import text_table
from huggingface_api_handler.demo import show as demo
from huggingface_api_handler.demo.mindsdb_server import SQLError, Table, _without_traceback
from huggingface_api_handler.demo.processes import ServerError, free_ports, running, stop_group
from huggingface_api_handler.demo.sql_script import created_model, statements
from huggingface_api_handler.installation import InstallationError, Report

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


class Recorder:
    """Stands for MindsDB: remembers statements, fails on request."""

    def __init__(self, fail_at: str = "") -> None:
        self.seen: list[str] = []
        self.waited: list[str] = []
        self.fail_at = fail_at
        self.url = "http://127.0.0.1:1"
        self.log = Path("mindsdb.log")

    def sql(self, statement: str) -> Table:
        self.seen.append(statement)
        if self.fail_at and self.fail_at in statement:
            raise SQLError("the model does not exist")
        return Table(["text"], [["hello"]]) if statement.startswith("SELECT") else Table([], [])

    def wait_for_model(self, name: str, project: str) -> float:
        self.waited.append(f"{project}.{name}")
        return 0.0

    def upload(self, file: Path, table: str) -> None:
        self.seen.append(f"upload {file.name} {table}")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """run_demo with everything it starts replaced; what was started and stopped is in `events`."""
    server = Recorder()
    events: list[str] = []
    options: dict[str, Any] = {}

    @contextlib.contextmanager
    def fake(name: str, value: object, **given: object) -> Iterator[object]:
        options[name] = given
        events.append(f"+{name}")
        try:
            yield value
        finally:
            events.append(f"-{name}")

    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(demo, "installed", lambda: fake("handler", None))
    monkeypatch.setattr(demo, "running_mindsdb", lambda **given: fake("mindsdb", server, **given))
    local = "http://127.0.0.1:5555"
    monkeypatch.setattr(demo, "running_inference_server", lambda **_: fake("inference", local))
    return {"server": server, "events": events, "options": options}


def test_the_local_engine_gets_the_address_of_the_server_that_was_started(stage: dict[str, Any]) -> None:
    assert demo.run_demo(EXAMPLES) == 0
    seen = stage["server"].seen
    assert seen[0] == "upload reviews.csv reviews"
    assert "endpoint = 'http://127.0.0.1:5555/models'" in seen[1]
    assert stage["events"] == ["+handler", "+inference", "+mindsdb", "-mindsdb", "-inference", "-handler"]
    assert stage["options"]["mindsdb"]["with_token"] is False


def test_with_a_token_only_the_engine_differs(stage: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert demo.run_demo(EXAMPLES) == 0
    local, remote = (demo.demo_script(EXAMPLES, with_token=token) for token in (False, True))
    assert local[1:] == remote[1:]
    assert "CREATE ML_ENGINE hf_api_engine" in local[0] and "CREATE ML_ENGINE hf_api_engine" in remote[0]
    assert "api_key_env = 'HF_TOKEN'" in remote[0]
    assert not any("hf_secret" in each for each in stage["server"].seen)
    assert "+inference" not in stage["events"]
    assert stage["options"]["mindsdb"]["with_token"] is True


def test_a_failed_statement_stops_the_demo_with_its_reason(
    stage: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stage["server"].fail_at = "GROUP BY"
    assert demo.run_demo(EXAMPLES) == 1
    assert "the model does not exist" in capsys.readouterr().err
    assert "GROUP BY" in stage["server"].seen[-1]
    assert stage["events"][-3:] == ["-mindsdb", "-inference", "-handler"]


def test_sigterm_stops_what_was_started(stage: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def terminated(statement: str) -> Table:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        raise AssertionError("the signal did nothing")

    monkeypatch.setattr(stage["server"], "sql", terminated)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        demo.run_demo(EXAMPLES)
    assert caught.value.code == 143
    assert stage["events"][-3:] == ["-mindsdb", "-inference", "-handler"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_every_model_is_waited_for(stage: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    script = demo.demo_script(EXAMPLES, with_token=False)
    summary = demo.run_script(stage["server"], script)
    made = [each for each in script if each.startswith("CREATE MODEL")]
    assert len(stage["server"].waited) == len(made) >= 5
    assert summary.statements == len(script)
    assert "is complete" in capsys.readouterr().out


def test_without_examples_the_demo_says_where_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.run_demo(tmp_path) == 1
    assert "--examples" in capsys.readouterr().err


@pytest.mark.parametrize("before", ["ours", "shipped"])
def test_the_handler_that_was_active_before_is_put_back(monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    done: list[str] = []
    state = type("State", (), {"active": before})()
    monkeypatch.setattr(demo, "status", lambda **_: state)

    def verb(name: str) -> Report:
        done.append(name)
        return Report(True, ())

    monkeypatch.setattr(demo, "install", lambda: verb("install"))
    monkeypatch.setattr(demo, "uninstall", lambda: verb("uninstall"))
    with pytest.raises(RuntimeError), demo.installed():
        raise RuntimeError
    assert done == (["install"] if before == "ours" else ["install", "uninstall"])


def test_failing_to_put_back_does_not_hide_why_the_demo_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> Report:
        raise InstallationError("read-only")

    monkeypatch.setattr(demo, "status", lambda **_: type("State", (), {"active": "shipped"})())
    monkeypatch.setattr(demo, "install", lambda: Report(True, ()))
    monkeypatch.setattr(demo, "uninstall", refused)
    with pytest.raises(SQLError, match="first"), demo.installed():
        raise SQLError("first")


def test_the_statements_of_the_engine_are_those_people_are_told() -> None:
    script = demo.demo_script(EXAMPLES, with_token=False)
    assert script[1] == (
        "CREATE MODEL mindsdb.hf_sentiment_classifier\nPREDICT sentiment\nUSING\n"
        "  task = 'text-classification',\n  column = 'text',\n  engine = 'hf_api_engine'"
    )
    assert "WHERE text = 'I like you. I love you.'" in script[2]
    text = "\n".join(script)
    for part in ("JOIN", "GROUP BY m.sentiment", "candidate_labels", "token-classification", "DESCRIBE"):
        assert part in text
    assert "sentence-similarity" in text and "column2" in text and "feature-extraction" in text


def test_the_reviews_are_as_their_readme_says() -> None:
    reviews = pd.read_csv(EXAMPLES / "reviews.csv")
    assert list(reviews.columns) == ["id", "product", "text", "stars", "posted_on"]
    assert len(reviews) == 207 and reviews["id"].is_unique
    assert f"{len(reviews)} reviews" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert reviews["text"].isna().sum() == 5
    assert reviews["text"].dropna().duplicated().sum() == 6
    assert set(reviews["stars"]) == {1, 2, 3, 4, 5}
    assert pd.to_datetime(reviews["posted_on"]).is_monotonic_increasing


def test_statements_end_at_semicolons_outside_of_strings_and_comments() -> None:
    script = """
    -- first; not a statement
    SELECT 'a;b', 'it''s -- no comment; really', "c;d" FROM t; -- trailing; comment
    /* block;
       comment */
    SELECT 'two

lines';;
    SELECT 3
    """
    assert statements(script) == [
        """SELECT 'a;b', 'it''s -- no comment; really', "c;d" FROM t""",
        "SELECT 'two\n\nlines'",
        "SELECT 3",
    ]
    assert statements(" -- nothing\n ; ") == []


@pytest.mark.parametrize(
    ("statement", "model"),
    [
        ("CREATE MODEL mindsdb.a PREDICT b USING c = 1", ("mindsdb", "a")),
        ("create or replace model a predict b", ("mindsdb", "a")),
        ("CREATE MODEL IF NOT EXISTS `my_project`.`a` PREDICT b", ("my_project", "a")),
        ("CREATE ML_ENGINE a FROM b", None),
        ("SELECT 'CREATE MODEL a'", None),
    ],
)
def test_a_created_model_is_recognised(statement: str, model: tuple[str, str] | None) -> None:
    assert created_model(statement) == model


def test_tables_are_readable() -> None:
    rows: list[list[Any]] = [["a\n  long text, " * 9, 0.123456, 12345, None], ["b", None, 7, {"label": 1}]]
    text = text_table(["text", "score", "count", "what"], rows, max_cell_chars=20)
    assert text.splitlines() == [
        "  text                   score    count   what",
        "  --------------------   -----   ------   ------------",
        "  a long text, a lo...   0.123   12,345   NULL",
        '  b                       NULL        7   {"label": 1}',
    ]
    assert text_table(["n"], [[i] for i in range(14)], max_rows=3).endswith("... and 11 more rows")
    assert text_table(["n"], []) == "  n\n  -"
    upright = text_table([f"column_{i}" for i in range(20)], [["value"] * 20])
    assert upright.splitlines()[0] == "  column_0    value"


def test_the_message_of_an_ml_process_comes_without_its_traceback() -> None:
    assert _without_traceback("ValueError: no\nTraceback (most recent call last):\n x") == "ValueError: no"
    assert _without_traceback("plain") == "plain"


def test_free_ports_differ() -> None:
    assert len(set(free_ports(5))) == 5


FAMILY = """
import subprocess, sys, time
stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
child.stdout.readline()
print("the child is", child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are POSIX")
def test_children_that_ignore_sigterm_are_stopped_too() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, start_new_session=True, text=False
    )
    assert process.stdout is not None
    child = int(process.stdout.readline().split()[-1])
    stop_group(process, grace=0.3)
    process.stdout.close()
    for _ in range(100):
        if not _runs(child):
            break
        time.sleep(0.05)
    assert process.returncode is not None and not _runs(child)


def _runs(number: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


SLEEP = "import time; time.sleep(60)"


def python_server(code: str, folder: Path, **options: Any) -> AbstractContextManager[Path]:
    command = [sys.executable, "-c", code]
    return running("Test server", command, environment=dict(os.environ), folder=folder, **options)


def test_a_server_that_stops_early_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with (
        pytest.raises(ServerError, match=r"status 3[\s\S]*no such option[\s\S]*All of it: ") as caught,
        python_server("print('no such option'); raise SystemExit(3)", tmp_path, ready=lambda: False, timeout=20),
    ):
        raise AssertionError("never entered")
    log = Path(str(caught.value).rsplit("All of it: ", 1)[1])
    assert log.is_file()
    log.unlink()


def test_a_server_that_does_not_answer_is_stopped(tmp_path: Path) -> None:
    seconds: list[float] = []
    with (
        pytest.raises(ServerError, match="did not answer within 0 s") as caught,
        python_server(
            SLEEP,
            tmp_path,
            ready=lambda: False,
            timeout=0.1,
            progress=lambda _name, elapsed: seconds.append(elapsed),
        ),
    ):
        raise AssertionError("never entered")
    Path(str(caught.value).rsplit("All of it: ", 1)[1]).unlink()
    assert seconds


@pytest.mark.parametrize(("ending", "kept"), [(None, False), (KeyboardInterrupt, False), (ValueError, True)])
def test_the_log_is_kept_where_an_error_ends_the_block(
    tmp_path: Path, ending: type[BaseException] | None, kept: bool
) -> None:
    with (
        contextlib.suppress(KeyboardInterrupt, ValueError),
        python_server(SLEEP, tmp_path, ready=lambda: True, timeout=5) as log,
    ):
        if ending is not None:
            raise ending
    assert log.exists() == kept
    log.unlink(missing_ok=True)
