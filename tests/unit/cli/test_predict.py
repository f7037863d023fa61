"""The command predict: what it refuses before anything is asked, what it says, and with which status it ends."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from huggingface_api_handler import cli
from huggingface_api_handler.cli import predict as predict_command
from huggingface_api_handler.cli.arguments import pairs
from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.runners.parquet import supervisor as supervisor_module
from huggingface_api_handler.runners.parquet.supervisor import Outcome, Progress, Supervisor
from tests.conftest import Reply, Service

Result = tuple[int, str, str]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    source = tmp_path / "in.parquet"
    pq.write_table(
        pa.table({"id": range(8), "text": [f"row {number}" for number in range(8)]}), source, row_group_size=4
    )
    return source, tmp_path / "out.parquet"


@pytest.fixture
def command(files: tuple[Path, Path], service: Service, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    service.answer = lambda body, headers, path: [
        [{"label": "POSITIVE", "score": 0.5 + int(text.split()[1]) / 100}, {"label": "NEGATIVE", "score": 0.1}]
        for text in (body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]])
    ]

    def run(*more: str, source: Path | None = None, out: Path | None = None) -> Result:
        arguments = ["predict", str(source or files[0]), str(out or files[1]), "--task=text-classification"]
        arguments += ["--column=text", "--target=mood", f"--endpoint={service.url}/models"]
        arguments += [f"--cache-dir={tmp_path / 'store'}", *more]
        status = cli.main(arguments)
        out_text, error = capsys.readouterr()
        return status, out_text, error

    return run


def test_a_file_is_predicted_and_told_of(command: Any, files: tuple[Path, Path], service: Service) -> None:
    status, out, said = command("--workers=2")
    assert (status, out) == (0, "")
    table = pq.read_table(files[1])
    assert table["id"].to_pylist() == list(range(8))
    assert table["mood_confidence"].to_pylist() == [0.5 + number / 100 for number in range(8)]
    assert f"{files[1]}: 8 rows in " in said
    assert f"{len(service.asked)} requests, 0 stored answers used" in said
    asked, service.asked[:] = len(service.asked), []
    assert asked
    status, _, said = command()
    assert status == 2
    assert "exists. Give --overwrite to replace it" in said
    status, _, said = command("--overwrite", "--row-group-size=3")
    assert status == 0
    assert "0 requests, 8 stored answers used" in said
    assert service.asked == []
    file = pq.ParquetFile(files[1])
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [3, 3, 2]


def test_rows_that_failed_make_a_status_of_their_own(command: Any, files: tuple[Path, Path], service: Service) -> None:
    answer = service.answer
    service.answer = lambda body, headers, path: (
        Reply({"error": "row 3 is no good"}, 422) if "row 3" in str(body) else answer(body, headers, path)
    )
    status, _, said = command()
    assert status == 3
    assert "8 rows in " in said
    assert "1 failed: rejected input 1" in said
    assert pq.read_table(files[1])["mood_error"].null_count == 7


def test_a_job_that_cannot_be_done_says_why_and_how_to_go_on(command: Any, service: Service) -> None:
    service.answer = lambda body, headers, path: Reply({"error": "no such key"}, 401)
    status, _, said = command()
    assert status == 1
    assert "no such key" in said
    assert "0 of 8 rows are done. What is done is there. Run the same command again to go on." in said


def test_a_budget_ends_the_job_for_now(command: Any, files: tuple[Path, Path]) -> None:
    status, _, said = command("--using", "max_requests=1", "--workers=2")
    assert status == 1
    assert "max_requests = 1 was reached" in said
    assert not files[1].exists()
    assert command()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--column=txet"], "txet"),
        (["--using", "no mark"], "--using takes KEY=VALUE"),
        (["--using", "max_requests=-1"], "max_requests"),
        (["--engine", "nothing=1"], "nothing"),
        (["--engine", "api_key=hf_abcdefgh"], "--api-key-env NAME"),
        (["--engine", "token=hf_abcdefgh"], "--api-key-env NAME"),
        (["--api-key-env=NOT_SET"], "NOT_SET, which is not set"),
        (["--target=id"], "--target NAME"),
    ],
)
def test_arguments_that_cannot_be_used_are_told_at_once(
    command: Any, service: Service, files: tuple[Path, Path], arguments: list[str], words: str
) -> None:
    status, out, said = command(*arguments)
    assert (status, out) == (2, "")
    assert words in said
    assert "hf_abcdefgh" not in said
    assert service.asked == service.fetched == []
    assert [path.name for path in files[0].parent.iterdir()] == ["in.parquet"]


def test_files_that_cannot_be_used_are_told_at_once(command: Any, files: tuple[Path, Path], tmp_path: Path) -> None:
    for changes, words in (
        ({"source": tmp_path / "none.parquet"}, "is no file"),
        ({"out": tmp_path / "none" / "out.parquet"}, "is no folder"),
        ({"out": tmp_path}, "is a folder"),
        ({"out": files[0]}, "is the input"),
    ):
        status, _, said = command("--overwrite", **changes)
        assert status == 2
        assert words in said


@pytest.mark.parametrize("arguments", [["--workers=0"], ["--workers=x"], ["--row-group-size=-1"], ["--api-key=x"]])
def test_numbers_are_at_least_one_and_names_are_whole(command: Any, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command(*arguments)
    assert ended.value.code == 2


def test_values_are_json_or_text() -> None:
    found = pairs("--using", ['labels={"A": "b"}', "threshold=0.5", "question=is it = good?", "x="])
    assert found == {"labels": {"A": "b"}, "threshold": 0.5, "question": "is it = good?", "x": ""}


def test_a_dry_run_asks_nothing_and_leaves_nothing(command: Any, files: tuple[Path, Path], service: Service) -> None:
    status, out, _ = command("--dry-run")
    assert (status, service.asked) == (0, [])
    assert out.startswith("dry run: 8 rows, 0 NULL or blank, 8 distinct inputs, 0 answers stored, ")
    assert not list(files[0].parent.glob("*.parts"))


def test_without_pyarrow_it_says_how_to_get_it(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("huggingface_api_handler.runners.parquet")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    status, _, said = command()
    assert status == 1
    assert 'pip install "huggingface_api_handler[parquet]"' in said


def test_parts_of_another_job_stay_as_they_are(command: Any, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Supervisor, "run", lambda self, rows: Outcome(False, 0, Counter(), None))
    assert command()[0] == 1
    status, _, said = command("--model=other/model", "--overwrite")
    assert status == 2
    assert "another job: model is" in said
    assert service.asked == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_says_how_to_go_on(
    command: Any, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def interrupted(self: Supervisor, row_group_rows: int | None = None) -> Outcome:
        os.kill(os.getpid(), number)
        assert self.is_stopping.wait(10)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
            self.is_stopping.wait(10)
            signal.sigtimedwait([number], 10)
        return Outcome(False, 4, Counter(), None)

    before = signal.getsignal(number)
    monkeypatch.setattr(Supervisor, "run", interrupted)
    status, _, said = command()
    assert status == 128 + number
    assert "4 of 8 rows are done. What is done is there. Run the same command again to go on." in said
    assert signal.getsignal(number) is before


def test_workers_that_die_again_and_again_end_the_job(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "_WORKER_MODULE", "no.such.module")
    status, _, said = command()
    assert status == 1
    assert said.count("ended with status 1. Another one takes over its rows.") == 3
    assert "with no rows done between" in said


def test_an_error_of_the_run_is_told(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Supervisor, row_group_rows: int | None = None) -> Outcome:
        raise InferenceError("it broke")

    monkeypatch.setattr(Supervisor, "run", failing)
    status, _, said = command()
    assert status == 1
    assert said == "it broke\nWhat is done is there. Run the same command again to go on.\n"


def test_progress_is_a_line_a_minute_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    view = predict_command._View(1000)
    view.show(Progress(100, Counter()))
    now[0] = 60.0
    view.show(Progress(700, Counter({"rejected input": 2, "temporary failure": 1})))
    now[0] = 61.0
    view.show(Progress(710, Counter()))
    view.close()
    assert capsys.readouterr().err == (
        "700 of 1,000 rows, 10.0 a second, 3 failed: rejected input 2, temporary failure 1\n"
    )


def test_progress_is_a_bar_in_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    view = predict_command._View(1000)
    view.show(Progress(100, Counter()))
    view.show(Progress(700, Counter({"rejected input": 2})))
    view.say("Worker 1 was killed.")
    view.close()
    said = capsys.readouterr().err
    assert "10%" in said
    assert "Worker 1 was killed.\n" in said


def test_the_receipt_names_tokens_and_pauses() -> None:
    usage = Usage("chat-completion", "m", "host", requests=1, tokens=1234, rate_limit_waits=2)
    assert predict_command._used(usage) == "  m: 1 request, 0 stored answers used, 1,234 tokens, 2 pauses"
