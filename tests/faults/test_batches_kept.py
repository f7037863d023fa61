"""With three requests in ten going wrong, a route keeps its batches, whatever the seed. In virtual time, no sockets.

The requests that are counted are those that the service answered or refused: a fault comes before it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict

from bench.service import Plan as ServicePlan
from bench.service import score
from huggingface_api_handler.inference.transport.client import Response
from tests.faults.plan import RATE_LIMITED, Plan
from tests.faults.service import Connection
from tests.support.simulation import Fault, Inputs, simulate

ROWS = 5000
SEEDS = 64
LARGEST = 32
SERVICE = ServicePlan(latency=0.05, capacity=16, queue=64, largest_batch=LARGEST)
ANNOUNCED = {"429 zero": "0", "429 seconds": "1", "429 past": "Thu, 01 Jan 1970 00:00:00 GMT", "429 negative": "-30"}


def labels(text: str) -> list[dict[str, Any]]:
    """The answer of the service that the benchmarks and the simulation share."""
    return [{"label": "POSITIVE", "score": score(text)}, {"label": "NEGATIVE", "score": 1 - score(text)}]


def faults_of(plan: Plan) -> Fault:
    """Three requests in ten fail as the plan says."""
    led: Counter[str] = Counter()

    def fault(inputs: Inputs) -> Response | None:
        texts = inputs if isinstance(inputs, list) else [inputs]
        lead = texts[0]
        led[lead] += 1
        kind = plan.fault(lead, led[lead], together=len(texts) > 1)
        if kind is None:
            return None
        if kind in RATE_LIMITED:
            headers = CIMultiDict({"Retry-After": ANNOUNCED[kind]}) if kind in ANNOUNCED else CIMultiDict()
            return Response(429, headers, b'{"error": "Too many requests"}')
        if kind in ("500", "502 page", "503", "504"):
            return Response(int(kind[:3]), CIMultiDict(), b"")
        if kind in ("truncated", "invalid JSON", "wrong shape", "too few", "too many", "flattened", "error in 200"):
            right = [labels(text) for text in texts]
            body = Connection.wrong(kind, right, b"[[{", plan.number(lead, led[lead]) % 2)
            return Response(200, CIMultiDict(), body if isinstance(body, bytes) else orjson.dumps(body))
        raise ConnectionResetError

    return fault


@pytest.mark.parametrize("kinds", [(), ("500",), ("429",), ("truncated",), ("flattened",), ("too few",)], ids=str)
def test_a_table_keeps_its_batches_with_three_requests_in_ten_failing(kinds: tuple[str, ...]) -> None:
    for seed in range(SEEDS if not kinds else SEEDS // 16):
        result = simulate(SERVICE, ROWS, seed, fault=faults_of(Plan(seed=seed, kinds=kinds, takes_batches=True)))
        assert result.stopped is None
        assert result.requests <= 2.5 * ROWS / LARGEST, (seed, result.requests)
