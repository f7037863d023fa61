"""The command line: one line of JSON for `run`, exit statuses and hints for the rest."""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import huggingface_api_handler
from huggingface_api_handler import __version__, cli, demo, installation
from huggingface_api_handler.cli import run as run_command
from huggingface_api_handler.installation import InstallationError, Report, prediction_cache
from huggingface_api_handler.installation import status as installation_status
from huggingface_api_handler.installation.status import ImportOutcome, Status
from huggingface_api_handler.tasks import TASKS


class Predict:
    """Stands for `inference.predict`: remembers how it was called, answers what it is told."""

    def __init__(self) -> None:
        self.answer: Any = "an answer"
        self.error: Any = None
        self.raises: Exception | None = None
        self.using: dict[str, Any] = {}
        self.engine: dict[str, Any] = {}
        self.df = pd.DataFrame()

    def __call__(self, df: pd.DataFrame, using: dict[str, Any], engine: dict[str, Any]) -> pd.DataFrame:
        self.df, self.using, self.engine = df, using, engine
        if self.raises is not None:
            raise self.raises
        answers = pd.Series([self.answer], dtype=object)
        out: pd.DataFrame = pd.DataFrame({"prediction": answers, "prediction_error": [self.error]})
        out.attrs["usage"] = {"model": "org/really-used"}
        return out


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch) -> Predict:
    stub = Predict()
    module = types.ModuleType("huggingface_api_handler.inference")
    module.predict = stub  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(huggingface_api_handler, "inference", module, raising=False)
    return stub


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = cli.main(["run", *arguments])
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return status, json.loads(out)


def test_run_prints_labels_by_score(predict: Predict, capsys: pytest.CaptureFixture[str]) -> None:
    predict.answer = [{"label": "NEGATIVE", "score": 0.0013}, {"label": "POSITIVE", "score": 0.9987}]
    status, line = run(capsys, "--task", "text-classification", "--text", "I like you.")
    assert status == 0
    assert line == {
        "success": True,
        "result": [{"label": "POSITIVE", "score": 0.9987}, {"label": "NEGATIVE", "score": 0.0013}],
        "is_classification": True,
        "model": "org/really-used",
        "error": None,
    }
    assert predict.using == {"task": "text-classification", "column": "text", "target": "prediction", "output": "all"}
    assert predict.engine == {"cache": False}
    assert predict.df.to_dict("list") == {"text": ["I like you."]}


def test_run_hands_every_argument_on(
    predict: Predict, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "k-of-mine")
    status, line = run(
        capsys, "--model", "facebook/bart-large-mnli", "--task", "zero-shot-classification", "--text", "x",
        "--candidate-labels", "a, b b ,,c", "--no-wait", "--endpoint", "http://127.0.0.1:1/models",
        "--parameters", '{"multi_label": true}', "--api-key-env", "MY_KEY",
        "--protocol", "huggingface",
    )  # fmt: skip
    assert status == 0 and line["success"]
    assert predict.using["candidate_labels"] == ["a", "b b", "c"]
    assert predict.using["options"] == {"wait_for_model": False}
    assert predict.using["parameters"] == {"multi_label": True}
    assert predict.using["model"] == "facebook/bart-large-mnli"
    assert predict.engine == {
        "endpoint": "http://127.0.0.1:1/models",
        "protocol": "huggingface",
        "api_key": "k-of-mine",
        "cache": False,
    }


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("bonjour", ["bonjour"]),
        ([{"word": "Paris", "score": 0.9}], [{"word": "Paris", "score": 0.9}]),
        ([], []),
        (None, [None]),
        (0.5, [0.5]),
    ],
)  # fmt: skip
def test_run_gives_other_answers_as_a_list(
    predict: Predict, capsys: pytest.CaptureFixture[str], answer: object, result: list[object]
) -> None:
    predict.answer = answer
    status, line = run(capsys, "--task", "summarization", "--text", "x")
    assert (status, line["result"], line["is_classification"]) == (0, result, False)
    assert "output" not in predict.using


def test_run_without_a_task_takes_the_models_own(
    predict: Predict, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_command, "_own_task", lambda model, engine: "text-classification")
    predict.answer = [{"label": "a", "score": 1.0}]
    status, line = run(capsys, "--model", "m", "--text", "x")
    assert status == 0 and line["is_classification"]
    assert predict.using["task"] == "text-classification" and predict.using["model"] == "m"


def test_run_failed_says_why_in_the_same_shape(predict: Predict, capsys: pytest.CaptureFixture[str]) -> None:
    predict.raises = RuntimeError("Model is currently loading. Estimated time: 15 seconds.")
    status, line = run(capsys, "--task", "zero-shot", "--model", "facebook/bart-large-mnli", "--text", "x")
    assert status == 1
    assert line == {
        "success": False,
        "result": None,
        "is_classification": False,
        "model": "facebook/bart-large-mnli",
        "error": "Model is currently loading. Estimated time: 15 seconds.",
    }


def test_a_row_with_an_error_is_a_failure(predict: Predict, capsys: pytest.CaptureFixture[str]) -> None:
    predict.error = "rejected input: too long"
    status, line = run(capsys, "--task", "ner", "--text", "x")
    assert (status, line["success"], line["error"]) == (1, False, "rejected input: too long")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], "--task, --model or both"),
        (["--task", "t", "--parameters", "{top_k: 3}"], "not JSON"),
        (["--task", "t", "--parameters", "[1]"], "JSON object"),
    ],
)
def test_run_used_wrongly_is_json_too(
    predict: Predict, capsys: pytest.CaptureFixture[str], arguments: list[str], hint: str
) -> None:
    status, line = run(capsys, *arguments, "--text", "x")
    assert status == 1 and hint in line["error"]


def test_tasks_lists_all_or_one_with_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tasks"]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {name} " in listed for name in TASKS)
    assert cli.main(["tasks", "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("| task |")
    assert cli.main(["tasks", "zero-shot"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("zero-shot-classification: ") and "list of texts" in shown
    assert "'label' | 'scores' | 'all'" in shown and " any " not in shown
    assert cli.main(["tasks", "zero-shoot"]) == 1
    assert "did you mean 'zero-shot'" in capsys.readouterr().err


def test_a_task_says_what_becomes_of_a_text_that_is_too_long(capsys: pytest.CaptureFixture[str]) -> None:
    for task, says in (("summarization", "max_chunks"), ("chat", "too long: Nothing of a prompt is cut")):
        assert cli.main(["tasks", task]) == 0
        assert says in capsys.readouterr().out
    assert cli.main(["tasks", "image-classification"]) == 0
    shown = capsys.readouterr().out
    assert "too long" not in shown and "max_chunks" not in shown


def test_there_is_no_flag_for_the_key_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", "--task", "t", "--text", "x", "--api-key", "hf_secret"])
    assert caught.value.code == 2


def test_without_a_command_all_commands_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    shown = capsys.readouterr().err
    assert all(f"\n    {name} " in shown for name in ("sql", "doctor", "predict"))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_install_and_uninstall_print_what_they_did(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    monkeypatch.setattr(prediction_cache, "prediction_cache", lambda: "none")
    monkeypatch.setattr(installation, verb, lambda: Report(True, ("First.", "Second.")))
    assert cli.main([verb]) == 0
    assert capsys.readouterr().out == "First.\nSecond.\n"

    def refused() -> Report:
        raise InstallationError("MindsDB is not installed")

    monkeypatch.setattr(installation, verb, refused)
    assert cli.main([verb]) == 1
    assert capsys.readouterr().err == "MindsDB is not installed\n"


def test_install_warns_of_the_prediction_cache_and_can_switch_it_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("MINDSDB_CONFIG_PATH", raising=False)
    monkeypatch.setenv("MINDSDB_STORAGE_DIR", str(tmp_path))
    monkeypatch.setattr(installation, "install", lambda: Report(True, ("Installed.",)))
    assert cli.main(["install"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Installed.\nWARNING: MindsDB's prediction cache is on") and "another USING" in out
    config = tmp_path / "config.json"
    assert cli.main(["install", "--no-prediction-cache", str(config)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Installed.\nMindsDB's prediction cache is switched off in") and "WARNING" not in out
    assert json.loads(config.read_text()) == {"cache": {"type": "none"}}
    assert cli.main(["install", "--no-prediction-cache"]) == 1
    assert "Name MindsDB's configuration file" in capsys.readouterr().err
    monkeypatch.setenv("MINDSDB_CONFIG_PATH", str(config))
    assert cli.main(["install", "--no-prediction-cache"]) == 0
    assert "switched off already" in capsys.readouterr().out
    assert cli.main(["install"]) == 0
    assert "WARNING" not in capsys.readouterr().out


@pytest.mark.parametrize(("error", "expected"), [(None, 0), ("ImportError: x", 1)])
def test_status_fails_where_mindsdb_cannot_import(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: str | None, expected: int
) -> None:
    outcome = ImportOutcome(__version__, error)
    found = Status("26.1.0", Path("/site"), "ours", __version__, True, "none", outcome)
    monkeypatch.setattr(installation_status, "status", lambda **_: found)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert cli.main(["status"]) == expected
    assert cli.main(["doctor", "--offline"]) == expected
    out = capsys.readouterr().out
    assert "26.1.0" in out and "HF_TOKEN" in out and "hf_secret" not in out


def test_serve_prints_the_engine_to_create(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[tuple[object, ...]] = []
    module = types.ModuleType("huggingface_api_handler.server")
    module.run = lambda *given: calls.append(given)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(huggingface_api_handler, "server", module, raising=False)
    assert cli.main(["serve"]) == 0
    expected = "CREATE ML_ENGINE hf_local FROM huggingface_api USING endpoint = 'http://127.0.0.1:8900/models';"
    assert expected in capsys.readouterr().out
    assert cli.main(["serve", "--port", "9", "--token", "t0ps3cret-t0ps3cret"]) == 0
    out = capsys.readouterr().out
    assert "t0ps3cret-t0ps3cret" not in out and "api_key" in out
    assert calls == [("127.0.0.1", 8900, None, []), ("127.0.0.1", 9, "t0ps3cret-t0ps3cret", [])]
    assert cli.main(["serve", "--token", "topsecret"]) == 1
    assert "The token is too short for a key: it has 9 characters" in capsys.readouterr().err
    assert len(calls) == 2, "no engine would take that token"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What `serve` hands to the server, which is not started."""
    calls: list[tuple[object, ...]] = []
    module = types.ModuleType("huggingface_api_handler.server")
    module.run = lambda *given: calls.append(given)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(huggingface_api_handler, "server", module, raising=False)
    return calls


def test_the_server_s_token_comes_from_a_variable_or_a_file_of_one_s_own(
    served: list[tuple[object, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MY_TOKEN", "t0ps3cret-t0ps3cret")
    assert cli.main(["serve", "--token-env", "MY_TOKEN"]) == 0
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text("t0ps3cret-t0ps3cret\n")
    assert cli.main(["serve", "--token-file", str(file)]) == 0
    assert served == [("127.0.0.1", 8900, "t0ps3cret-t0ps3cret", [])] * 2
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out.count("api_key = '<the token>'") == 2


def test_a_token_on_the_command_line_is_warned_of(
    served: list[tuple[object, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["serve", "--token", "t0ps3cret-t0ps3cret"]) == 0 and served
    err = capsys.readouterr().err
    assert "every user of this machine can read --token" in err and "t0ps3cret-t0ps3cret" not in err


@pytest.mark.parametrize(
    ("mode", "content"), [(0o640, "t0ps3cret-t0ps3cret"), (0o604, "t0ps3cret-t0ps3cret"), (0o620, "t"), (0o600, "\n")]
)
def test_a_file_that_others_may_read_or_change_is_not_taken_for_a_token(
    served: list[tuple[object, ...]], mode: int, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    file.chmod(mode)
    assert cli.main(["serve", "--token-file", str(file)]) == 1 and not served
    err = capsys.readouterr().err
    assert ("chmod 600" in err or "is empty" in err) and "t0ps3cret-t0ps3cret" not in err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another user")
def test_a_token_that_another_user_wrote_is_refused(
    served: list[tuple[object, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text("t0ps3cret-t0ps3cret")
    os.chown(file, 65534, -1)
    assert cli.main(["serve", "--token-file", str(file)]) == 1 and not served
    assert "uid 65534" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--token-env", "NO_SUCH_VARIABLE"], ["--token-file", "/no/such/file"]])
def test_a_token_that_is_not_there_is_not_done_without(
    served: list[tuple[object, ...]], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["serve", *arguments]) == 1 and not served
    assert arguments[1] in capsys.readouterr().err


def test_serve_without_its_extra_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_api_handler.server", None)
    monkeypatch.delattr(huggingface_api_handler, "server", raising=False)
    assert cli.main(["serve"]) == 1
    assert 'pip install "huggingface_api_handler[local]"' in capsys.readouterr().err


def test_an_interrupted_command_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_examples: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_demo", interrupted)
    assert cli.main(["demo"]) == 130
