"""`serve --model`: from the command line to answers, and what is said when a model cannot be served."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import transformers
from starlette.testclient import TestClient

from huggingface_api_handler import cli
from huggingface_api_handler.server import create_app, registry
from huggingface_api_handler.server.pipelines import model_argument, pipeline_model
from huggingface_api_handler.server.pipelines.supported_tasks import REMOVED_IN_TRANSFORMERS_5, TASKS

from . import tiny
from .fixtures import FIVE, Asker


def _post(url: str, body: Any) -> tuple[int, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_command_serves_several_models_each_loaded_when_first_asked(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    models = [f"mine/classes={folder / 'classes'}", f"ner={folder / 'entities'}", f"vectors={folder / 'sentences'}"]
    command = [sys.executable, "-m", "huggingface_api_handler", "serve", "--port", str(port)]
    for model in models:
        command += ["--model", model]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        url = f"http://127.0.0.1:{port}/models"
        _until_up(f"http://127.0.0.1:{port}/health", server)
        impatient = {"inputs": "hello", "options": {"wait_for_model": False}}
        status, answer = _post(f"{url}/mine/classes", impatient)
        assert status == 503 and answer["error"] == "Model mine/classes is currently loading"
        waiting = {"inputs": "hello"}
        status, answer = _post(f"{url}/mine/classes", waiting)
        assert status == 200 and len(answer[0]) == 3
        assert _post(f"{url}/ner", waiting)[0] == 200
        assert len(_post(f"{url}/vectors/pipeline/feature-extraction", waiting)[1]) == 16
        _ask_as_the_handler_does(url)
    finally:
        server.terminate()
        server.wait(20)


def _ask_as_the_handler_does(url: str) -> None:
    if int(huggingface_hub.__version__.partition(".")[0]) < 1:
        return  # transformers 4.57 pins a huggingface_hub older than the handler's side takes
    for name, task in (("mine/classes", "text-classification"), ("ner", "token-classification")):
        command = [sys.executable, "-m", "huggingface_api_handler", "run", "--endpoint", url, "--model", name]
        asked = subprocess.run(
            [*command, "--task", task, "--text", "hello"], check=False, capture_output=True, text=True, timeout=60
        )
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout)


def _until_up(url: str, server: subprocess.Popen[str]) -> None:
    for _ in range(300):
        assert server.poll() is None, server.stdout.read() if server.stdout else ""
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server did not start")


def test_every_task_has_a_model_here() -> None:
    tested = {task for task, _ in tiny.MODELS.values()}
    assert set(TASKS) - tested == {"sentence-similarity", "chat-completion", "text-to-audio"}


@pytest.mark.parametrize("task", REMOVED_IN_TRANSFORMERS_5)
def test_a_task_that_left_transformers_says_which_version_has_it(task: str, folder: Path) -> None:
    argument = f"old={folder / 'classes'}:{task}"
    if not FIVE:
        assert [card.task for card in pipeline_model.model_cards([argument])] == [task]
        return
    with pytest.raises(ValueError, match=rf"{task} left transformers in 5\.0, and 5\..*transformers>=4\.57,<5"):
        pipeline_model.model_cards([argument])


def test_the_command_says_why_it_does_not_start(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--model", "no-equals-sign"]) == 1
    assert "NAME=ID_OR_FOLDER[:TASK]" in capsys.readouterr().err
    assert cli.main(["serve", "--model", f"x={folder / 'classes'}:fortune-telling"]) == 1
    error = capsys.readouterr().err
    assert "fortune-telling is not a task that can be served" in error and "text-classification" in error


def test_a_folder_that_is_not_there_and_a_name_given_twice_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder"):
        pipeline_model.model_cards(["x=/no/such/folder:fill-mask"])
    twice = f"x={folder / 'mask'}:fill-mask"
    with pytest.raises(ValueError, match="x is given twice for fill-mask"):
        pipeline_model.model_cards([twice, twice])


@pytest.mark.parametrize(("name", "task"), [(name, task) for name, (task, _) in tiny.MODELS.items()])
def test_the_task_is_found_where_none_is_given(folder: Path, name: str, task: str) -> None:
    found = model_argument.detect_task(model_argument.parse_model_argument(f"x={folder / name}"))
    # An entailment model is a classifier by its class, and T5 does not tell which of its tasks it was trained for.
    ambiguous = {"zero-shot-classification": "text-classification", "summarization": "text2text-generation",
                 "translation": "text2text-generation"}  # fmt: skip
    assert found == ambiguous.get(task, task)


def test_the_model_card_s_task_comes_first(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\npipeline_tag: zero-shot-classification\n---\n# A model")
    (tmp_path / "config.json").write_text((folder / "entailment/config.json").read_text())
    assert (
        model_argument.detect_task(model_argument.parse_model_argument(f"x={tmp_path}")) == "zero-shot-classification"
    )


def test_a_model_of_the_hub_that_cannot_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"nobody/nothing is no folder here .* set HF_TOKEN .* give a folder"):
        pipeline_model.model_cards(["x=nobody/nothing"])


def test_a_model_that_cannot_be_loaded_answers_500_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertForMaskedLM"]}')
    before = registry._pipeline_cards
    with TestClient(create_app(models=[f"broken={tmp_path}"]), headers={"x-wait-for-model": "true"}) as client:
        response = client.post("/models/broken", json={"inputs": "hello"})
    registry.register_pipelines(before)
    assert response.status_code == 500
    assert f"transformers cannot load {tmp_path} for fill-mask" in response.json()["error"]


def test_a_gated_model_says_which_token_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("You are trying to access a gated repo. Make sure to have access to it.")

    refusing = SimpleNamespace(__version__=transformers.__version__, pipeline=refuse)
    monkeypatch.setattr(importlib, "import_module", lambda _: refusing)
    source = pipeline_model.SharedPipeline("some/gated-model", "fill-mask")
    with pytest.raises(RuntimeError, match=r"some/gated-model .* set HF_TOKEN to a token that may read it"):
        source.load()


def test_a_named_model_takes_the_place_of_the_stand_in(folder: Path) -> None:
    name = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
    before = registry._pipeline_cards
    with TestClient(create_app(models=[f"{name}={folder / 'classes'}"])) as client:
        facts = client.get(f"/models/{name}").json()
    registry.register_pipelines(before)
    assert facts["package"] == "transformers" and facts["local_stand_in"] is False


def test_a_named_model_says_what_it_is(ask: Asker) -> None:
    ask("classes", "hello")
    facts = ask.client.get("/models/classes").json()
    assert (facts["task"], facts["version"]) == ("text-classification", transformers.__version__)
    assert "nothing measured here" in facts["quality"] and len(facts["sha"]) == 64
    assert ask.response("classes", "hello").headers["x-sha"] == facts["sha"]


@pytest.mark.parametrize("name", ["classes", "mask", "picture", "sentences"])
def test_an_unknown_parameter_is_refused_by_name(ask: Asker, name: str) -> None:
    assert "`nonsense` is not a parameter of" in ask.refused(name, "aGVsbG8=", nonsense=1)
    assert "is not a parameter" in ask.refused(name, "aGVsbG8=", trust_remote_code=True)


def test_an_unknown_parameter_of_generation_is_ignored_with_a_warning(ask: Asker) -> None:
    response = ask.response("writer", "the cat", trust_remote_code=True, max_new_tokens=2)
    assert response.status_code == 200
    assert response.headers["x-warning"] == "not known here, so ignored: trust_remote_code"


def test_a_chat_and_a_text_are_streamed_in_one_piece(ask: Asker) -> None:
    body = {"model": "writer", "prompt": "the cat", "max_tokens": 3, "stream": True}
    response = ask.client.post("/v1/completions", json=body)
    assert response.status_code == 200 and response.headers["x-warning"] == "this model's output comes as one piece"
    whole = ask.client.post("/v1/completions", json={**body, "stream": False}).json()
    assert whole["choices"][0]["text"] and response.text.endswith("data: [DONE]\n\n")


def test_vectors_of_tokens_are_no_embeddings(ask: Asker) -> None:
    for name, status in (("sentences", 200), ("tokens", 400)):
        response = ask.client.post("/v1/embeddings", json={"model": name, "input": "the cat"})
        assert response.status_code == status, response.text


def test_wrong_values_and_inputs_are_the_client_s_fault(ask: Asker) -> None:
    assert "refused this input" in ask.refused("writer", "the cat", max_new_tokens="many")
    assert "`trust_remote_code` is not" in ask.refused(
        "writer", "the", generation_parameters={"trust_remote_code": True}
    )
    assert "expected an object" in ask.refused("writer", "the", generation_parameters=3)
    assert "expected a string" in ask.refused("classes", {"text": "hello"})
    assert "does not do fill-mask" in ask.refused("classes", "hello", task="fill-mask")


def test_the_environment_is_the_one_place_of_the_token(folder: Path) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--model", f"x={folder / 'mask'}", "--hf-token", "hf_secret"])
    assert "HF_TOKEN" not in os.environ


def test_without_the_extra_the_command_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
    assert cli.main(["serve", "--model", f"x={folder / 'mask'}"]) == 1
    assert (
        'torch, not installed here. Install with: pip install "huggingface_api_handler[transformers]"'
        in capsys.readouterr().err
    )
