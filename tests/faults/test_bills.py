"""Receipts and budgets against a service that bills by its own count, over faults, duplicates, repairs and a kill."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
from aiohttp import web

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference.dataframe import predict_frame
from huggingface_api_handler.inference.storage.scope import Scope
from tests.support.billing_service import PRICES, BillingService

ROOT = Path(__file__).parents[2]
ROWS = 10_000
DISTINCT = 7_000
KILLED_AFTER = 1_000
UNUSABLE: list[Any] = [
    None,
    {},
    {"prompt_tokens": -5, "completion_tokens": 3},
    {"prompt_tokens": 1e40, "total_tokens": 9},
]
USING = {
    "task": "chat-completion", "model": "m", "column": "text", "target": "y", "max_tokens": 60, "cache": True,
    "output_schema": {"mood": {"enum": ["good", "bad"]}},
}  # fmt: skip
KILLED = """
import json, sys
import pandas as pd
from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference.dataframe import predict_frame
from huggingface_api_handler.inference.storage.scope import Scope
using, engine, texts = json.loads(sys.argv[1]), engine_settings(json.loads(sys.argv[2])), int(sys.argv[3])
frame = pd.DataFrame({"text": [f"review {number}" for number in range(texts)]})
predict_frame(frame, model_settings(using, engine), engine, scope=Scope("engine", "model"))
"""


class Unreliable(BillingService):
    """Bills what it answers, whether or not the answer says so, arrives, or can be used.

    Attributes:
        ledger: Requests by what became of them.
        said: Dollars of those whose answer arrived and says what it took.
    """

    def __init__(self, seed: int) -> None:
        self.ledger: Counter[str] = Counter()
        self.said = Decimal(0)
        super().__init__(seed)
        self.has_cache = True

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return web.json_response({"error": "not found"}, status=404)
        body, fate = await request.json(), self._chance.random()
        if fate < 0.03:
            self.ledger["refused"] += 1
            return web.json_response({"error": "bad gateway"}, status=502)
        usage, usd = self.bill(body)
        content = '{"mood": "good"}' if self._chance.random() > 0.05 else '{"mood": "so-so"}'
        answer = {"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        if fate < 0.04 and request.transport is not None:
            self.ledger["lost"] += 1
            request.transport.close()
            return web.Response()
        if fate < 0.06:
            self.ledger["unsaid"] += 1
            return web.json_response({"choices": [answer], "usage": self._chance.choice(UNUSABLE)})
        self.ledger["said"] += 1
        self.said += usd
        return web.json_response({"choices": [answer], "usage": usage})


def month_used(folder: Path) -> int:
    """Micro-dollars that the budget of the month has counted."""
    with sqlite3.connect(next(folder.glob("*.sqlite"))) as connection:
        return int(connection.execute("SELECT max(used) FROM quotas").fetchone()[0])


def test_a_receipt_is_what_the_service_bills_to_the_micro_dollar(tmp_path: Path) -> None:
    with closing(Unreliable(seed=11)) as service:
        arguments = {
            "endpoint": f"{service.url}/v1", "protocol": "openai", "cache_dir": str(tmp_path), "prices": PRICES,
            "usd_per_month": 100,
        }  # fmt: skip
        command = [sys.executable, "-c", KILLED, json.dumps(USING), json.dumps(arguments), str(DISTINCT)]
        with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as killed:
            while service.ledger["said"] < KILLED_AFTER and killed.poll() is None:
                time.sleep(0.01)
            killed.send_signal(signal.SIGKILL)
        served = -1
        while served != (served := sum(service.ledger.values())):  # what was in flight is answered to nobody
            time.sleep(0.5)
        before, before_said = dict(service.ledger), service.said

        engine = engine_settings(arguments)
        frame = pd.DataFrame({"text": [f"review {number % DISTINCT}" for number in range(ROWS)]})
        out = predict_frame(frame, model_settings(USING, engine), engine, scope=Scope("engine", "model"))

        usage = out.attrs["usage"]
        since = {fate: count - before.get(fate, 0) for fate, count in service.ledger.items()}
        assert out["mood"].notna().mean() > 0.98 and out["mood"].isna().equals(out["y_error"].notna())
        assert usage["repairs"] > 100 and usage["retries"] > 100
        assert KILLED_AFTER // 4 <= usage["stored"] <= before["said"] + before["unsaid"]
        assert usage["requests"] == sum(since.values())
        assert Decimal(str(usage["usd"])).quantize(Decimal("1e-6")) == (service.said - before_said).quantize(
            Decimal("1e-6")
        )
        unknown = dict(reversed(part.split(" requests: ")) for part in usage["usd_note"].split("; "))
        counted = {why: int(text.partition(" of ")[0].replace(",", "")) for why, text in unknown.items()}
        assert sorted(counted.values()) == sorted([since["unsaid"], since["lost"]])
        # The budget has counted all that was billed, also what the killed process was told and what nobody was told.
        assert month_used(tmp_path) >= service.billed * 1_000_000
