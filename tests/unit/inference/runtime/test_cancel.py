"""A query that a person ends stops sending within a second, and what was answered is not asked again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from aiohttp import web

from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.storage.open_stores import close_stores
from tests.conftest import Service

ROOT = Path(__file__).resolve().parents[4]
TEXTS = [f"text {number}" for number in range(3000)]
USING = {"task": "text-classification", "column": "text", "target": "y", "model": "m"}
PER_ANSWER = 0.02
IN_TIME = 1.0
ON_ITS_WAY = 0.01
"""Seconds in which an answer may be sent and not be read yet."""


class Slow(Service):
    """Answers one text at a time, none of them sooner than ``PER_ANSWER`` seconds. Keeps when each request came."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: list[float] = []
        self.answered: dict[str, float] = {}

    async def _handle(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return web.json_response({"error": "no"}, status=404)
        body = json.loads(await request.read())
        self.arrived.append(time.monotonic())
        self.asked.append(body)
        if not isinstance(body["inputs"], str):
            return web.json_response({"error": "Input should be a valid string"}, status=422)
        await asyncio.sleep(PER_ANSWER)
        self.answered[body["inputs"]] = time.monotonic()
        return web.json_response([{"label": body["inputs"][-1], "score": 0.75}])

    def until(self, count: int) -> None:
        """Wait until so many requests were answered."""
        ends = time.monotonic() + 60
        while len(self.answered) < count:
            assert time.monotonic() < ends
            time.sleep(0.005)

    def quiet(self) -> float:
        """Wait until nothing came for a second. Returns when the last request came."""
        while time.monotonic() - self.arrived[-1] < 1:
            time.sleep(0.05)
        return self.arrived[-1]


@pytest.fixture
def slow() -> Any:
    running = Slow()
    yield running
    running.close()


def rerun(slow: Slow, engine: dict[str, Any]) -> pd.DataFrame:
    slow.asked.clear()
    out = predict(pd.DataFrame({"text": TEXTS}), USING, engine)
    assert list(out["y"]) == [text[-1] for text in TEXTS]
    return out


def single(asked: list[Any]) -> set[str]:
    return {body["inputs"] for body in asked if isinstance(body["inputs"], str)}


def test_a_set_event_stops_the_sending_and_keeps_the_answers(slow: Slow, tmp_path: Path) -> None:
    engine = {"endpoint": slow.url, "cache_dir": str(tmp_path)}
    cancel, at = threading.Event(), []

    def stop() -> None:
        slow.until(200)  # the last of them may be on their way, and are not read after a cancellation
        at.append(time.monotonic())
        cancel.set()

    stopper = threading.Thread(target=stop)
    stopper.start()
    out = predict(pd.DataFrame({"text": TEXTS}), USING, engine, cancel=cancel)
    returned = time.monotonic()
    stopper.join()
    assert returned - at[0] < IN_TIME
    assert slow.quiet() - at[0] < IN_TIME
    done = out["y"].notna()
    assert 100 <= done.sum() < len(TEXTS)
    assert list(out["y"][done]) == [text[-1] for text in out.index[done].map(lambda row: TEXTS[row])]
    assert out["y_error"][~done].str.contains("cancelled").all()
    answered = {text for text, here in zip(TEXTS, done, strict=True) if here}
    again = rerun(slow, engine)
    assert single(slow.asked) == set(TEXTS) - answered
    assert again.attrs["usage"]["stored"] == len(answered)


CHILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
import pandas as pd
from huggingface_api_handler.inference import predict
texts = [f"text {number}" for number in range(3000)]
using = {"task": "text-classification", "column": "text", "target": "y", "model": "m"}
print("begun", flush=True)
predict(pd.DataFrame({"text": texts}), using, {"endpoint": sys.argv[1], "cache_dir": sys.argv[2]})
"""


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_stops_the_sending_and_keeps_the_answers(slow: Slow, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, slow.url, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        slow.until(100)
        child.send_signal(signal.SIGINT)
        at = time.monotonic()
        errors = child.communicate(timeout=30)[1]
    assert b"KeyboardInterrupt" in errors
    assert slow.quiet() - at < IN_TIME
    answered, asked = dict(slow.answered), single(slow.asked)
    close_stores()
    rerun(slow, {"endpoint": slow.url, "cache_dir": str(tmp_path)})
    again = single(slow.asked)
    assert again >= set(TEXTS) - asked
    asked_twice = {text for text in again & answered.keys() if answered[text] < at - ON_ITS_WAY}
    assert not asked_twice, len(asked_twice)
    assert len(set(TEXTS) - again) > 50
