"""Parts of long texts where something goes wrong: each row is answered once, by all of its parts, at bounded cost."""

from __future__ import annotations

import json
import random
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.failures import Failure
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.flow_control.token_limit import TokenLimit
from huggingface_api_handler.inference.runtime.session import Session
from huggingface_api_handler.tasks import Prediction
from huggingface_api_handler.tasks.text_windows import estimate_tokens
from tests.conftest import Reply, Service
from tests.faults.test_long_texts import MemoryCache, Server, ask, assert_right, error
from tests.unit.inference.runtime.test_long_texts import document

USING: dict[str, Any] = {"max_chunks": 1000, "long_text": "auto"}


def known(tokens: int) -> RouteProfile:
    limit = TokenLimit()
    limit.state(tokens)
    return RouteProfile(has_answered=True, accepts_batches=False, token_limit=limit)


def server(**how: Any) -> Server:
    return Server(random.Random(1), **{"accepts_batches": False, **how})


def test_parts_refused_out_of_their_order_are_cut_once() -> None:
    encoder = server(limit=50)
    for seed in range(10):
        encoder.drawn = random.Random(seed)
        run = ask(encoder, [document(600, seed)], profile=known(200), **USING)
        assert assert_right(run, encoder, USING) > 10


@pytest.mark.parametrize("max_chunks", [1, 2, 3, 5])
def test_as_many_parts_as_may_be_are_the_first_ones(max_chunks: int) -> None:
    using: dict[str, Any] = {"max_chunks": max_chunks, "long_text": "auto"}
    for seed in range(10):
        for words in ("counted", "nothing"):
            encoder = server(limit=50, words=words)
            encoder.drawn = random.Random(seed)
            run = ask(encoder, [document(600, seed), document(300, seed + 1)], profile=known(200), **using)
            assert assert_right(run, encoder, using) == 2 * max_chunks
            assert run.executor.done == 2


def test_a_character_that_is_too_long_fails_its_row_after_few_requests() -> None:
    encoder = server(limit=50)
    text = document(200) + " e" + "\u0301" * 4000 + " end"
    run = ask(encoder, [text, "short", document(100, 1)], **USING)
    assert isinstance(run.results[0], Failure)
    assert "cannot be cut any shorter" in run.results[0].message
    assert_right(run, encoder, USING)
    assert encoder.requests < 60


def test_what_every_part_is_refused_for_ends_the_query() -> None:
    encoder = server(limit=100)

    def refuses(asked: Any) -> Any:
        encoder.asked.append(asked)
        return error(400, "unexpected parameter top_k")

    texts = [document(400, seed) for seed in range(200)]
    with_refusal: Any = Refusing(refuses)
    run = ask(with_refusal, texts, profile=known(100), **USING)
    assert run.executor.stopped is not None
    assert len(encoder.asked) <= 60


class Refusing:
    def __init__(self, answer: Any) -> None:
        self.answer, self.drawn = answer, random.Random(1)

    def __call__(self, asked: Any) -> Any:
        return self.answer(asked)


def test_whoever_waits_for_a_frame_is_told_of_a_text_whose_parts_were_answered_before() -> None:
    """No later answer says that its row is done."""
    run = ask(server(limit=60), [document(200)], **USING)
    told: list[bool] = []
    run.results.extend(1)
    run.results.when_done(2, lambda: told.append(True))
    assert not told
    run.executor._handler.long_texts._put(1, Prediction("POS", 0.5))
    assert told


def summarizer(service: Service, summary: Any, limit: int = 60) -> None:
    def reply(body: Any, _headers: Any, _path: str) -> Reply:
        inputs = body["inputs"]
        if isinstance(inputs, list):
            return Reply({"error": "lists are not supported"}, 422)
        if estimate_tokens(inputs) > limit:
            return Reply({"error": f"`inputs` must have less than {limit} tokens"}, 413)
        return Reply([{"summary_text": summary(inputs)}])

    service.answer = reply


def summaries(service: Service, texts: list[str], **using: Any) -> pd.DataFrame:
    task = {"task": "summarization", "model": "m", "column": "text", "max_chunks": 1000, **using}
    with Session() as session:
        return predict(pd.DataFrame({"text": texts}), task, {"endpoint": f"{service.url}/models"}, session=session)


def test_a_model_that_hardly_shortens_costs_few_rounds(service: Service) -> None:
    summarizer(service, lambda text: text[:-1] or text)
    out = summaries(service, [document(600), "short"])
    assert out["prediction_error"].isna().all()
    assert len(service.asked) <= 150


def test_a_summary_of_summaries_is_not_paid_for_twice(service: Service) -> None:
    summarizer(service, lambda text: " ".join(text.split()[:4]))
    texts = [document(250), "short"]
    first = summaries(service, texts, max_length=6)
    for _ in range(3):
        service.asked.clear()
        again = summaries(service, texts, max_length=6)
        assert service.asked == []
        pd.testing.assert_frame_equal(first, again)


@pytest.mark.parametrize(
    "spans", [[[0, 10**6]], [[0, 5]], [[3, 3]], [[9, 2]], [[-1, 4]], "x", [[0, 1], [0, 1]], [], [[0.5, 2]], None]
)
def test_a_plan_that_no_query_wrote_does_no_harm(spans: Any) -> None:
    encoder, answers = server(limit=60), MemoryCache()
    texts = [document(8), document(200, 1), "short"]
    for text in texts:
        answers.put(answers.key(text), {"spans of parts": spans})
    run = ask(encoder, texts, answers, profile=known(60), **USING)
    assert all(isinstance(result, Prediction) for result in run.results)
    assert encoder.requests < 40


def test_a_plan_of_all_of_a_text_is_none() -> None:
    encoder, answers = server(limit=60), MemoryCache()
    text = document(8)
    answers.put(answers.key(text), {"spans of parts": [[0, len(text)]]})
    run = ask(encoder, [text], answers, profile=known(60), **USING)
    assert_right(run, encoder, USING)
    assert encoder.requests == 1


def test_what_is_stored_is_found_though_the_length_is_looked_for_and_the_budget_is_spent() -> None:
    answers = MemoryCache()
    stored = [document(300, seed) for seed in range(3)]
    encoder = server(limit=60, words="nothing")
    ask(encoder, stored, answers, **USING)
    assert all(isinstance(result, Prediction) for result in ask(encoder, stored, answers, **USING).results)
    run = ask(encoder, [document(2000, 9), document(2000, 10), *stored], answers, max_requests=3, **USING)
    assert all(isinstance(result, Prediction) for result in list(run.results)[2:])


@pytest.mark.parametrize("on_error", ["null", "raise"])
def test_a_key_in_the_failure_of_a_part_is_not_shown(service: Service, on_error: str) -> None:
    key = "hf_" + "a1B2" * 9

    def reply(body: Any, headers: Any, _path: str) -> Reply:
        inputs = body["inputs"]
        if isinstance(inputs, list):
            return Reply({"error": "lists are not supported"}, 422)
        if estimate_tokens(inputs) > 60:
            return Reply({"error": f"`inputs` must have less than 60 tokens {headers['authorization']}"}, 413)
        if "s20x0" in inputs:
            return Reply({"error": f"refused for {headers['authorization']}"}, 400)
        return Reply([{"label": "A", "score": 0.5}])

    service.answer = reply
    task = {"task": "text-classification", "model": "m", "column": "text", "on_error": on_error}
    engine = {"endpoint": f"{service.url}/models", "api_key": key}
    frame = pd.DataFrame({"text": ["short", document(300)]})
    with Session() as session:
        if on_error == "raise":
            with pytest.raises(InferenceError, match=r"part \d+ of \d+") as raised:
                predict(frame, task, engine, session=session)
            assert key not in str(raised.value)
        else:
            out = predict(frame, task, engine, session=session)
            assert "part " in out["prediction_error"][1]
            assert key not in json.dumps(out["prediction_error"].tolist())


def test_nothing_is_held_of_long_texts_that_are_answered() -> None:
    encoder, answers = server(limit=60), MemoryCache()
    run = ask(encoder, [document(200 + seed, seed) for seed in range(20)], answers, **USING)
    queue = run.executor._queue
    assert not queue._stored._keys
    assert not queue.long_texts._uncut
    assert not queue.long_texts._pending
    assert not queue.long_texts._parts._owners
