"""With ``long_text = 'error'`` no server is asked in a way in which it may cut a text without a word."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.protocols import discovery
from huggingface_api_handler.inference.protocols.base import WireProtocol
from huggingface_api_handler.inference.protocols.hf_inference import HF_INFERENCE
from huggingface_api_handler.inference.protocols.routing import resolve_route
from huggingface_api_handler.inference.protocols.servers import KINDS
from huggingface_api_handler.inference.protocols.tei import Tei
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.tasks import TASKS
from huggingface_api_handler.tasks.input_types import TextPair
from tests.conftest import Reply, Service

TEI: WireProtocol = Tei(8)
PAIRS = [TextPair("one", "two"), TextPair("one", "three")]
SIMILAR = {"source_sentence": "one", "sentences": ["two", "three"]}
RANKED = {"query": "one", "texts": ["two", "three"]}
UNCUT = {"truncate": False}
LABELS = {"candidate_labels": ["a", "b"]}

SENT: list[tuple[WireProtocol, str, dict[str, Any], dict[str, Any]]] = [
    # what a server gets as a rule, and what it gets beside that or in its place
    (HF_INFERENCE, "feature-extraction", {"inputs": "one"}, UNCUT),
    (HF_INFERENCE, "text-classification", {"inputs": "one"}, UNCUT),
    (HF_INFERENCE, "token-classification", {"inputs": "one"}, UNCUT),
    (HF_INFERENCE, "zero-shot-classification", {"inputs": "one", "parameters": LABELS}, UNCUT),
    (HF_INFERENCE, "summarization", {"inputs": "one"}, UNCUT),
    (HF_INFERENCE, "translation", {"inputs": "one"}, UNCUT),
    (HF_INFERENCE, "fill-mask", {"inputs": "one"}, {}),
    (HF_INFERENCE, "sentence-similarity", {"inputs": SIMILAR}, {"inputs": {**SIMILAR, **UNCUT}, "parameters": UNCUT}),
    (HF_INFERENCE, "text-ranking", {**RANKED, "inputs": RANKED}, {**UNCUT, "inputs": {**RANKED, **UNCUT}}),
    (TEI, "feature-extraction", {"inputs": "one"}, UNCUT),
    (TEI, "text-classification", {"inputs": "one"}, UNCUT),
    (TEI, "sentence-similarity", {"inputs": SIMILAR}, {"parameters": UNCUT}),
    (TEI, "text-ranking", RANKED, UNCUT),
]


def using(task: str, **more: Any) -> dict[str, Any]:
    pair = {"column2": "u"} if task in ("text-ranking", "sentence-similarity") else {}
    labels = {"candidate_labels": ["a", "b"]} if task == "zero-shot-classification" else {}
    return {"task": task, "model": "m", "column": "t", "target": "y", **pair, **labels, **more}


def body_of(protocol: WireProtocol, task: str, **more: Any) -> dict[str, Any]:
    inputs: Any = PAIRS if task in ("text-ranking", "sentence-similarity") else ["one"]
    body: dict[str, Any] = json.loads(protocol.encode(TASKS[task], inputs, model_settings(using(task, **more))).data)
    return body


@pytest.mark.parametrize(("protocol", "task", "usual", "more"), SENT)
def test_a_server_that_may_cut_is_told_not_to(
    protocol: WireProtocol, task: str, usual: dict[str, Any], more: dict[str, Any]
) -> None:
    assert body_of(protocol, task) == usual
    assert body_of(protocol, task, long_text="error") == {**usual, **more}


@pytest.mark.parametrize("protocol", [HF_INFERENCE, TEI], ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("task", ["feature-extraction", "text-classification", "sentence-similarity", "text-ranking"])
def test_what_the_person_gave_stays(protocol: WireProtocol, task: str) -> None:
    name = "truncation" if task == "text-classification" else "truncate"
    given = body_of(protocol, task, **{name: False})
    assert body_of(protocol, task, **{name: False}, long_text="error") == given
    assert body_of(protocol, task, long_text="auto", **{name: True}) != given
    with pytest.raises(InputError, match="not both"):
        body_of(protocol, task, long_text="error", **{name: True})


@pytest.mark.parametrize(
    ("kind", "task", "more"),
    [
        ("voyage", "feature-extraction", {"truncation": False}),
        ("voyage", "sentence-similarity", {"truncation": False}),
        ("voyage", "text-ranking", {"truncation": False}),
        # These refuse such a text, and know no parameter for it.
        *[(kind, task, {}) for kind in ("openai", "vllm", "sglang", "llama.cpp") for task in
          ("feature-extraction", "sentence-similarity", "text-ranking")],
        ("vllm", "text-classification", {}),
    ],
)  # fmt: skip
def test_servers_with_lists_get_what_they_know(kind: str, task: str, more: dict[str, Any]) -> None:
    [server] = [each for each in KINDS if each.name == kind]
    protocol = server.protocols_for(TASKS[task])[0]
    assert body_of(protocol, task, long_text="error") == {**body_of(protocol, task), **more}


@pytest.mark.parametrize("task", ["feature-extraction", "sentence-similarity", "text-ranking", "text-classification"])
def test_a_server_that_cannot_refuse_is_not_asked(service: Service, task: str) -> None:
    engine = {"endpoint": service.url, "protocol": "infinity"}
    words = "infinity cuts long texts in any case: long_text = 'error' has no effect. Leave long_text out, or set it to"
    frame = pd.DataFrame({"t": ["one", "two"], "u": ["three", "four"]})
    out = predict(frame, using(task, long_text="error", on_error="null"), engine)
    assert all(words in error for error in out["y_error"])
    assert service.asked == []
    settings = engine_settings(engine)
    with pytest.raises(InputError, match="infinity cuts long texts in any case: long_text = 'error'"):
        discovery.discover(settings, model_settings(using(task, long_text="error"), settings), default_session().http)


@pytest.mark.parametrize("task", ["feature-extraction", "text-ranking"])
def test_nobody_is_asked_what_it_is_for_the_sake_of_long_texts(task: str) -> None:
    path = "/embeddings" if task == "feature-extraction" else "/v1/rerank"
    engine = engine_settings({"endpoint": f"https://host.example{path}"})
    assert resolve_route(engine, model_settings(using(task), engine)).info_paths == ()


def test_hugging_faces_toolkit_refuses_what_it_cannot_keep(service: Service) -> None:
    """Its functions get ``inputs`` as arguments, and read no parameters: it would cut, and say nothing."""

    def answer(body: Any, *_: Any) -> Any:
        unknown = set(body["inputs"]) - {"source_sentence", "sentences", "query", "texts"}
        if unknown:
            return Reply({"error": f"SentenceSimilarityPipeline.__call__() got an unexpected keyword argument '{min(unknown)}'"}, 400)  # fmt: skip
        return {"similarities": [0.5 for _ in body["inputs"]["sentences"]]}

    service.answer = answer
    frame = pd.DataFrame({"t": ["one"] * 4, "u": ["two", "three", "four", "five"]})
    engine = {"endpoint": f"{service.url}/models"}
    assert list(predict(frame, using("sentence-similarity"), engine)["y"]) == [0.5] * 4
    for task in ("sentence-similarity", "text-ranking"):
        with pytest.raises(
            InferenceError, match=r"cuts long texts in any case\. If you gave long_text = 'error', leave"
        ):
            predict(frame, using(task, long_text="error"), engine)


LIMIT_CHARS = 40
LONG = "a text that is longer than this server reads, by far"
SHORT = [f"text {number}" for number in range(40)]


def cutting(body: Any, _headers: Any, _path: str) -> Any:
    """Text Embeddings Inference with ``--auto-truncate``: a vector of the characters that it has read."""
    inputs = body["inputs"]
    texts = [inputs] if isinstance(inputs, str) else inputs
    if body.get("truncate") is False and (longest := max(map(len, texts))) > LIMIT_CHARS:
        told = f"Input validation error: `inputs` must have less than {LIMIT_CHARS} tokens. Given: {longest}"
        return Reply({"error": told, "error_type": "Validation"}, 413)
    return [[float(sum(map(ord, text[:LIMIT_CHARS]))), 1.0] for text in texts]


@pytest.fixture
def server(service: Service) -> Service:
    service.answer = cutting
    service.info = {"model_id": "m", "model_type": {"embedding": {}}, "max_client_batch_size": 32}
    return service


def vector_of(text: str) -> list[float]:
    return [float(sum(map(ord, text))), 1.0]


@pytest.mark.parametrize("at", [0, 17, 40])
def test_one_long_text_costs_its_row_and_no_other(server: Service, at: int) -> None:
    texts = [*SHORT[:at], LONG, *SHORT[at:]]
    out = predict(pd.DataFrame({"t": texts}), using("feature-extraction", long_text="error"), {"endpoint": server.url})
    for row, text in enumerate(texts):
        if row != at:
            assert (list(out["y"][row]), out["y_error"][row]) == (vector_of(text), None)
    assert out["y"][at] is None
    advice = "Leave long_text = 'error' out, and it is asked in parts"
    assert out["y_error"][at].endswith(f"must have less than 40 tokens. Given: {len(LONG)}. {advice}")
    assert len(server.asked) < 20


def test_what_may_have_been_cut_is_not_taken_from_the_store(server: Service) -> None:
    frame, engine = pd.DataFrame({"t": [LONG, *SHORT[:3]]}), {"endpoint": server.url}
    assert list(predict(frame, using("feature-extraction"), engine)["y"][0]) == vector_of(LONG[:LIMIT_CHARS])
    for _ in range(2):
        out = predict(frame, using("feature-extraction", long_text="error", on_error="null"), engine)
        assert out["y"][0] is None and "must have less than" in out["y_error"][0]
        assert [list(vector) for vector in out["y"][1:]] == [vector_of(text) for text in SHORT[:3]]
    assert out.attrs["usage"]["stored"] == 3
