"""`huggingface-api-handler sql` as people call it: -c, scripts, standard input, a terminal, Ctrl-C, exit statuses."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from huggingface_api_handler import cli
from huggingface_api_handler.cli.sql.cost_question import CostQuestion
from huggingface_api_handler.cli.sql.runner import Runner
from huggingface_api_handler.cli.sql.shell import Shell
from huggingface_api_handler.cli.sql.watch import Watch
from huggingface_api_handler.sql import connect
from tests.conftest import Reply, Service

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "huggingface_api_handler", "sql"]
TIMEOUT_S = 60.0
"""For a process that is about to say something; only a failing test waits so long."""


def label(text: str) -> list[dict[str, Any]]:
    return [{"label": "GOOD" if "good" in text else "BAD", "score": 0.9}]


def answer(body: Any, _headers: Any, _path: Any) -> Any:
    if body is None:  # what the server is, which this one does not say
        return Reply({"error": "not found"}, 404)
    inputs = body["inputs"]
    return [label(text) for text in inputs] if isinstance(inputs, list) else [label(inputs)]


@pytest.fixture
def classifier(service: Service) -> Service:
    service.answer = answer
    return service


class SlowService(Service):
    """Answers some inputs and no more."""

    def __init__(self, answered: int) -> None:
        super().__init__()
        self.left, self.is_stuck = answered, threading.Event()
        self.held: list[asyncio.Future[Any]] = []
        self.answer = self._answer

    def _answer(self, body: Any, headers: Any, path: Any) -> Any:
        if body is None:
            return answer(body, headers, path)
        inputs = body["inputs"]
        self.left -= len(inputs) if isinstance(inputs, list) else 1
        if self.left >= 0:
            return answer(body, headers, path)
        self.is_stuck.set()
        never = asyncio.get_running_loop().create_future()
        self.held.append(never)
        return never

    def close(self) -> None:
        """Let go of what is held, and stop the server."""
        for each in self.held:
            each.get_loop().call_soon_threadsafe(each.cancel)
        super().close()


@pytest.fixture
def slow() -> Iterator[SlowService]:
    running = SlowService(3)
    yield running
    running.close()


def setup(service: Service, *, name: str = "mood") -> str:
    return (
        f"CREATE ML_ENGINE hf FROM huggingface_api USING endpoint = '{service.url}/models', max_concurrency = 1;"
        f"CREATE MODEL {name} PREDICT mood USING task = 'text-classification', column = 'text', engine = 'hf';"
    )


TEXTS = "CREATE TABLE t AS SELECT range AS id, 'good ' || range AS text FROM range(20);"
SELECT = "SELECT t.id, m.mood FROM t JOIN mood AS m"


def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_HOME": str(tmp_path / "hf-home"),
        "HF_HUB_OFFLINE": "1",
        "TERM": "xterm",
    }


def run(tmp_path: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        check=False,
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        cwd=tmp_path,
        timeout=TIMEOUT_S,
    )


# One statement or a script, in this process


def test_a_statement_prints_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sql", "-c", "SELECT 42 AS answer"]) == 0
    out, err = capsys.readouterr()
    assert out.split() == ["answer", "------", "42"]
    assert err == ""


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("csv", lambda text: list(csv.DictReader(io.StringIO(text)))),
        ("json", json.loads),
        ("jsonlines", lambda text: [json.loads(line) for line in text.splitlines()]),
    ],
)
def test_predictions_come_in_every_format(
    classifier: Service, capsys: pytest.CaptureFixture[str], kind: str, read: Any
) -> None:
    script = f"{setup(classifier)} CREATE TABLE t AS SELECT unnest(['good', 'poor']) AS text;"
    select = "SELECT t.text, m.mood FROM t JOIN mood AS m ORDER BY t.text"
    assert cli.main(["sql", "--format", kind, "-c", f"{script}{select}"]) == 0
    out, err = capsys.readouterr()
    assert read(out) == [{"text": "good", "mood": "GOOD"}, {"text": "poor", "mood": "BAD"}]
    assert "mood: 2 requests, 0 of 2 inputs stored" in err


def test_a_script_is_run_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.sql"
    script.write_text("CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2);\nSELECT sum(a) AS s FROM t;\n")
    assert cli.main(["sql", str(script)]) == 0
    assert capsys.readouterr().out.split() == ["s", "-", "3"]


def test_a_database_keeps_what_was_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = str(tmp_path / "my.duckdb")
    assert cli.main(["sql", "--db", database, "-c", "CREATE TABLE t AS SELECT 7 AS a"]) == 0
    assert cli.main(["sql", database, "-c", "FROM t"]) == 0
    assert "7" in capsys.readouterr().out


def test_a_database_is_known_by_its_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = str(tmp_path / "theirs.sql")
    assert cli.main(["sql", "--db", database, "-c", "CREATE TABLE t AS SELECT 7 AS a"]) == 0
    assert cli.main(["sql", "--trust", database, "-c", "FROM t"]) == 0
    assert "7" in capsys.readouterr().out


def test_a_failed_statement_ends_the_script_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.sql"
    script.write_text("SELECT 1 AS a;\n\n-- the second\nSELECT nothing FROM nowhere;\nSELECT 3 AS never;\n")
    assert cli.main(["sql", str(script)]) == 1
    out, err = capsys.readouterr()
    assert "never" not in out
    assert "nowhere" in err and "in statement 2, line 4" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing.sql"], "The script nothing.sql cannot be read: No such file or directory"),
        (["-c", "SELECT 1", "a.sql"], "Give -c or a script, not both"),
        (["--db", "/nowhere/my.duckdb", "-c", "SELECT 1"], "there is no folder"),
        (["-c", "DROP MODEL nothing"], "there is no model 'nothing'"),
        (["-c", "SELECT 'open"], ""),
    ],
)
def test_what_cannot_be_run_is_a_sentence(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sql", *arguments]) == 1
    err = capsys.readouterr().err
    assert sentence in err and "Traceback" not in err


def test_a_script_that_is_no_text_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "script.sql").write_bytes(b"SELECT '\xff'")
    assert cli.main(["sql", str(tmp_path / "script.sql")]) == 1
    assert "not in UTF-8" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "sqlglot"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("huggingface_api_handler.sql")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("huggingface_api_handler.sql")
    monkeypatch.setitem(sys.modules, "sqlglot", None)
    assert cli.main(["sql", "-c", "SELECT 1"]) == 1
    assert 'pip install "huggingface_api_handler[sql]"' in capsys.readouterr().err


def test_an_expensive_statement_is_refused_where_nobody_can_be_asked(
    classifier: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    script = f"{setup(classifier)}{TEXTS}{SELECT}"
    assert cli.main(["sql", "--max-requests", "19", "-c", script]) == 1
    assert "mood would be sent 20 requests" in (err := capsys.readouterr().err)
    assert "--max-requests 20 " in err and "--yes" in err and "in statement 4, line 1" in err
    assert not classifier.asked
    assert cli.main(["sql", "--max-requests", "20", "-c", script]) == 0
    assert classifier.asked


def test_yes_does_not_ask(classifier: Service) -> None:
    assert cli.main(["sql", "--yes", "--max-requests", "1", "-c", f"{setup(classifier)}{TEXTS}{SELECT}"]) == 0
    assert classifier.asked


def test_failed_rows_are_told(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse_one(body: Any, headers: Any, path: Any) -> Any:
        if "good 7" in str(body):
            return Reply({"error": "this input is too odd"}, 400)
        return answer(body, headers, path)

    service.answer = refuse_one
    assert cli.main(["sql", "-c", f"{setup(service)}{TEXTS}{SELECT}"]) == 0
    err = capsys.readouterr().err
    assert "1 input failed, most often for: rejected input" in err


# Another process: standard input, pipes and signals


def test_standard_input_is_a_script(tmp_path: Path) -> None:
    done = run(tmp_path, stdin="CREATE TABLE t AS SELECT 5 AS a;\nFROM t;\nNONSENSE;\n")
    assert done.returncode == 1
    assert done.stdout.split() == ["a", "-", "5"]
    assert "in statement 3, line 3" in done.stderr


def test_who_reads_only_the_first_rows_gets_no_traceback(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--format", "csv", "-c", "FROM range(1000000)"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "range\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_ctrl_c_keeps_what_is_answered_and_the_next_run_asks_the_rest(tmp_path: Path, slow: SlowService) -> None:
    assert cli.main(["sql", "--db", str(tmp_path / "my.duckdb"), "-c", f"{setup(slow)}{TEXTS}"]) == 0
    command = [*COMMAND, "--db", "my.duckdb", "-c", SELECT]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(tmp_path), cwd=tmp_path
    ) as process:
        try:
            assert slow.is_stuck.wait(TIMEOUT_S)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
    assert process.returncode == 130
    found = re.search(r"Interrupted\. (\d+) of 20 inputs were answered\. They are kept", err)
    assert found is not None and out == "" and err.count("Interrupted") == 1
    kept = int(found[1])
    assert kept >= 1
    slow.answer, asked_before = answer, len(slow.asked)
    done = run(tmp_path, "--db", "my.duckdb", "--format", "csv", "-c", SELECT)
    assert done.stdout.splitlines() == ["id,mood", *(f"{number},GOOD" for number in range(20))]
    inputs = [body["inputs"] for body in slow.asked[asked_before:]]
    asked = [text for each in inputs for text in (each if isinstance(each, list) else [each])]
    assert len(set(asked)) == 20 - kept
    assert f"{kept} of 20 inputs stored" in done.stderr


class Terminal:
    """A process with a terminal of its own."""

    def __init__(self, tmp_path: Path, *arguments: str) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(tmp_path)
            os.execvpe(COMMAND[0], [*COMMAND, *arguments], environment(tmp_path))
        self.text = ""

    def type(self, text: str) -> None:
        """Write keys."""
        os.write(self._terminal, text.encode())

    def wait_for(self, *words: str) -> None:
        """Read until some words have come, one after another. What came up to them does not count again."""
        for each in words:
            while each not in self.text:
                assert self._read(), f"{each!r} never came: {self.text}"
            self.text = self.text.partition(each)[2]

    def leave(self, keys: str) -> int:
        """Type what leaves, and wait for the exit status."""
        self.type(keys)
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        """Read what comes next. False at the end, and where nothing comes: the process is killed then."""
        ready, _, _ = select.select([self._terminal], [], [], TIMEOUT_S)
        if not ready:
            os.kill(self.pid, signal.SIGKILL)
            return False
        try:
            new = os.read(self._terminal, 65536)
        except OSError:  # how Linux says that the other end is closed
            return False
        self.text += new.decode(errors="replace")
        return bool(new)


def test_in_a_terminal_ctrl_c_goes_back_to_the_prompt(tmp_path: Path, slow: SlowService) -> None:
    assert cli.main(["sql", "--db", str(tmp_path / "my.duckdb"), "-c", f"{setup(slow)}{TEXTS}"]) == 0
    terminal = Terminal(tmp_path, "my.duckdb")
    terminal.wait_for("sql>")
    terminal.type(f"{SELECT};\r")
    assert slow.is_stuck.wait(TIMEOUT_S)
    terminal.type("\x03")
    terminal.wait_for("of 20 inputs were answered. They are kept: the same statement asks only for the rest.", "sql>")
    terminal.type("SELECT 'still ' || 'here' AS a;\r")
    terminal.wait_for("still here", "(1 row, ", "sql>")
    assert terminal.leave("\x04") == 0


def test_in_a_terminal_an_expensive_statement_is_asked_about(tmp_path: Path, classifier: Service) -> None:
    assert cli.main(["sql", "--db", str(tmp_path / "my.duckdb"), "-c", f"{setup(classifier)}{TEXTS}"]) == 0
    terminal = Terminal(tmp_path, "my.duckdb", "--max-requests", "5")
    terminal.wait_for("sql>")
    terminal.type(f"{SELECT};\r")
    terminal.wait_for("mood would be sent 20 requests", "Send them? [y/N]")
    terminal.type("n\r")
    terminal.wait_for("Nothing was sent to mood", "sql>")
    assert not classifier.asked
    terminal.type(f"{SELECT};\r")
    terminal.wait_for("Send them? [y/N]")
    terminal.type("y\r")
    terminal.wait_for("(20 rows, ", "sql>")
    assert terminal.leave("\\q\r") == 0


def test_in_a_terminal_tab_completes(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.wait_for("sql>")
    terminal.type("CREATE TABLE reviews AS SELECT 1 AS stars;\r")
    terminal.wait_for("(1 row changed, ", "sql>")
    terminal.type("SELECT * FROM revi\t")
    terminal.wait_for("FROM revi", "ews")
    terminal.type(" AS r WHERE r.st\t")
    terminal.wait_for("ars")
    terminal.type(" = 1;\r")
    terminal.wait_for("(1 row, ", "sql>")
    assert terminal.leave("\x04") == 0


# The prompt, with keys from a pipe


class Keys:
    """A shell that is given keys."""

    def __init__(self, history: Path | None = None) -> None:
        self.history = history

    def __call__(self, text: str) -> None:
        """Run a shell until the keys are used up."""
        question = CostQuestion(1000, 1.0, None)
        with connect() as connection, create_pipe_input() as source:
            source.send_text(text)
            runner = Runner(connection, Watch(has_bars=False), question, "csv")
            Shell(runner, self.history, source, DummyOutput()).run()


def test_statements_may_have_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Keys()("SELECT 1 AS a,\r2 AS b\r;\r\x04")
    assert capsys.readouterr().out == "a,b\n1,2\n"


def test_several_statements_may_stand_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Keys()("CREATE TABLE t (a INT); INSERT INTO t VALUES (3); FROM t;\r\x04")
    assert capsys.readouterr().out == "a\n3\n"


def test_a_failed_statement_leaves_the_shell_open(capsys: pytest.CaptureFixture[str]) -> None:
    Keys()("NONSENSE 1; SELECT 2 AS skipped;\rSELECT 3 AS a;\r\x04")
    out, err = capsys.readouterr()
    assert out == "a\n3\n" and "NONSENSE" in err


def test_ctrl_c_clears_the_line_and_twice_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    Keys()("SELECT 1\x03SELECT 2 AS a;\r\x03\x03")
    out, err = capsys.readouterr()
    assert out == "a\n2\n" and err.count("Ctrl-C once more leaves") == 1


@pytest.mark.parametrize("command", [".quit", "\\q", "exit", "quit;"])
def test_there_are_several_words_to_leave(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    Keys()(f"{command}\rSELECT 1 AS never;\r")
    assert "never" not in capsys.readouterr().out


def test_commands_of_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    Keys()("CREATE TABLE reviews (a INT);\r.tables\r.mode jsonlines\r.models\r.engines\r.tables\r.help\r.nothing\r\x04")
    out, err = capsys.readouterr()
    assert "reviews" in out and '"reviews"' in out
    assert "There is no command .nothing" in err and ".mode FORMAT" in err


def test_history_is_kept_without_keys(tmp_path: Path) -> None:
    history = tmp_path / "new" / "history"
    Keys(history)("SELECT 1 AS kept;\rSELECT 'hf_AbCdEfGhIjKlMnOpQrStUv' AS secret;\r\x04")
    assert "SELECT 1 AS kept;" in history.read_text()
    assert "hf_AbC" not in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600


def test_the_last_statement_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = tmp_path / "history"
    Keys(history)("SELECT 1 AS a;\r\x04")
    Keys(history)("\x1b[A\r\x04")
    assert capsys.readouterr().out == "a\n1\na\n1\n"


def test_a_history_that_cannot_be_written_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    Keys(tmp_path / "file" / "history")("SELECT 1 AS a;\r\x04")
    out, err = capsys.readouterr()
    assert out == "a\n1\n" and "No history is kept" in err
