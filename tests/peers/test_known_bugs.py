"""Each row of ``known_bugs.py`` is run, on both sides; and what hugging-py-face does to its caller's things."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.inference import predict
from huggingface_api_handler.installation.environment import subprocess_environment
from tests.conftest import Service
from tests.peers.conftest import HuggingPyFace, PeerError, sent
from tests.peers.known_bugs import BUGS, CLASSIFIER, PNG, TEXTS, WAV, Bug, on, task

URL = "http://127.0.0.1:1"


def placed(value: Any, folder: Path) -> Any:
    """``value`` with ``{folder}`` in its texts made a real one."""
    return json.loads(json.dumps(value).replace("{folder}", json.dumps(str(folder))[1:-1]))


def its_answer(bug: Bug, peer: HuggingPyFace, url: str, folder: Path) -> Any:
    frame = None if bug.frame is None else placed(dict(bug.frame), folder)
    try:
        return peer(url, bug.method, frame, client=bug.client, **placed(dict(bug.arguments), folder))
    except PeerError as error:
        return error.kind


def our_answer(bug: Bug, url: str, folder: Path) -> list[Any]:
    rows = placed(dict(bug.rows or bug.frame or {}), folder)
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in rows.items()})
    engine = {"endpoint": url, "media_dir": str(folder)}
    return predict(frame, {**bug.using, "target": "y"}, engine)["y"].tolist()


@pytest.mark.parametrize("bug", BUGS, ids=[bug.input for bug in BUGS])
def test_a_known_bug_is_still_one_and_is_none_of_ours(
    bug: Bug, peer: HuggingPyFace, service: Service, inference: str, tmp_path: Path
) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    for name, content in (("icon.png", PNG), ("../outside.png", PNG), ("sound.wav", WAV)):
        (folder / name).write_bytes(content)
    url = f"{service.url}/models" if bug.server else inference
    service.answer = bug.server() if bug.server else service.answer
    its = its_answer(bug, peer, url, folder)
    service.answer = bug.server() if bug.server else service.answer
    ours = our_answer(bug, url, folder)
    assert (its, ours) == (bug.its, bug.ours)
    assert its != ours


def test_it_changes_its_callers_table_and_ours_does_not(peer: HuggingPyFace, service: Service) -> None:
    service.answer = CLASSIFIER()
    frame: dict[str, list[Any]] = {**TEXTS, "predictions": ["mine", "mine"]}
    reply = peer.reply(f"{service.url}/models", "text_classification_in_df", {"t": TEXTS["t"]}, **on("text-classification"))  # fmt: skip
    assert reply["columns"] == ["t", "predictions"]
    assert peer(f"{service.url}/models", "text_classification_in_df", frame, **on("text-classification")) == ["POSITIVE", "NEGATIVE"]  # fmt: skip
    table = pd.DataFrame(frame)
    predict(table, {**task("text-classification"), "target": "y"}, {"endpoint": f"{service.url}/models"})
    pd.testing.assert_frame_equal(table, pd.DataFrame(frame))


def test_it_changes_its_callers_parameters_and_ours_does_not(peer: HuggingPyFace, service: Service) -> None:
    service.answer = lambda *_: {"labels": ["a"], "scores": [1.0]}
    url, model = f"{service.url}/models", "any/zero-shot-classification"
    parameters = {"multi_label": False}
    reply = peer.reply(url, "zero_shot_classification", text="x", candidate_labels=["a"], parameters=parameters, model=model)  # fmt: skip
    assert reply["arguments"]["parameters"] == {"multi_label": False, "candidate_labels": ["a"]}
    using = {**task("zero-shot-classification"), "candidate_labels": ["a"], "parameters": parameters, "target": "y"}
    predict(pd.DataFrame({"t": ["x"]}), using, {"endpoint": url})
    assert parameters == {"multi_label": False}


def test_it_pays_for_equal_rows_again_and_ours_once(peer: HuggingPyFace, service: Service) -> None:
    service.answer = CLASSIFIER()
    frame = {"t": ["good"] * 30}
    peer(f"{service.url}/models", "text_classification_in_df", frame, **on("text-classification"))
    assert [sent(body)["inputs"] for body in service.asked] == [frame["t"]]
    service.asked.clear()
    predict(pd.DataFrame(frame), {**task("text-classification"), "target": "y"}, {"endpoint": f"{service.url}/models"})
    assert [sent(body)["inputs"] for body in service.asked] == ["good"]


@pytest.mark.parametrize(("module", "disabled"), [("hugging_py_face", True), ("huggingface_api_handler.inference", False)])  # fmt: skip
def test_importing_it_disables_loggers_and_importing_ours_does_not(module: str, disabled: bool) -> None:
    code = f"import logging; log = logging.getLogger('mine'); import {module}; print(log.disabled)"
    done = subprocess.run([sys.executable, "-c", code], env=subprocess_environment(), capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == str(disabled)


def test_its_classes_for_media_take_no_url() -> None:
    """Which is why ``peer.py`` sets it on the instance."""
    code = (
        "import hugging_py_face as h\n"
        "for made in (h.ComputerVision, h.AudioProcessing):\n"
        f"    try: made('key', '{URL}')\n"
        "    except TypeError: print(made('key').api_url)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=subprocess_environment(), capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.split() == ["https://api-inference.huggingface.co/models"] * 2
