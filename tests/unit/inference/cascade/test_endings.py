"""How a cascade ends early: who fails, what is stored of it, and what hooks and messages say."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.inference import checked_settings, predict
from huggingface_api_handler.inference.cascade.run import predict_frames
from huggingface_api_handler.inference.cascade.stored_certificates import StoredCertificates
from huggingface_api_handler.inference.runtime.context import Query
from huggingface_api_handler.inference.telemetry.events import QueryEnded
from huggingface_api_handler.inference.telemetry.hooks import InferenceHook
from tests.conftest import Reply, Service
from tests.support.agreeing_models import AgreeingModels
from tests.unit.inference.cascade.test_run import share_right, table, using


class Vectors:
    """Makes vectors that tell the labels, beside the two models. ``spoil`` may change each."""

    def __init__(self, service: Service, models: AgreeingModels) -> None:
        self.spoil: Callable[[int, list[float]], Any] = lambda _number, vector: vector
        self._others = models.answer
        service.answer = self.answer

    def answer(self, body: Any, headers: dict[str, str], path: str) -> Any:
        if body is None or "/emb" not in path:
            return self._others(body, headers, path)
        texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
        vectors = [self._vector(int(text.split()[1])) for text in texts]
        return vectors if isinstance(body["inputs"], list) else vectors[0]

    def _vector(self, number: int) -> Any:
        vector = 0.3 * np.random.default_rng(number).standard_normal(8)
        vector[0] += 1 if number % 2 else -1
        return self.spoil(number, vector.tolist())


def learned(accuracy: float = 0.9, cascade: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    own = {"proxy": "embeddings", "model": "emb", **(cascade or {})}
    return using(accuracy, cascade=own, **more)


def test_a_large_model_that_refuses_everybody_certifies_nothing_and_leaves_no_certificate(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    models.failing["large"] = Reply({"error": "Invalid username or password."}, 401)
    out = predict(table(1000), using(on_error="null"), engine)
    assert out["mood"].isna().all()
    models.failing.clear()
    again = predict(table(1000), using(), engine)
    assert share_right(again) >= 0.9
    assert (again["mood_model"] == "small").sum() > 150


def test_drawn_rows_that_were_not_sent_show_the_proxys_answer_where_it_is_certified(
    models: AgreeingModels, engine: dict[str, Any], tmp_path: Path
) -> None:
    """The end comes in a later round, whose draws lie in the prefix that an earlier round has certified too."""
    scores = np.array([models.guess(number)[1] for number in range(2000)])
    certified = 0
    for last in range(11, 21):  # after the trial of batches, and before the last request
        cancel, requests = threading.Event(), itertools.count()

        def on_large(cancel: threading.Event = cancel, requests: Iterator[int] = requests, last: int = last) -> None:
            if next(requests) >= last and not cancel.is_set():
                cancel.set()
                time.sleep(0.3)  # longer than the query takes to see it

        models.on_large = on_large
        arguments = using(cache=False, cascade={"confidence": 0.95})
        store = {"cache_dir": str(tmp_path / f"store {last}")}  # whose name makes other draws
        out = predict(table(2000), arguments, {**engine, **store}, cancel=cancel)
        unsent, is_proxy = out["mood_error"].notna(), out["mood_model"] == "small"
        if unsent.any() and is_proxy.any():
            certified += 1
            assert not unsent[scores > out.loc[is_proxy, "mood_confidence"].min()].any()
    assert certified


class Ends(InferenceHook):
    """Notes how each query ended."""

    def __init__(self) -> None:
        self.errors: dict[int, str | None] = {}

    def on_query_ended(self, event: QueryEnded) -> None:
        assert event.query.id not in self.errors
        self.errors[event.query.id] = event.error


def test_hooks_are_told_that_the_query_failed_where_its_proxy_did(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    models.failing["small"] = Reply({"error": "no such model"}, 404)
    ends = Ends()
    with pytest.raises(InferenceError):
        predict(table(500), using(), engine, hooks=[ends])
    assert list(ends.errors.values()) == ["InferenceError", "InferenceError"]


@pytest.mark.parametrize("proxy", ["small", "emb"])
def test_max_seconds_is_of_both_models_together_and_named_as_it_was_given(
    proxy: str, models: AgreeingModels, engine: dict[str, Any], service: Service
) -> None:
    vectors = Vectors(service, models)

    async def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        await asyncio.sleep(0.4)
        return vectors.answer(body, headers, path)

    service.answer = answer
    arguments = using if proxy == "small" else learned
    out = predict(table(4000), arguments(max_seconds=2, on_error="null"), engine)
    assert out.attrs["usage"]["seconds"] < 3.5
    reasons = set(out["mood_error"].dropna())
    assert reasons == {"not sent: max_seconds = 2 was reached before this row"}


SPOILT: dict[str, Callable[[list[float]], Any]] = {
    "shorter": lambda vector: vector[:3],
    "one number": lambda _vector: [1.0],
    "none": lambda _vector: [],
    "too large to square": lambda vector: [1e200 * each for each in vector],
    "zeros": lambda vector: [0.0] * len(vector),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_vectors_that_are_none_or_of_other_dimensions_cost_no_more_than_their_rows(
    spoil: Callable[[list[float]], Any], models: AgreeingModels, engine: dict[str, Any], service: Service
) -> None:
    vectors = Vectors(service, models)
    vectors.spoil = lambda number, vector: vector if number % 5 else spoil(vector)
    out = predict(table(1500), learned(), engine)
    assert out["mood_error"].isna().all()
    assert share_right(out) >= 0.9
    assert (out["mood_model"] == "learned from emb").sum() > 100  # of 1,200 with a vector, as the draws fall


def test_a_dry_run_of_a_learned_cascade_counts_its_vectors_until_it_is_certified(
    models: AgreeingModels, engine: dict[str, Any], service: Service
) -> None:
    Vectors(service, models)
    engine = {**engine, "prices": {"request": 0.01}}
    assert "cascade: 1500 requests to emb, then " in predict(table(1500), learned(dry_run=True), engine)["mood"].iloc[0]
    predict(table(1500), learned(), engine)
    asked = len(service.asked)
    dry = predict(table(1500), learned(dry_run=True), engine).iloc[0]
    assert (dry["requests"], dry["usd_high"]) == (0, 0)
    predict(table(1500), learned(), engine)
    assert len(service.asked) == asked


def test_a_budget_that_the_proxy_cannot_hold_is_refused_before_labels_are_bought_to_train_it(
    models: AgreeingModels, engine: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    Vectors(service, models)
    unpriced = {"endpoint": f"{service.url}/models", "cache_dir": str(tmp_path / "other")}
    with pytest.raises(InputError, match="max_usd cannot be held"):
        predict(table(1500), learned(cascade={"engine": unpriced}, max_usd=5), {**engine, "prices": {"request": 0.001}})
    assert not service.asked


DAMAGE: dict[str, Any] = {
    "by_proxy": ["no base64 !", "AAAA", None, 5],
    "learned": [5, {"values": ["pos"]}, {"values": [], "codes": "", "scores": ""}],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in DAMAGE.items() for value in values])
def test_a_certificate_that_cannot_be_read_is_none(
    name: str, value: Any, models: AgreeingModels, engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = StoredCertificates._put

    async def damaged(self: StoredCertificates, certificate: dict[str, object]) -> None:
        await put(self, {**certificate, name: value})

    monkeypatch.setattr(StoredCertificates, "_put", damaged)
    for _ in range(2):
        assert share_right(predict(table(1000), using(), engine)) >= 0.9


@pytest.mark.parametrize("proxy", ["small", "emb"])
def test_a_part_like_an_earlier_one_asks_nobody_and_shows_the_same(
    proxy: str, models: AgreeingModels, engine: dict[str, Any], service: Service
) -> None:
    Vectors(service, models)
    settings = checked_settings((using if proxy == "small" else learned)(), engine)
    query = Query.of(settings.model, settings.engine, None, settings.scope)
    asked: list[int] = []

    def frames() -> Iterator[pd.DataFrame | None]:
        for _ in range(3):
            yield table(700)
            yield None
            asked.append(len(service.asked))

    outs = list(predict_frames(frames(), query))
    assert len(set(asked)) == 1
    for out in outs[1:]:
        pd.testing.assert_frame_equal(out, outs[0])


def test_vectors_that_nobody_gives_cost_no_label(
    models: AgreeingModels, engine: dict[str, Any], service: Service
) -> None:
    def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        is_ours = "/emb" in path and body is not None
        return Reply({"error": "no such model"}, 404) if is_ours else models.answer(body, headers, path)

    service.answer = answer
    with pytest.raises(InferenceError, match="the proxy of the cascade answers nobody"):
        predict(table(800), learned(), engine)
    assert not models.asked["large"]
