"""SELECT ... USING dry_run = true: told, and nothing asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.flow_control.route_registry import RouteRegistry, RouteState
from huggingface_api_handler.inference.protocols.discovery import DetectedServers
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.inference.storage.open_stores import close_stores
from tests.conftest import Service

USING = {"task": "text-classification", "model": "m", "column": "text", "target": "y"}


def answer(body: Any, *_: Any) -> Any:
    texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
    return [[{"label": "A", "score": len(text) / 1000}, {"label": "B", "score": 0.1}] for text in texts]


def plan_of(frame: pd.DataFrame, using: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    out = predict(frame, {**using, "dry_run": True}, engine)
    assert len(out) == len(frame)
    assert list(out.index) == list(frame.index)
    names = ["rows", "nulls", "distinct_inputs", "stored", "requests", "seconds"]
    assert len(out.drop_duplicates()) == 1
    return dict(out[names].iloc[0])


def test_it_counts_rows_nulls_distinct_inputs_stored_answers_and_requests_and_sends_nothing(service: Service) -> None:
    service.answer = answer
    engine = {"endpoint": service.url, "requests_per_hour": 5}
    predict(pd.DataFrame({"text": ["known"]}), USING, engine)
    service.asked.clear()
    service.fetched.clear()
    frame = pd.DataFrame({"text": ["known", "known", "a", "a", "b", None, " "]}, index=list("tuvwxyz"))
    assert plan_of(frame, USING, engine) == {
        "rows": 7,
        "nulls": 2,
        "distinct_inputs": 3,
        "stored": 1,
        "requests": 2,
        "seconds": None,
    }
    assert service.asked == service.fetched == []
    out = predict(frame, {**USING, "dry_run": True}, engine)
    assert (
        out["y"].iloc[0].startswith("dry run: 7 rows, 2 NULL or blank, 3 distinct inputs, 1 answers stored, 2 requests")
    )
    predict(pd.DataFrame({"text": [f"{number}" for number in range(4)]}), USING, engine)
    assert len(service.asked) == 4, "a dry run takes nothing of a quota"


def test_nothing_is_fetched_of_a_server_that_was_not_met_before(service: Service) -> None:
    frame = pd.DataFrame({"text": ["a"]})
    for using in (USING, {**USING, "task": "feature-extraction"}, {**USING, "task": "text-ranking", "column2": "other"}):  # fmt: skip
        plan_of(frame.assign(other="b"), using, {"endpoint": service.url})
    assert service.asked == service.fetched == []


def test_no_media_is_loaded(service: Service, tmp_path: Path) -> None:
    using = {**USING, "task": "image-classification"}
    engine = {"endpoint": service.url, "media_dir": str(tmp_path), "allow_private_media": True}
    cells = [f"{service.url}/cat.png", "there/is/no/such.png"]
    assert plan_of(pd.DataFrame({"text": cells}), using, engine)["requests"] == 2
    assert service.asked == service.fetched == []


@pytest.mark.parametrize("later", [False, True], ids=["this process", "a later one"])
def test_requests_and_seconds_come_from_what_was_learned(
    later: bool, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer = answer
    engine = {"endpoint": service.url}
    taken = predict(
        pd.DataFrame({"text": [f"t{'x' * (number % 90)} {number}" for number in range(3000)]}), USING, engine
    )
    assert taken["y_error"].isna().all()
    usage = taken.attrs["usage"]
    if later:
        close_stores()
        monkeypatch.setattr(default_session(), "servers", DetectedServers())
        monkeypatch.setattr(default_session(), "routes", RouteRegistry())
    found = plan_of(pd.DataFrame({"text": [f"new {number}" for number in range(6000)]}), USING, engine)
    assert 6000 / 1024 <= found["requests"] <= 6000 / 32 + 1
    assert found["stored"] == 0
    assert found["seconds"] is not None
    assert 0 < found["seconds"] < 20 * max(0.1, usage["seconds"])


@pytest.mark.parametrize(
    ("pace", "seconds"),
    [({"rate": 4.0, "answers": 10.0}, 2.0), ({"answers": 10.0, "places": 3.0}, 0.8), ({"places": 3.0}, None)],
    ids=["limited by rate", "limited by places", "nothing learned"],
)
def test_seconds_are_the_requests_over_the_slower_of_the_learned_rates(
    pace: dict[str, float], seconds: float | None, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RouteState, "pace", lambda _: pace)
    frame = pd.DataFrame({"text": [f"{number % 8}" for number in range(20)]})
    assert plan_of(frame, USING, {"endpoint": service.url})["seconds"] == seconds


def test_where_all_is_stored_nothing_remains(service: Service) -> None:
    service.answer = answer
    frame = pd.DataFrame({"text": ["a", "b", "c"]})
    predict(frame, USING, {"endpoint": service.url})
    found = plan_of(frame, USING, {"endpoint": service.url})
    assert (found["stored"], found["requests"], found["seconds"]) == (3, 0, 0.0)
    assert plan_of(frame, {**USING, "cache": False}, {"endpoint": service.url})["requests"] == 3
    assert plan_of(frame, {**USING, "options": {"use_cache": False}}, {"endpoint": service.url})["requests"] == 3


def test_inputs_that_cannot_go_together_are_requests_of_their_own(service: Service) -> None:
    using = {**USING, "task": "sentence-similarity", "column2": "other"}
    frame = pd.DataFrame({"text": ["a", "a", "a", "b"], "other": ["p", "q", "r", "p"]})
    found = plan_of(frame, using, {"endpoint": service.url})
    assert (found["distinct_inputs"], found["requests"]) == (4, 2)
