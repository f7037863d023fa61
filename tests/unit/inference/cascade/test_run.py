"""A cascade through a service that counts what each model is asked: what is promised, shown, stored, refused and ended."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.inference import Session, predict, predict_batches
from huggingface_api_handler.inference.storage.open_stores import close_stores
from tests.conftest import Reply, Service
from tests.support.agreeing_models import AgreeingModels


def table(count: int, start: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"text": [f"text {number}" for number in range(start, start + count)]})


def using(accuracy: float = 0.9, **more: Any) -> dict[str, Any]:
    # So confident that no run of these tests meets the table for which the promise is broken.
    cascade = {"model": "small", "accuracy": accuracy, "confidence": 0.9999, **more.pop("cascade", {})}
    return {
        "task": "text-classification",
        "model": "large",
        "column": "text",
        "target": "mood",
        "cascade": cascade,
        **more,
    }


def share_right(out: pd.DataFrame, start: int = 0) -> float:
    return float(np.mean([mood == AgreeingModels.truth(number) for number, mood in enumerate(out["mood"], start)]))


def test_most_rows_are_the_small_models_and_as_many_as_promised_are_right(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    out = predict(table(2000), using(), engine)
    assert share_right(out) >= 0.9
    by = out["mood_model"].value_counts()
    assert by["small"] > 500
    assert by["large"] == len(models.asked["large"])
    assert set(models.asked["small"]) == set(range(2000))
    assert out["mood_error"].isna().all()
    for number, row in enumerate(out.to_dict("records")):
        shown = row["mood"], row["mood_confidence"]
        assert shown == ((AgreeingModels.truth(number), 0.9) if row["mood_model"] == "large" else models.guess(number))
        assert row["mood_explain"][row["mood"]] == row["mood_confidence"]


def test_the_promise_is_kept_as_often_as_confidence_says(service: Service, tmp_path: Path) -> None:
    """A proxy that is wrong just so often that hardly more rows could be its own."""
    broken = 0
    for seed in range(20):
        models = AgreeingModels(service, worst=0.4)
        engine = {"endpoint": f"{service.url}/models", "cache_dir": str(tmp_path / str(seed))}
        out = predict(table(400, 1000 * seed), using(cascade={"confidence": 0.9}), engine)
        broken += share_right(out, 1000 * seed) < 0.9
        assert len(models.asked["large"]) < 400
        close_stores()
    assert broken <= 5  # more come with a probability of 0.01 where one in ten is broken


def test_equal_rows_count_as_often_as_they_come_and_nulls_not_at_all(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    frame = pd.concat([table(600)] * 3, ignore_index=True)
    frame.loc[[5, 700], "text"] = [None, "  "]
    out = predict(frame, using(), engine)
    assert out["mood"].isna().sum() == 2
    assert out.loc[5, "mood_model"] is None
    assert (
        out["mood"].iloc[:600].drop([5, 100]).tolist()
        == out["mood"].iloc[1200:].reset_index(drop=True).drop([5, 100]).tolist()
    )
    usage = out.attrs["usage"]
    assert (usage["rows"], usage["nulls"], usage["distinct"]) == (1800, 2, 600)
    assert usage["answered"] == 1798
    assert usage["cascade"]["rows"] == 1798
    assert usage["cascade"]["proxy_asked_inputs"] == 600


def test_the_same_query_again_asks_nothing_and_shows_the_same(models: AgreeingModels, engine: dict[str, Any]) -> None:
    first = predict(table(1000), using(), engine)
    close_stores()
    models.asked["large"].clear()
    models.asked["small"].clear()
    again = predict(table(1000), using(), engine)
    assert not models.asked["large"] and not models.asked["small"]
    pd.testing.assert_frame_equal(first, again)
    turned = predict(table(1000).iloc[::-1], using(), engine)
    assert not models.asked["large"] and not models.asked["small"]
    pd.testing.assert_frame_equal(first.iloc[::-1], turned, check_flags=False)
    assert again.attrs["usage"]["requests"] == 0


def test_a_certificate_is_none_for_a_proxy_that_answers_otherwise_now(
    models: AgreeingModels, engine: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own answers are stored elsewhere, and are gone, while the certificate is found."""
    first, second = ({**engine, "cache_dir": str(tmp_path / name)} for name in ("first", "second"))
    predict(table(1000), using(cascade={"engine": first}), engine)
    monkeypatch.setattr(models, "guess", lambda number: (AgreeingModels.wrong(number), 0.9))
    out = predict(table(1000), using(cascade={"engine": second}), engine)
    assert share_right(out) >= 0.9


def test_new_rows_ask_only_what_they_need(models: AgreeingModels, engine: dict[str, Any]) -> None:
    predict(table(2000), using(), engine)
    small = set(models.asked["small"])
    before = Counter(models.asked["large"])
    predict(table(2100), using(), engine)
    again = models.asked["large"] - before
    assert not set(again) & set(before)
    assert set(models.asked["small"]) - small == set(range(2000, 2100))


def test_stored_answers_of_the_large_model_are_exact_and_are_not_asked_of_the_proxy(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    plain = {name: value for name, value in using().items() if name != "cascade"}
    predict(table(300), {**plain, "cache": True}, engine)
    out = predict(table(1500), using(), engine)
    assert set(models.asked["small"]) == set(range(300, 1500))
    assert (out["mood_model"].iloc[:300] == "large").all()
    assert share_right(out.iloc[:300]) == 1.0


@pytest.mark.parametrize("rows", [1, 10])
def test_few_rows_go_straight_to_the_large_model(rows: int, models: AgreeingModels, engine: dict[str, Any]) -> None:
    out = predict(table(rows), using(), engine)
    assert not models.asked["small"]
    assert (out["mood_model"] == "large").all()
    assert out.attrs["usage"]["cascade"]["straight_parts"] == 1


def test_a_useless_proxy_costs_its_own_calls_and_no_more(
    models: AgreeingModels, engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "guess", lambda number: (AgreeingModels.wrong(number), 0.9))
    out = predict(table(500), using(), engine)
    assert share_right(out) >= 0.9
    assert (out["mood_model"] == "large").mean() >= 0.9  # one in ten may be wrong, and is not worth asking


def test_a_proxy_that_fails_for_everybody_raises_before_the_large_model_is_asked(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    models.failing["small"] = Reply({"error": "no such model"}, 404)
    with pytest.raises(InferenceError, match="the proxy of the cascade answers nobody"):
        predict(table(500), using(), engine)
    assert not models.asked["large"]


def test_rows_that_the_proxy_refuses_are_the_large_models(models: AgreeingModels, engine: dict[str, Any]) -> None:
    models.refused["small"] = set(range(0, 1000, 50))
    out = predict(table(1000), using(), engine)
    assert (out["mood_model"].iloc[::50] == "large").all()
    assert share_right(out) >= 0.9


def test_what_the_large_model_refuses_carries_its_reason_and_counts_as_a_disagreement(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    models.worst = 0.0
    models.refused["large"] = set(range(0, 1000, 5))
    out = predict(table(1000), using(), engine)
    refused = out[out["mood_error"].notna()]
    assert len(refused) and set(refused.index) <= models.refused["large"]
    assert refused["mood_model"].isna().all() and refused["mood"].isna().all()
    # One in five would be refused, and is an error: no prefix can be certified to nine in ten.
    assert (out["mood_model"] == "small").sum() < 600


def test_a_large_model_that_fails_for_everybody_raises(models: AgreeingModels, engine: dict[str, Any]) -> None:
    models.failing["large"] = Reply({"error": "Invalid username or password."}, 401)
    with pytest.raises(InferenceError, match="key"):
        predict(table(500), using(), engine)


def test_a_budget_that_ends_leaves_what_is_certified_and_nothing_else_of_the_proxy(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    free = predict(table(1000), using(cache=False), engine)
    requests = free.attrs["usage"]["requests"]
    for most in (1, 5, requests // 3):
        out = predict(table(1000), using(cache=False, max_requests=most, on_error="null"), engine)
        unsent = out[out["mood_error"].notna()]
        assert len(unsent)
        assert unsent["mood"].isna().all()
        assert unsent["mood_error"].str.contains("max_requests").all()
        answered = out[out["mood_error"].isna()]
        right = [
            mood == AgreeingModels.truth(number) for number, mood in enumerate(out["mood"]) if number in answered.index
        ]
        assert not right or 1 - np.mean(right) <= 0.1 * 1000 / len(right)
        assert out.attrs["usage"]["requests"] <= most


def test_a_cancelled_query_shows_what_it_has(models: AgreeingModels, engine: dict[str, Any]) -> None:
    cancel = threading.Event()

    def on_large() -> None:
        cancel.set()
        time.sleep(0.3)  # longer than the query takes to see it

    models.on_large = on_large
    models.worst = 1.0
    out = predict(table(3000), using(0.99), engine, cancel=cancel)
    assert len(out) == 3000
    unsent = out["mood_error"].notna()
    assert unsent.any()
    assert out.loc[unsent, "mood_error"].str.contains("cancelled").all()
    assert out.loc[unsent, "mood"].isna().all()
    assert share_right(out) + unsent.mean() >= 0.99


def test_pieces_of_a_table_are_certified_together_and_given_back_in_order(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    whole = predict(table(1200), using(), engine)
    close_stores()
    models.asked["large"].clear()
    pieces = [table(1200).iloc[start : start + 500] for start in (0, 500, 1000)]
    outs = list(predict_batches(pieces, using(), engine))
    assert [len(out) for out in outs] == [500, 500, 200]
    pd.testing.assert_frame_equal(pd.concat(outs), whole, check_flags=False)
    assert not models.asked["large"]


def test_the_receipt_says_what_was_asked_of_whom(
    models: AgreeingModels, engine: dict[str, Any], service: Service
) -> None:
    engine = {**engine, "prices": {"request": 0.01}}
    out = predict(table(2000), using(cascade={"prices": {"request": 0.001}}), engine)
    usage = out.attrs["usage"]
    cascade = usage["cascade"]
    posted = Counter(path.rpartition("/")[2] for path in service.paths)
    assert usage["requests"] == posted["large"] + posted["small"]
    assert cascade["proxy_requests"] == posted["small"]
    assert usage["usd"] == pytest.approx(0.01 * posted["large"] + 0.001 * posted["small"])
    assert cascade["proxy_usd"] == pytest.approx(0.001 * posted["small"])
    assert cascade["proxy_row_share"] == (out["mood_model"] == "small").mean()
    assert cascade["threshold"] == out.loc[out["mood_model"] == "small", "mood_confidence"].min()
    each = 0.01 * posted["large"] / cascade["asked_inputs"]
    assert cascade["usd_saved"] == pytest.approx(each * cascade["proxy_inputs"] - cascade["proxy_usd"])


def test_the_proxy_may_be_on_another_engine(models: AgreeingModels, engine: dict[str, Any], tmp_path: Path) -> None:
    near = Service()
    try:
        models_there = AgreeingModels(near)
        there = {"endpoint": f"{near.url}/models", "cache_dir": str(tmp_path / "there"), "api_key": "hf_nearKey12345"}
        out = predict(table(1000), using(cascade={"engine": there}), {**engine, "api_key": "hf_farKey123456"})
    finally:
        near.close()
    assert set(models_there.asked["small"]) == set(range(1000))
    assert {headers["authorization"] for headers in near.headers} == {"Bearer hf_nearKey12345"}
    assert not models.asked["small"]
    assert share_right(out) >= 0.9


def test_progress_counts_both_models_and_ends_with_all(models: AgreeingModels, engine: dict[str, Any]) -> None:
    seen: list[tuple[int, int]] = []
    predict(table(1000), using(), engine, progress=lambda done, total: seen.append((done, total)))
    done = [each for each, _ in seen]
    assert done == sorted(done)
    assert seen[-1][0] == seen[-1][1] == 1000 + len(models.asked["large"])


def test_threshold_is_the_large_models_own(models: AgreeingModels, engine: dict[str, Any]) -> None:
    """Its answers below it are 'uncertain', which no small model says, so hardly anything can be certified."""
    out = predict(table(500), using(threshold=0.95), engine)
    assert (out["mood"] == "uncertain").mean() >= 0.9


def test_without_a_store_nothing_is_kept_and_the_promise_holds(models: AgreeingModels, engine: dict[str, Any]) -> None:
    for _ in range(2):
        models.asked["large"].clear()
        out = predict(table(1000), using(cache=False), engine)
        assert share_right(out) >= 0.9
        assert models.asked["large"]


def test_one_session_runs_several_at_once(models: AgreeingModels, engine: dict[str, Any]) -> None:
    outs: dict[int, pd.DataFrame] = {}
    with Session() as session:

        def ask(start: int) -> None:
            outs[start] = predict(table(600, start), using(), engine, session=session)

        threads = [threading.Thread(target=ask, args=(start,)) for start in (0, 1000, 2000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(share_right(out, start) >= 0.9 for start, out in outs.items())


BAD = {
    "a number": 5,
    "nothing in it": {},
    "no accuracy": {"model": "small"},
    "accuracy of one": {"model": "small", "accuracy": 1},
    "no model": {"accuracy": 0.9},
    "an unknown name": {"model": "small", "accuracy": 0.9, "shareof": 0.9},
    "a key": {"model": "small", "accuracy": 0.9, "api_key": "hf_secretOfMine1"},
    "an engine by name": {"model": "small", "accuracy": 0.9, "engine": "local"},
    "a cascade": {"model": "small", "accuracy": 0.9, "cascade": {"model": "x", "accuracy": 0.9}},
    "another kind of task": {"model": "small", "accuracy": 0.9, "task": "summarization"},
}


@pytest.mark.parametrize("cascade", BAD.values(), ids=BAD)
def test_a_cascade_that_cannot_be_is_refused_without_a_request(
    cascade: Any, engine: dict[str, Any], service: Service
) -> None:
    with pytest.raises(InputError) as refused:
        predict(table(10), {**using(), "cascade": cascade}, engine)
    assert "secretOfMine" not in str(refused.value)
    assert not service.asked


@pytest.mark.parametrize(
    "more",
    [{"output": "scores"}, {"output": "all"}, {"task": "summarization"}, {"task": "feature-extraction"}],
    ids=lambda more: "-".join(more.values()),
)
def test_what_is_no_label_is_refused(more: dict[str, Any], engine: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="cascade"):
        predict(table(10), {**using(), **more}, engine)


def test_a_dry_run_says_the_range_and_sends_nothing(
    models: AgreeingModels, engine: dict[str, Any], service: Service
) -> None:
    engine = {**engine, "prices": {"request": 0.01}}
    cascade = {"prices": {"request": 0.001}, "confidence": 0.95}
    out = predict(table(1000), using(cascade=cascade, dry_run=True), engine)
    assert not service.asked
    sentence = out["mood"].iloc[0]
    assert sentence.endswith("cascade: 1000 requests to small, then 40 to 1000 to large")
    assert out["requests"].iloc[0] == 2000
    assert out["usd_low"].iloc[0] == pytest.approx(1000 * 0.001 + 40 * 0.01)
    assert out["usd_high"].iloc[0] == pytest.approx(1000 * 0.001 + 1000 * 0.01)
    few = predict(table(10), using(dry_run=True), engine)
    assert "too few inputs to save any" in few["mood"].iloc[0]
    assert few["requests"].iloc[0] == 10


def dry_run_of(rows: pd.DataFrame, engine: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The first row of a dry run."""
    return {str(name): value for name, value in predict(rows, using(dry_run=True, **more), engine).iloc[0].items()}


def test_a_dry_run_counts_no_model_for_what_is_stored(
    models: AgreeingModels, engine: dict[str, Any], service: Service
) -> None:
    engine = {**engine, "prices": {"request": 0.01}}
    predict(table(300), {**using(), "cascade": False}, engine)
    service.asked.clear()
    before = dry_run_of(table(1000), engine)
    assert before["stored"] == 300
    assert "cascade: 700 requests to small, then " in before["mood"]
    out = predict(table(1000), using(), engine)
    spent = len(service.asked)
    assert spent * 0.01 <= before["usd_high"]
    again = dry_run_of(table(1000), engine)
    assert (again["requests"], again["usd_low"], again["usd_high"]) == (0, 0, 0)
    assert again["mood"].endswith("cascade: 0 requests to small, then 0 to large")
    assert out["mood_model"].eq("small").any()
    assert len(service.asked) == spent, "no dry run asks"


def test_a_dry_run_of_what_the_large_model_has_answered_costs_nothing(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    predict(table(300), {**using(), "cascade": False}, engine)
    dry = dry_run_of(table(300), engine)
    assert dry["requests"] == 0
    assert dry["mood"].endswith("cascade: all answers are stored of large")


def test_a_dry_run_without_the_store_counts_all_again(models: AgreeingModels, engine: dict[str, Any]) -> None:
    predict(table(1000), using(), engine)
    dry = dry_run_of(table(1000), engine, cache=False)
    assert dry["stored"] == 0
    assert dry["requests"] > 0
    assert re.search(r"then \d+ to \d+ to large$", dry["mood"]), "a range, since no certificate is found"
