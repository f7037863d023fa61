"""Real servers through ``predict``: 30 rows with duplicates, a NULL and a bad one, and every value as asking for it alone."""

from __future__ import annotations

import datetime
import io
import json
import math
import os
import wave
from typing import Any

import numpy as np
import pandas as pd
import pytest

from huggingface_api_handler import InferenceError, InputError, predict
from tests.support.results import SERVERS as RESULTS
from tests.support.results import record

from .asking import ANSWERED_WITHIN_S, Answer, body_of, send
from .cases import CASES, Case
from .processes import versions
from .rows import Row
from .serving import Servers, require

# Batches are padded and summed in another order.
TOLERANCE = 2e-3
QUICK = os.environ.get("QUICK") == "1"
GOOD = 25
NULL_AT = 11
BAD_AT = 17
BAD = -1
SAMPLE = 25


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_row_is_as_asking_for_it_alone(case: Case, servers: Servers) -> None:
    require(case.process.environment)
    if QUICK and case.path == "/v1" and case.variant:
        pytest.skip("a quick run asks at one address of each task")
    url = servers.url(case.process)
    if case.why_not:
        response = send(url, case.ask(case.row(0)), case.process.key)
        assert response.status_code >= 400, "it is served: say how in the table"
        with pytest.raises((InferenceError, InputError)):
            ask(case, url, [case.row(0)])
        write(case, why_not=case.why_not)
        return
    expected = {number: alone(case, url, case.row(number)) for number in range(GOOD)}
    assert case.alike or len({shown(answer) for answer in expected.values()}) > GOOD // 2, (
        "a row in another's place would not show"
    )
    rows, numbers = table(case)
    if case.bad is not None:
        response = send(url, case.ask(case.bad), case.process.key)
        if response.status_code < 400:  # some cut off what is too long
            expected[BAD] = case.read(body_of(response))
    out = ask(case, url, rows)
    for place, number in enumerate(numbers):
        got, error = out["out"][place], out["out_error"][place]
        if number == BAD and BAD not in expected:
            is_in_parts = "out_explain" in out and bool({"parts", "left_out"} & set(out["out_explain"][place] or {}))
            assert (got is None and error) or is_in_parts, (got, error)  # a text that was too long
        elif number is None:
            assert got is None and error is None, (got, error)
        else:
            check(case, out, place, expected[number])
    figures: dict[str, Any] = {
        "requests_30": out.attrs["usage"]["requests"],
        "retries_30": out.attrs["usage"]["retries"],
    }
    if case.many and not QUICK:
        out = ask(case, url, [case.row(number) for number in range(1000, 1000 + case.many)])
        assert out["out_error"].isna().all(), out["out_error"].dropna().iloc[0]
        for place in range(0, case.many, max(1, case.many // SAMPLE)):
            check(case, out, place, alone(case, url, case.row(1000 + place)))
        figures.update(rows_many=case.many, requests_many=out.attrs["usage"]["requests"])
    if case.not_compared:
        figures["not_compared"] = case.not_compared
    write(case, **figures)


def table(case: Case) -> tuple[list[Row], list[int | None]]:
    """Thirty rows, and which they are: good ones by number, three of them twice, None, BAD."""
    numbers: list[int | None] = [*range(GOOD), 0, 7, GOOD - 1]
    numbers.insert(NULL_AT, None)
    numbers.insert(BAD_AT, BAD if case.bad is not None else 3)
    main = case.columns["column"] if "column" in case.columns else case.columns["columns"][0]
    rows: list[Row] = []
    for number in numbers:
        if number is None:
            rows.append({**case.row(0), main: None})
        else:
            rows.append(case.bad if number == BAD and case.bad is not None else case.row(number))
    return rows, numbers


def ask(case: Case, url: str, rows: list[Row]) -> pd.DataFrame:
    """What the package makes of rows."""
    using = {"task": case.task, "target": "out", "model": "tiny", **case.columns, **case.using}
    engine = {
        "endpoint": url + case.path,
        "cache": False,
        "timeout": ANSWERED_WITHIN_S,
        "allow_private_endpoints": True,
        **case.engine,
    }
    if case.process.key:
        engine["api_key"] = case.process.key
    return predict(pd.DataFrame(rows), using, engine)


def alone(case: Case, url: str, row: Row) -> Answer:
    """What the server says of one row."""
    response = send(url, case.ask(row), case.process.key)
    assert response.status_code == 200, f"{case}: asked directly: {response.status_code} {response.text[:500]}"
    return case.read(body_of(response))


def check(case: Case, out: pd.DataFrame, place: int, expected: Answer) -> None:
    """A row says what it must."""
    assert out["out_error"][place] is None, (place, out["out_error"][place])
    got = out["out"][place]
    if case.not_compared:
        assert got is not None
        return
    if isinstance(got, bytes) and isinstance(expected.value, tuple):
        got = samples_of(got)
    assert same(got, expected.value), (place, str(got)[:500], str(expected.value)[:500])
    if expected.confidence is not None:
        assert same(out["out_confidence"][place], expected.confidence), (place, out["out_confidence"][place], expected)


def samples_of(sound: bytes) -> tuple[int, list[int]]:
    """The rate and the samples of a WAV."""
    with wave.open(io.BytesIO(sound)) as read:
        return read.getframerate(), np.frombuffer(read.readframes(read.getnframes()), "<i2").tolist()


def same(got: Any, expected: Any) -> bool:
    """Whether two values are equal, floats nearly."""
    if isinstance(expected, float) or isinstance(got, float):
        return isinstance(got, (int, float)) and math.isclose(got, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(expected, dict):
        return (
            isinstance(got, dict)
            and got.keys() == expected.keys()
            and all(same(got[key], expected[key]) for key in expected)
        )
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(got, (list, tuple, np.ndarray))
            and len(got) == len(expected)
            and all(same(*both) for both in zip(got, expected, strict=True))
        )
    if isinstance(got, (int, np.integer)) and isinstance(expected, int):
        return abs(int(got) - expected) <= 1
    return bool(got == expected)


def shown(answer: Answer) -> str:
    """An answer, as others are told from it."""
    return json.dumps(answer, default=repr)


def write(case: Case, **figures: Any) -> None:
    """Keep the figures for docs/servers.md."""
    told = {"server": case.process.environment, "task": case.task, "variant": case.variant, "path": case.path}
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    record(str(case), {**told, **figures, "versions": versions(case.process), "date": today}, RESULTS)
