"""Frames in, frames out: one query for all of them, in order, in bounded memory."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.inference import Session, output_schema, predict, predict_batches
from huggingface_api_handler.inference.runtime import input_queue, stream
from huggingface_api_handler.inference.runtime.loaded_media import LoadedMedia
from huggingface_api_handler.inference.runtime.query_run import QueryRun
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.inference.telemetry import usage_log
from tests.conftest import Reply, Service
from tests.unit.inference.test_predict import PNG

USING = {"task": "text-classification", "column": "text", "target": "y"}


def scores(text: str) -> list[dict[str, Any]]:
    share = (sum(map(ord, text)) % 97) / 97
    return [{"label": "POS", "score": share}, {"label": "NEG", "score": 1 - share}]


def answer(body: Any, *_: Any) -> Any:
    inputs = body["inputs"]
    return [scores(text) for text in inputs] if isinstance(inputs, list) else [scores(inputs)]


def answer_and_set(event: threading.Event, word: str) -> Any:
    """As ``answer``, and sets the event once a request holds the word."""

    def answering(body: Any, *_: Any) -> Any:
        if word in str(body):
            event.set()
        return answer(body)

    return answering


def asked_texts(service: Service) -> list[str]:
    return [
        text
        for body in service.asked
        for text in (body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]])
    ]


def frames_of(texts: list[str | None], *sizes: int) -> Iterator[pd.DataFrame]:
    start = 0
    for size in sizes:
        part = texts[start : start + size]
        yield pd.DataFrame({"text": part}, index=range(start, start + len(part)), dtype=object)
        start += size


CELLS = st.one_of(st.none(), st.just(""), st.text("abc", min_size=1, max_size=3), st.integers(0, 5).map(str))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(CELLS, max_size=60), cuts=st.lists(st.integers(0, 25), max_size=8))
def test_pieces_have_the_rows_that_the_whole_has(texts: list[str | None], cuts: list[int], service: Service) -> None:
    service.answer = answer
    engine = {"endpoint": service.url, "cache": False}
    sizes = [*cuts, max(0, len(texts) - sum(cuts))]
    outs = list(predict_batches(frames_of(texts, *sizes), USING, engine))
    assert [len(out) for out in outs] == [len(piece) for piece in frames_of(texts, *sizes)]
    pieces = pd.concat(outs) if outs else pd.DataFrame()
    (whole,) = [predict(frame, USING, engine) for frame in frames_of(texts, len(texts))]
    pd.testing.assert_frame_equal(pieces, whole, check_index_type=False)


def test_a_table_of_many_windows_is_one_query_in_order(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.answer = answer
    monkeypatch.setattr(stream, "_MAX_LIVE_ROWS", 200)
    monkeypatch.setattr(stream, "_MIN_LIVE_ROWS", 200)
    monkeypatch.setattr(stream, "_UNKNOWN_LIVE_ROWS", 200)
    texts: list[str | None] = [f"text {number % 700} {'x' * (number % 9)}" for number in range(3000)]
    read = 0
    given_back = 0

    def counted() -> Iterator[pd.DataFrame]:
        nonlocal read
        for frame in frames_of(texts, *[50] * 60):
            read += 1
            assert read - given_back <= 200 / 50 + 2, "it reads a window ahead and no more"
            yield frame

    rows = []
    for out in predict_batches(counted(), USING, {"endpoint": service.url, "cache": False}):
        given_back += 1
        rows.append(out)
    result = pd.concat(rows)
    assert list(result.index) == list(range(3000))
    assert [explain["POS"] for explain in result["y_explain"]] == [scores(str(text))[0]["score"] for text in texts]
    usage = rows[-1].attrs["usage"]
    assert (usage["queries"], usage["rows"], usage["answered"]) == (1, 3000, 3000)
    assert [out.attrs["usage"]["rows"] for out in rows] == sorted(out.attrs["usage"]["rows"] for out in rows)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[QueryRun]:
    """The queries of a test, with windows of 100 rows."""
    monkeypatch.setattr(stream, "_MAX_LIVE_ROWS", 100)
    monkeypatch.setattr(stream, "_MIN_LIVE_ROWS", 100)
    monkeypatch.setattr(stream, "_UNKNOWN_LIVE_ROWS", 100)
    runs: list[QueryRun] = []

    class Remembered(QueryRun):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            runs.append(self)

    monkeypatch.setattr(stream, "QueryRun", Remembered)
    return runs


def test_what_was_given_back_is_forgotten(service: Service, runs: list[QueryRun]) -> None:
    service.answer = answer
    texts: list[str | None] = [f"text {number}" for number in range(2000)]
    held = []
    for _ in predict_batches(frames_of(texts, *[20] * 100), USING, {"endpoint": service.url}):
        held.append((len(runs[0].results.values), len(runs[0]._source.inputs)))
    assert max(most for each in held for most in each) <= 2 * 100 + 3 * 20


def test_equal_inputs_of_different_frames_are_asked_once(service: Service) -> None:
    service.answer = answer
    outs = list(predict_batches(frames_of(["a", "b", "a", "b", "a"], 2, 2, 1), USING, {"endpoint": service.url}))
    assert sorted(asked_texts(service)) == ["a", "b"]
    assert outs[-1].attrs["usage"]["distinct"] == 2


def test_rows_wait_for_others_to_fill_a_batch(service: Service) -> None:
    service.answer = answer
    texts: list[str | None] = [f"text {number} {'x' * (number % 50)}" for number in range(400)]
    outs = list(predict_batches(frames_of(texts, *[1] * 400), USING, {"endpoint": service.url}))
    assert len(outs) == 400
    assert len(service.asked) < 200, "frames of one row each still go in batches"


def test_a_route_is_probed_once_enough_inputs_came(service: Service) -> None:
    answered = threading.Event()
    service.answer = answer_and_set(answered, "")

    def frames() -> Iterator[pd.DataFrame]:
        yield pd.DataFrame({"text": ["few"]})
        assert answered.wait(20)
        yield pd.DataFrame({"text": [f"text {number} {'x' * (number % 50)}" for number in range(400)]})

    outs = list(predict_batches(frames(), USING, {"endpoint": service.url}))
    assert pd.concat(outs)["y_error"].isna().all()
    assert len(service.asked) < 200


def test_what_waits_goes_when_no_more_comes_for_now(service: Service) -> None:
    answered = threading.Event()
    service.answer = answer_and_set(answered, "last")

    def frames() -> Iterator[pd.DataFrame]:
        yield pd.DataFrame({"text": ["first", "last"]})
        assert answered.wait(20), "the first frame was not asked while the second was waited for"
        yield pd.DataFrame({"text": ["more"]})

    assert [len(out) for out in predict_batches(frames(), USING, {"endpoint": service.url})] == [2, 1]


def test_a_budget_is_for_all_frames_together(service: Service) -> None:
    service.answer = answer
    texts: list[str | None] = [f"text {number}" for number in range(7)]  # too few for a batch
    using = {**USING, "max_requests": 4}
    outs = list(predict_batches(frames_of(texts, 2, 2, 3), using, {"endpoint": service.url}))
    assert len(service.asked) == 4
    errors = pd.concat(outs)["y_error"]
    assert errors.isna().sum() == 4
    assert errors.dropna().str.contains("max_requests = 4").all()


def test_a_spent_budget_does_not_block_a_table_of_many_windows(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer = answer
    monkeypatch.setattr(stream, "_MAX_LIVE_ROWS", 100)
    monkeypatch.setattr(stream, "_MIN_LIVE_ROWS", 100)
    monkeypatch.setattr(stream, "_UNKNOWN_LIVE_ROWS", 100)
    engine = {"endpoint": service.url}
    predict(pd.DataFrame({"text": ["text 950", "text 951"]}), USING, engine)  # so stored answers are looked for
    texts: list[str | None] = [f"text {number}" for number in range(1000)]
    using = {**USING, "max_requests": 2}
    result = pd.concat(predict_batches(frames_of(texts, *[20] * 50), using, engine))
    assert list(result.index) == list(range(1000))
    assert result["y_error"].iloc[100] == "not sent: max_requests = 2 was reached before this row"
    assert result["y_error"].iloc[950:952].isna().all(), "what is stored is still found"


def test_batches_larger_than_what_may_wait_are_sent(service: Service) -> None:
    service.info = {"model_type": {"embedding": {}}, "model_id": "m", "max_client_batch_size": 5000}
    service.answer = lambda body, *_: [[1.0, 2.0] for _ in body["inputs"]]
    frame = pd.DataFrame({"text": [f"text {number}" for number in range(9000)]})
    out = predict(frame, {**USING, "task": "feature-extraction"}, {"endpoint": service.url, "cache": False})
    assert out["y_error"].isna().all()


def test_a_probe_needs_no_input_that_was_given_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.answer = answer
    monkeypatch.setattr(stream, "_MAX_LIVE_ROWS", 40)
    monkeypatch.setattr(stream, "_MIN_LIVE_ROWS", 40)
    monkeypatch.setattr(stream, "_UNKNOWN_LIVE_ROWS", 40)
    runs: list[QueryRun] = []
    forgotten: list[int] = []

    class Remembered(QueryRun):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            runs.append(self)

    stored = [f"stored {number}" for number in range(100)]
    engine = {"endpoint": service.url}
    predict(pd.DataFrame({"text": stored}), USING, engine)
    with closing(sqlite3.connect(default_session().store(None).path)) as store, store:
        store.execute("DELETE FROM routes")  # as after an hour: the route is probed again
    monkeypatch.setattr(stream, "QueryRun", Remembered)

    def frames() -> Iterator[pd.DataFrame]:
        yield pd.DataFrame({"text": ["new"]})
        for start in range(0, len(stored), 5):
            yield pd.DataFrame({"text": stored[start : start + 5]})
        forgotten.append(runs[0].results.start)
        yield pd.DataFrame({"text": [f"text {number} {'x' * number}" for number in range(30)]})

    with Session() as session:
        outs = list(predict_batches(frames(), USING, engine, session=session))
    assert forgotten[0] > 0
    assert pd.concat(outs)["y_error"].isna().all()


def test_results_are_forgotten_after_the_end_of_the_query_too(service: Service, runs: list[QueryRun]) -> None:
    service.answer = answer
    texts: list[str | None] = [f"text {number}" for number in range(2000)]
    using, engine = {**USING, "max_requests": 1}, {"endpoint": service.url, "cache": False}
    held = [len(runs[0].results.values) for _ in predict_batches(frames_of(texts, *[20] * 100), using, engine)]
    assert max(held) <= 2 * 100 + 3 * 20


def test_the_usage_of_a_frame_counts_the_frame(service: Service) -> None:
    service.answer = answer
    outs = predict_batches(frames_of(["a", "b", "c", "d"], 1, 1, 1, 1), USING, {"endpoint": service.url})
    assert [out.attrs["usage"]["answered"] for out in outs] == [1, 2, 3, 4]


def test_three_equal_refusals_of_different_frames_stop_the_query(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": "unknown parameter"}, 400)
    with pytest.raises(InferenceError, match="the request is at fault"):
        list(predict_batches(frames_of([f"t{n}" for n in range(40)], *[1] * 40), USING, {"endpoint": service.url}))
    assert len(service.asked) <= 3 + 8


def test_one_bad_row_costs_one_row(service: Service) -> None:
    service.answer = lambda body, *_: Reply({"error": "no"}, 400) if "bad" in str(body) else answer(body)
    texts: list[str | None] = ["good", "bad", "better", None, "best"]
    out = pd.concat(predict_batches(frames_of(texts, 1, 1, 1, 1, 1), USING, {"endpoint": service.url}))
    assert list(out["y_error"].notna()) == [False, True, False, False, False]


def test_a_wrong_key_ends_the_iteration(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": "bad key"}, 401)
    outs = predict_batches(frames_of(["a", "b"], 1, 1), USING, {"endpoint": service.url})
    with pytest.raises(InferenceError, match="bad key"):
        next(outs)


def test_on_error_raise_ends_the_iteration_at_the_first_failure(service: Service) -> None:
    service.answer = lambda body, *_: Reply({"error": "no"}, 400) if "bad" in str(body) else answer(body)
    using = {**USING, "on_error": "raise"}
    texts: list[str | None] = ["good", "bad"]
    with pytest.raises(InferenceError, match="no"):
        list(predict_batches(frames_of(texts, 1, 1), using, {"endpoint": service.url}))


def test_the_only_row_of_all_frames_raises_its_reason(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": "no"}, 400)
    with pytest.raises(InferenceError, match="no"):
        list(predict_batches(frames_of(["bad"], 0, 1, 0), USING, {"endpoint": service.url}))


def test_leaving_early_ends_the_query(service: Service) -> None:
    service.answer = answer
    read = 0

    def endless() -> Iterator[pd.DataFrame]:
        nonlocal read
        while True:
            read += 1
            yield pd.DataFrame({"text": [f"text {read} {row}" for row in range(100)]})

    outs = predict_batches(endless(), USING, {"endpoint": service.url})
    assert len(next(outs)) == 100
    outs.close()  # type: ignore[attr-defined]
    asked = []
    for text in ("after", "later"):
        assert predict(pd.DataFrame({"text": [text]}), USING, {"endpoint": service.url})["y_error"][0] is None
        asked.append(len(service.asked))
    assert asked[1] == asked[0] + 1, "what was on its way has arrived by now, and no more comes"


def test_a_cancelled_query_gives_back_what_it_read_and_reads_no_more(service: Service) -> None:
    cancel = threading.Event()
    read = 0

    async def answer_early_ones(body: Any, *_: Any) -> Any:
        texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
        if int(texts[-1]) > 2_000:
            await asyncio.to_thread(cancel.wait)
        return Reply({"error": "later"}, 503) if cancel.is_set() else answer(body)

    def endless() -> Iterator[pd.DataFrame]:
        nonlocal read
        while True:
            read += 1
            yield pd.DataFrame({"text": [f"{read * 100 + row}" for row in range(100)]})

    service.answer = answer_early_ones
    outs = predict_batches(endless(), USING, {"endpoint": service.url}, cancel=cancel)
    first_out = next(outs)
    assert first_out["y_error"][0] is None
    cancel.set()
    later = list(outs)
    assert len(later) + 1 == read
    assert "cancelled" in later[-1]["y_error"][99]


def test_bad_arguments_are_told_at_once_and_a_bad_frame_as_it_is_read(service: Service) -> None:
    with pytest.raises(InputError, match="hook"):
        predict_batches([], USING, {"endpoint": service.url}, hooks=[object()])  # type: ignore[list-item]
    with pytest.raises(InputError, match="task"):
        predict_batches([], {"task": "no such"}, {"endpoint": service.url})
    service.answer = answer
    outs = predict_batches(
        iter([pd.DataFrame({"text": ["a"]}), pd.DataFrame({"other": ["b"]})]), USING, {"endpoint": service.url}
    )
    with pytest.raises(InputError, match="text"):
        list(outs)


def test_the_iterators_own_error_comes_through(service: Service) -> None:
    service.answer = answer

    def broken() -> Iterator[pd.DataFrame]:
        yield pd.DataFrame({"text": ["a"]})
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(predict_batches(broken(), USING, {"endpoint": service.url}))


def test_a_frame_may_be_used_again_for_the_next_piece(service: Service) -> None:
    service.answer = answer

    def frames() -> Iterator[pd.DataFrame]:
        frame = pd.DataFrame({"text": ["a", "b"]})
        for number in range(3):
            frame.index = pd.Index([f"{number}a", f"{number}b"])
            yield frame

    outs = list(predict_batches(frames(), USING, {"endpoint": service.url}))
    assert [list(out.index) for out in outs] == [["0a", "0b"], ["1a", "1b"], ["2a", "2b"]]


def test_media_is_forgotten_once_it_is_answered(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.answer = lambda *_: [{"label": "cat", "score": 0.9}]
    held = []

    class Remembered(LoadedMedia):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            held.append(self)

    monkeypatch.setattr(input_queue, "LoadedMedia", Remembered)
    images = [PNG + bytes([number]) for number in range(20)]
    using = {**USING, "task": "image-classification", "column": "image"}
    out = predict(pd.DataFrame({"image": images}), using, {"endpoint": service.url})
    assert out["y_error"].isna().all()
    assert held[0]._items == {}


def test_no_frames_are_no_query(service: Service) -> None:
    assert list(predict_batches([], USING, {"endpoint": service.url})) == []
    assert service.asked == service.fetched == []


def test_frames_without_rows_keep_their_columns(service: Service) -> None:
    (out,) = predict_batches([pd.DataFrame({"text": []})], USING, {"endpoint": service.url})
    assert list(out.columns) == list(output_schema(USING))


def test_usage_is_stored_once_for_all_frames(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.answer = answer
    recorded = []
    monkeypatch.setattr(usage_log, "record", lambda store, scope, usage: recorded.append(usage.rows))
    list(predict_batches(frames_of(["a", "b", "c"], 1, 1, 1), USING, {"endpoint": service.url}))
    assert recorded == [3]


def test_progress_is_of_all_frames(service: Service) -> None:
    service.answer = answer
    seen: list[tuple[int, int]] = []
    texts: list[str | None] = [f"t{number}" for number in range(30)]
    list(
        predict_batches(
            frames_of(texts, *[3] * 10),
            USING,
            {"endpoint": service.url},
            progress=lambda done, total: seen.append((done, total)),
        )
    )
    assert seen
    assert all(done <= total <= 30 for done, total in seen)


def test_the_default_session_is_used_by_all(service: Service) -> None:
    service.answer = answer
    predict(pd.DataFrame({"text": ["a"]}), USING, {"endpoint": service.url})
    assert any(service.url in str(state) or state for state in default_session().routes._states)
