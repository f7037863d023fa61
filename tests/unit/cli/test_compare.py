"""The command compare: what it says before and after it asks, what it writes, and with which status it ends."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler import cli
from huggingface_api_handler.cli import compare as compare_command
from tests.conftest import Reply, Service

Result = tuple[int, str, str]
MODELS = ("--model=right", "--model=half")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    rows = [f"{mood} {number},{label}" for number in range(5) for mood, label in (("good", "Pos"), ("bad", "Neg"))]
    path.write_text("\n".join(["text,label", *rows, ",Pos", ""]), "utf-8")
    return path


@pytest.fixture
def command(source: Path, service: Service, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    def answer(body: Any, _headers: dict[str, str], path: str) -> Any:
        model = path.rpartition("/")[2]
        if model == "refused":
            return Reply({"error": "this key may not"}, 401)
        texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
        labels = ["POSITIVE" if "good" in text or model == "half" else "NEGATIVE" for text in texts]
        return [[{"label": label, "score": 0.9}] for label in labels]

    service.answer = answer

    def run(*more: str, file: Path | None = None, models: tuple[str, ...] = MODELS) -> Result:
        arguments = ["compare", str(file or source), "--column=text", "--truth=label", "--task=text-classification"]
        arguments += ["--labels=Pos=POSITIVE,Neg=NEGATIVE", f"--endpoint={service.url}/models", *models]
        status = cli.main([*arguments, f"--cache-dir={tmp_path / 'store'}", *more])
        out, said = capsys.readouterr()
        return status, out, said

    return run


def test_models_are_asked_and_measured_and_asked_no_more(command: Any, service: Service) -> None:
    status, out, said = command()
    assert status == 0
    assert said.startswith(
        "10 of 10 rows (1 more have no input or no truth), 2 models:\n  right: 10 distinct inputs, 0 "
    )
    assert "  half: 10 rows in " in said
    heading, _, right, half = out.splitlines()
    assert heading.split() == [
        "model",
        "accuracy",
        "F1",
        "agreement",
        "$",
        "per",
        "1,000",
        "seconds",
        "requests",
        "stored",
        "failed",
    ]
    assert "100.0% (72.2-100.0)   100.0% (100.0-100.0)   (reference)         unknown" in right
    assert "50.0% (23.7-76.3)" in half
    service.asked.clear()
    status, out, said = command()
    assert (status, service.asked) == (0, [])
    assert "right: 10 distinct inputs, 10 answers stored, 0 requests\n" in said
    assert out.splitlines()[3].startswith(half[:40])


def test_the_answers_serve_the_command_predict(command: Any, service: Service, tmp_path: Path) -> None:
    command("--sample=4")
    service.asked.clear()
    table = pd.read_csv(tmp_path / "reviews.csv").dropna()
    table.to_parquet(tmp_path / "reviews.parquet")
    arguments = ["--column=text", "--task=text-classification", "--model=right", f"--endpoint={service.url}/models"]
    files = [str(tmp_path / "reviews.parquet"), str(tmp_path / "out.parquet")]
    assert cli.main(["predict", *files, *arguments, f"--cache-dir={tmp_path / 'store'}"]) == 0
    asked = [text for body in service.asked for text in ([body["inputs"]] if isinstance(body["inputs"], str) else body["inputs"])]  # fmt: skip
    assert len(asked) == 6


def test_a_model_that_fails_leaves_the_others_their_rows(command: Any) -> None:
    status, out, said = command(models=("--model=refused", "--model=right"))
    assert status == 3
    assert "  refused: " in said and "this key may not" in said
    assert "100.0% (72.2-100.0)" in out
    assert "this key may not" in out.splitlines()[-1]


def test_it_fails_where_no_model_answered(command: Any, tmp_path: Path) -> None:
    status, out, _ = command(f"--out={tmp_path / 'table.csv'}", models=("--model=refused",))
    assert status == 1
    assert "this key may not" in out
    assert "this key may not" in pd.read_csv(tmp_path / "table.csv")["note"][0]


def test_a_script_reads_json_and_csv(command: Any, tmp_path: Path) -> None:
    status, out, _ = command("--json", f"--out={tmp_path / 'table.csv'}", "--sample=6")
    assert status == 0
    document = json.loads(out)
    assert (document["rows"], [row["model"] for row in document["models"]]) == (6, ["right", "half"])
    first = document["models"][0]
    assert (first["accuracy"], first["agreement"], first["usd"], first["errors"]) == (1.0, None, None, {})
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["accuracy"].tolist() == [row["accuracy"] for row in document["models"]]
    assert table["usd_per_1000"].isna().all()


def test_parquet_is_read_like_csv(command: Any, source: Path, tmp_path: Path) -> None:
    pd.read_csv(source).to_parquet(tmp_path / "reviews.parquet")
    assert command("--json")[1].partition('"usd"')[0] == command("--json", file=tmp_path / "reviews.parquet")[1].partition('"usd"')[0]  # fmt: skip


def test_cells_of_csv_stay_as_they_are(command: Any, service: Service, tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_text("\ufefftext,label\nNA,Pos\n007,Pos\n1.0,Pos\n,Pos\n", "utf-8")
    assert command(file=file, models=("--model=half",))[0] == 0
    asked = {text for body in service.asked for text in ([body["inputs"]] if isinstance(body["inputs"], str) else body["inputs"])}  # fmt: skip
    assert asked == {"NA", "007", "1.0"}


def test_it_asks_before_it_sends_much(command: Any, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    status, _, said = command("--max-requests=5")
    assert (status, service.asked) == (1, [])
    assert said.splitlines()[-1].startswith("right, half would be sent 20 requests")
    assert "Add --max-requests 20 to allow so much, or --yes to allow everything." in said
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdin, "readline", lambda: "n\n")
    assert command("--max-requests=5")[0] == 1
    assert service.asked == []
    monkeypatch.setattr(sys.stdin, "readline", lambda: "y\n")
    assert command("--max-requests=5")[0] == 0


def test_a_dry_run_asks_nothing(command: Any, service: Service) -> None:
    status, out, said = command("--dry-run")
    assert (status, out, service.asked) == (0, "", [])
    assert "half: 10 distinct inputs, 0 answers stored, 10 requests, unknown time, unknown dollars" in said


def test_ctrl_c_says_that_answers_are_stored(command: Any, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("huggingface_api_handler.comparison.comparison.Comparison.run", interrupted)
    status, _, said = command()
    assert status == 130
    assert "run the same command again to go on" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--column=txet"], "no column 'txet'; did you mean 'text'"),
        (["--labels=a=,b"], "--labels takes LABEL or LABEL=NAME"),
        (["--labels=[1"], "is no JSON"),
        (["--labels=a=x,b=x"], "'x' means 'a' and 'b'"),
        (['--model={"model"'], "a JSON object, and this is none"),
        (["--model=" + '{"a":' * 9999], "a JSON object, and this is none"),
        (["--using", "output=all"], "only labels can be compared"),
        (["--engine", "api_key=hf_abcdefgh"], "--api-key-env NAME"),
        (["--api-key-env=NOT_SET"], "NOT_SET, which is not set"),
        (["--out=none/out.csv"], "none is no folder"),
        (["--picture=out.jpg"], "end its name in .svg or .png"),
        (["--picture=none/out.svg"], "none is no folder"),
    ],
)
def test_what_cannot_be_used_is_said_at_once(command: Any, service: Service, arguments: list[str], words: str) -> None:
    status, out, said = command(*arguments)
    assert (status, out) == (2, "")
    assert words in said
    assert "hf_abcdefgh" not in said
    assert service.asked == service.fetched == []


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "cannot be read as CSV"), (b"PAR1 and no more", "cannot be read as Parquet"), (b"text\n\xff\n", "CSV")]
)  # fmt: skip
def test_a_file_that_is_no_table_is_refused(command: Any, tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "broken"
    file.write_bytes(content)
    status, _, said = command(file=file)
    assert status == 2
    assert words in said
    assert command(file=tmp_path / "none.csv")[0] == 2


def test_labels_are_said_in_short_or_as_json(command: Any) -> None:
    assert '"accuracy": 1.0' in command("--json", '--labels={"Pos": "POSITIVE", "Neg": ["NEGATIVE"]}')[1]
    assert '"accuracy": 0.0' in command("--json", '--labels=["Pos", "Neg"]')[1]


def test_a_picture_needs_matplotlib_before_anything_is_asked(
    command: Any, service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, _, said = command(f"--picture={tmp_path / 'out.svg'}")
    assert (status, service.asked) == (2, [])
    assert 'Install with: pip install "huggingface_api_handler[plots]"' in said


def test_the_page_names_all_statuses_and_options_that_exist() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "compare.md").read_text("utf-8")
    statuses = re.findall(r"^  (\d+)  ", compare_command.EXIT_STATUSES, re.M)
    assert re.findall(r"^\| (\d+) \|", page, re.M) == statuses
    parser = argparse.ArgumentParser()
    compare_command.add_arguments(parser)
    assert {
        option for option in re.findall(r"(?<![-\w])--[a-z][a-z-]+", page) if option not in parser.format_help()
    } == set()
