"""Any bytes for an answer: no exception but ours, no row without an answer or a reason, none with another's answer.

``python -m tests.faults.fuzz_answers SECONDS [results.json]``. The service is a function in this process that takes the
place of ``transport.post``. Seeds are the recordings in ``tests/recorded``; what failed is kept in ``.hypothesis`` and tried first
the next time.
"""

from __future__ import annotations

import base64
import json
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.clock import real, skip_waits

if __name__ == "__main__":
    skip_waits()

import aiohttp
import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from huggingface_api_handler.errors import HuggingFaceAPIError, InferenceError, InputError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.protocols import servers
from huggingface_api_handler.inference.protocols.infinity import InfinityClassify
from huggingface_api_handler.inference.protocols.openai_embeddings import OpenAIEmbeddings
from huggingface_api_handler.inference.protocols.rerank import Rerank
from huggingface_api_handler.inference.protocols.vllm import VllmClassify, VllmPooling, VllmScore
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.inference.transport import client, large_bodies
from huggingface_api_handler.tasks import TASKS
from tests.faults.fuzz_seeds import FLOATS, OPENAI_ANSWERS
from tests.faults.plan import fraction

RECORDED = Path(__file__).parents[1] / "recorded"
ROUND = 250
MOST_POSTS = 300
"""After so many requests of one query the model is gone: "wait, 0 seconds" without end would else be asked for minutes."""
often = settings(
    max_examples=ROUND,
    deadline=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
executions: Counter[str] = Counter()
posts: Counter[str] = Counter()

# --- any answer at all, to any task ---------------------------------------------------------------------------------


def _png(shade: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes([0, shade]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


CELLS: dict[str, list[Any]] = {
    "text": ["one", "two words", "three words here"],
    "labels": [["a", "b"], ["a", "b"], ["a", "c"]],
    "image": [_png(number) for number in range(3)],
    "audio": [b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes([number]) * 40 for number in range(3)],
    "video": [b"\x00\x00\x00\x18ftypmp42" + bytes([number]) * 40 for number in range(3)],
    "table": ['{"a": ["1", "2"]}'] * 3,
}


def recorded_answers() -> dict[str, list[Any]]:
    """Real answers of the service by task, as JSON; those that are media or text are left to the junk below."""
    answers: dict[str, list[Any]] = {}
    for file in sorted(RECORDED.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            response = json.loads(line)["response"]
            if isinstance(response, dict) and "json" in response and len(line) < 20_000:
                answers.setdefault(file.stem.removesuffix("-parse-test"), []).append(response["json"])
    return answers


SPOKEN = {
    protocol.name: protocol
    for protocol in (
        *(each for kind in servers.KINDS for each in kind.protocols),
        *(OpenAIEmbeddings(), Rerank(), VllmClassify(), VllmScore(), VllmPooling(), InfinityClassify()),
    )
}
KINDS: Any = tuple(servers.ServerKind(name, (protocol,)) for name, protocol in SPOKEN.items())
"""A kind of server for each protocol, so that each task is asked in all that it can be asked in."""


class Target(NamedTuple):
    """A task, and the protocol that it is asked in: that of an address of many models where none is named."""

    task: str
    protocol: str = ""


TARGETS = [
    *map(Target, sorted(TASKS)),
    *(Target(task, name) for name in sorted(SPOKEN) for task in sorted(TASKS) if SPOKEN[name].supports(TASKS[task])),
]
ANSWERS = recorded_answers()
EVERY_ANSWER = [answer for answers in ANSWERS.values() for answer in answers]
NAMES = sorted({"label", "score", "labels", "scores", "error", "word", "answer", "start", "end", "box", "mask", "text",
                "choices", "message", "content", "generated_text", "summary_text", "translation_text", "sequence", "token_str",
                "entity_group", "cells", "coordinates", "aggregator", "blob", "estimated_time", "usage", "chunks",
                "data", "index", "embedding", "results", "relevance_score", "probs", "num_classes"})  # fmt: skip
ODD: list[Any] = [None, True, False, 0, -1, 7, 0.5, 1e308, -1e-320, float("nan"), float("inf"), 10**400, 2**63, "", " ", "a", "NaN", "\x00",
       "\ud800", "\U0001f600" * 3, "=cmd()", "x" * 5000, FLOATS, FLOATS[1:], [], {}, [[]], [{}], [None], [[[[[]]]]], {"error": "boom"}, {"": ""}]  # fmt: skip
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(ODD) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)


def edited(draw: st.DrawFn, value: Any) -> Any:
    """``value`` with one thing changed, at the top or somewhere within."""
    if isinstance(value, (list, dict)) and value and draw(st.integers(0, 3)):
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = draw(st.sampled_from(keys))
        items: Any = dict(value) if isinstance(value, dict) else list(value)
        how = draw(st.integers(0, 4))
        if how == 0:
            del items[key]
        elif how == 1 and isinstance(items, list):
            items.insert(key, items[key])
        else:
            items[key] = edited(draw, items[key])
        return items
    how = draw(st.integers(0, 3))
    if how == 0:
        return [value]
    if how == 1 and isinstance(value, list) and len(value) == 1:
        return value[0]
    if how == 2:
        return {draw(st.sampled_from(NAMES)): value}
    return draw(JUNK)


def garbled(draw: st.DrawFn, body: bytes) -> bytes:
    """``body`` cut, or with a byte changed, or as it is."""
    how = draw(st.integers(0, 5))
    at = draw(st.integers(0, max(0, len(body) - 1)))
    if how == 0:
        return body[:at]
    if how == 1:
        return body[:at] + draw(st.binary(min_size=1, max_size=3)) + body[at + 1 :]
    return body


@st.composite
def bodies(draw: st.DrawFn, target: Target) -> bytes:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([b"", b"[" * 50_000, b'{"a":' * 50_000, b"9" * 5000, b"<html><title>x</title>", b"\x89PNG\r\n"])
                    | st.binary(max_size=30))  # fmt: skip
    if draw(st.integers(0, 9)) == 0:
        message = draw(st.sampled_from(["Model m is currently loading", "boom", "", "log in"]) | JUNK)
        return json.dumps({"error": message, "estimated_time": draw(st.sampled_from(ODD))}).encode(
            "utf-8", "surrogatepass"
        )
    own = OPENAI_ANSWERS.get(target.protocol) or ANSWERS.get(target.task, EVERY_ANSWER)
    answer = draw(st.sampled_from(own) | st.sampled_from(EVERY_ANSWER) | JUNK)
    for _ in range(draw(st.integers(0, 3))):
        answer = edited(draw, answer)
    return garbled(draw, json.dumps(answer).encode("utf-8", "surrogatepass"))


MAY_FIND_NONE = ("visual-question-answering", "document-question-answering")
"""By their specification a score may come without an answer: the model found none, and says how sure it is."""

HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "RateLimit", "Content-Type", "Location", "x-compute-time", "x-compute-characters"]),
    st.sampled_from(["", "0", "-1", "3", "1e12", "nan", "inf", "soon", "Mon, 31 Feb 99999 00:00:00 GMT", '"a";r=0;t=9',
                     "Thu, 01 Jan 1970 00:00:00 GMT", "image/png", "audio/flac", "application/json", "text/html", "9" * 400,
                     "http://169.254.169.254/"]),
    max_size=3,
)  # fmt: skip
STATUSES = st.sampled_from(
    [200] * 12
    + [204, 301, 307, 400, 401, 404, 408, 413, 418, 422, 424, 429, 429, 500, 502, 503, 503, 503, 504, 599, 999]
)
BREAKS = st.sampled_from([TimeoutError(), aiohttp.ServerDisconnectedError(), aiohttp.ClientPayloadError("https://u:hf_secret@h"),
                          ConnectionResetError("hf_secret"), large_bodies.ResponseTooLarge(), ValueError("hf_secret"), OSError(5, "x")])  # fmt: skip

Reply = client.Response | Exception


@st.composite
def replies(draw: st.DrawFn, target: Target) -> list[Reply]:
    reply = st.builds(client.Response, STATUSES, HEADERS.map(CIMultiDict), bodies(target))
    return draw(st.lists(reply | reply | reply | BREAKS, min_size=1, max_size=6))


def frame_of(task: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Three rows for ``task``, and the USING clause that names their columns."""
    using: dict[str, Any] = {"task": task, "target": "y", "model": "m"}
    columns: dict[str, Any] = {"unused": [1, 2, 3]}
    definition = TASKS[task]
    for number, column in enumerate(definition.columns):
        if column.data_type in ("whole table", "messages", "fields") or column.argument == "candidate_labels_column":
            continue
        if column.data_type == "values":
            columns |= {"a": [1, 2, 3], "b": ["x", "y", "z"]}
            using[column.argument] = ["a", "b"]
            continue
        columns[f"c{number}"] = CELLS[column.data_type]
        using[column.argument] = f"c{number}"
    if definition.required_parameters:
        using["candidate_labels"] = ["a", "b"]
    return pd.DataFrame(columns), using


def through(
    target: Target, frame: pd.DataFrame, using: dict[str, Any], answer: Callable[[bytes], Reply]
) -> pd.DataFrame | None:
    """``predict`` on a service that is ``answer``; None where it raised one of the errors that are for the person."""

    remaining = MOST_POSTS

    async def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> client.Response:
        nonlocal remaining
        posts[" ".join(target)] += 1
        remaining -= 1
        reply = answer(body) if remaining > 0 else client.Response(404, CIMultiDict(), b"")
        if isinstance(reply, Exception):
            raise reply
        return reply

    default_session().http.post = post  # type: ignore[method-assign]
    # A route that nothing is known of, and no answer of the query before.
    engine = {
        "endpoint": f"http://127.0.0.1:9/{sum(executions.values())}{'' if target.protocol else '/models'}",
        **({"protocol": target.protocol} if target.protocol else {}),
        "api_key": "hf_secret",
        "cache": False,
    }
    try:
        out = predict(frame, using, engine)
    except (InputError, InferenceError) as error:
        assert "hf_secret" not in str(error)
        return None
    except HuggingFaceAPIError as error:
        raise AssertionError(f"an error that is not for the person: {error!r}") from error
    assert list(out.index) == list(frame.index)
    for value, reason, score in zip(out["y"], out["y_error"], out.get("y_confidence", out["y"]), strict=True):
        found_none = target.task in MAY_FIND_NONE and not pd.isna(score)
        assert value is not None or reason is not None or found_none, "a row without an answer or a reason"
        assert reason is None or ("hf_secret" not in reason and value is None)
    return out


@often
@given(st.sampled_from(TARGETS), st.data())
def any_answer(target: Target, data: st.DataObject) -> None:
    script = data.draw(replies(target))
    executions["any answer"] += 1
    frame, using = frame_of(target.task)
    turn = iter(range(10**9))
    through(target, frame, using, lambda body: script[next(turn) % len(script)])


# --- answers that are right but for their shape: nobody may get another's -------------------------------------------

TEXTS = [f"text {number} " + "long " * (number % 5) for number in range(20)]
RIGHT: dict[str, Callable[[str], Any]] = {
    "text-classification": lambda text: [{"label": "P", "score": fraction(text)}, {"label": "N", "score": 1 - fraction(text)}],
    "summarization": lambda text: {"summary_text": f"about {text}"},
    "translation": lambda text: {"translation_text": f"about {text}"},
    "feature-extraction": lambda text: [fraction(text), 0.5, 0.25],
    "token-classification": lambda text: [{"entity_group": "PER", "word": f"about {text}", "score": 0.5, "start": 0, "end": 4}],
    "fill-mask": lambda text: [{"sequence": f"about {text}", "score": fraction(text), "token": 1, "token_str": "a"}],
}  # fmt: skip


class Form(NamedTuple):
    """How a protocol asks for texts, and answers one text at a place in the list, and all."""

    task: str
    asked: str
    item: Callable[[str, int], Any]
    whole: Callable[[Any], Any] = lambda items: {"data": items, "usage": {"total_tokens": 5}}


def _as_base64(text: str, at: int) -> Any:
    return {"index": at, "embedding": base64.b64encode(struct.pack("<2f", fraction(text), 0.5)).decode()}


FORMS: dict[str, list[Form]] = {
    "openai-embeddings": [
        Form("feature-extraction", "input", lambda text, at: {"index": at, "embedding": [fraction(text), 0.5]}),
        Form("feature-extraction", "input", _as_base64),
    ],
    "rerank": [
        Form("text-ranking", "documents", lambda text, at: {"index": at, "relevance_score": fraction(text)}, lambda items: {"results": items}),
        Form("text-ranking", "documents", lambda text, at: {"index": at, "score": fraction(text)}, lambda items: items),
    ],
    "vllm-classify": [
        Form("text-classification", "input", lambda text, at: {"index": at, "label": "P", "probs": [fraction(text), 1 - fraction(text)]})
    ],
    "vllm-score": [Form("text-ranking", "text_2", lambda text, at: {"index": at, "score": fraction(text)})],
    "vllm-pooling": [
        Form("feature-extraction", "input", lambda text, at: {"index": at, "data": [[fraction(text), 0.5], [fraction(text), 0.5]]})
    ],
    "infinity-classify": [Form("text-classification", "input", lambda text, at: RIGHT["text-classification"](text))],
}  # fmt: skip


def _flat(parts: Any) -> Any:
    return [item for part in parts for item in part] if all(isinstance(part, list) for part in parts) else parts


def _without_last(parts: Any) -> Any:
    return parts[:-1] if isinstance(parts, list) else parts


SHAPES: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda parts: parts,
    "without the first": lambda parts: parts[1:] if isinstance(parts, list) else parts,
    "without the last": _without_last,
    "without two": lambda parts: _without_last(_without_last(parts)),
    "first half": lambda parts: parts[: (len(parts) + 1) // 2] if isinstance(parts, list) else parts,
    "first only": lambda parts: parts[:1] if isinstance(parts, list) else parts,
    "first unwrapped": lambda parts: parts[0] if isinstance(parts, list) and parts else parts,
    "one twice": lambda parts: [*parts, parts[-1]] if isinstance(parts, list) and parts else parts,
    "flat": lambda parts: _flat(parts) if isinstance(parts, list) else parts,
    "wrapped": lambda parts: [parts],
    "each wrapped": lambda parts: [[part] for part in parts] if isinstance(parts, list) else parts,
    "under a name": lambda parts: {"outputs": parts},
    "one NULL": lambda parts: [*parts[:-1], None] if isinstance(parts, list) else parts,
    "one empty": lambda parts: [*parts[:-1], []] if isinstance(parts, list) else parts,
    "error": lambda parts: {"error": "boom"},
}
INDEX_SHAPES: dict[str, Callable[[Any], Any]] = {
    "without an index": lambda items: [{key: item[key] for key in item if key != "index"} for item in _objects(items)],
    "one without an index": lambda items: [*items[:-1], *INDEX_SHAPES["without an index"](items[-1:])],
    "all of the first": lambda items: [{**item, "index": 0} for item in _objects(items)],
    "from one": lambda items: [{**item, "index": item.get("index", 0) + 1} for item in _objects(items)],
    "as text": lambda items: [{**item, "index": str(item.get("index"))} for item in _objects(items)],
    "true and false": lambda items: [{**item, "index": bool(item.get("index"))} for item in _objects(items)],
    "the last first": lambda items: items[::-1] if len(_objects(items)) == len(items) else items,
}
"""Of answers whose items tell the index of their input."""


def _objects(items: Any) -> list[Any]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


CHANGES_COUNT = {
    "flat",
    "without the first",
    "without the last",
    "without two",
    "first half",
    "first only",
    "first unwrapped",
    "one twice",
}


@st.composite
def shapes(draw: st.DrawFn) -> list[str]:
    """Shapes to put an answer through. One of them may change the count: of two that undo each other nobody can tell."""
    names = draw(st.lists(st.sampled_from(sorted(SHAPES)), min_size=1, max_size=3))
    changed = [name for name in names if name in CHANGES_COUNT]
    return [name for name in names if name not in changed[1:]]


def marks(value: Any) -> Iterator[Any]:
    """The leaves of ``value``."""
    if isinstance(value, dict):
        value = list(value.values()) + list(value)
    if isinstance(value, list):
        for item in value:
            yield from marks(item)
    else:
        yield value


def of_32_bits(number: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


OWNER = {
    mark: text
    for text in TEXTS
    for mark in (fraction(text), of_32_bits(fraction(text)), 1 - fraction(text), f"about {text}")
}


@often
@given(
    st.sampled_from(sorted(RIGHT)),
    st.integers(0, 8),
    st.lists(shapes(), min_size=1, max_size=5),
    st.booleans(),
    st.data(),
)
def right_but_for_its_shape(task: str, clean: int, script: list[list[str]], bare: bool, data: st.DataObject) -> None:
    executions["right but for its shape"] += 1
    cut = data.draw(st.sampled_from([0, 0, 0, 1, 5]))
    sent = 0

    def answer(body: bytes) -> Reply:
        nonlocal sent
        inputs = json.loads(body)["inputs"]
        texts = inputs if isinstance(inputs, list) else [inputs]
        parts: Any = [RIGHT[task](text) for text in texts]
        if bare and len(texts) == 1:
            parts = parts[0]
        sent += 1
        if sent > clean:
            for name in script[sent % len(script)]:
                parts = SHAPES[name](parts)
        whole = json.dumps(parts).encode()
        return client.Response(200, CIMultiDict(), whole[: len(whole) - cut] if sent > clean else whole)

    using = {"task": task, "target": "y", "model": "m", "column": "text"}
    check_owners(through(Target(task), pd.DataFrame({"text": TEXTS}), using, answer))


@often
@given(
    st.sampled_from([(name, form) for name, forms in FORMS.items() for form in forms]),
    st.integers(0, 8),
    st.lists(shapes(), min_size=1, max_size=5),
    st.sampled_from(["", "", *INDEX_SHAPES]),
    st.data(),
)
def right_but_for_its_indexes(
    spoken: tuple[str, Form], clean: int, script: list[list[str]], indexes: str, data: st.DataObject
) -> None:
    executions["right but for its indexes"] += 1
    (protocol, form), sent = spoken, 0
    cut = data.draw(st.sampled_from([0, 0, 0, 1, 5]))
    # Without an index the order counts, and of fewer items that come again with others nobody can tell.
    script = [["as it is"]] if indexes == "without an index" else script

    def answer(body: bytes) -> Reply:
        nonlocal sent
        items: Any = [form.item(text, at) for at, text in enumerate(json.loads(body)[form.asked])]
        sent += 1
        if sent > clean:
            if indexes and all(isinstance(item, dict) for item in items):
                items = INDEX_SHAPES[indexes](items)
            for name in script[sent % len(script)]:
                items = SHAPES[name](items)
        whole = json.dumps(form.whole(items)).encode()
        return client.Response(200, CIMultiDict(), whole[: len(whole) - cut] if sent > clean else whole)

    using = {"task": form.task, "target": "y", "model": "m", "column": "text"}
    if form.task == "text-ranking":
        using |= {"column": "query", "column2": "text"}
    frame = pd.DataFrame({"text": TEXTS, "query": ["a query"] * len(TEXTS)})
    check_owners(through(Target(form.task, protocol), frame, using, answer))


def check_owners(out: pd.DataFrame | None) -> None:
    """Nobody got another's answer."""
    if out is None:
        return
    explains = out["y_explain"] if "y_explain" in out else [None] * len(out)
    for text, value, explain in zip(TEXTS, out["y"], explains, strict=True):
        owners = {OWNER[mark] for mark in marks([value, explain]) if isinstance(mark, (str, float)) and mark in OWNER}
        assert owners <= {text}, (text, owners, value)


def fuzz(seconds: float) -> dict[str, Any]:
    """Try answers for ``seconds``. Returns what was tried; raises what was found."""
    servers.KINDS = KINDS
    started = real()
    while real() - started < seconds:
        any_answer()
        right_but_for_its_shape()
        right_but_for_its_indexes()
    return {
        "seconds": round(real() - started),
        "executions": dict(executions),
        "requests": sum(posts.values()),
        "tasks": len(posts),
    }


if __name__ == "__main__":
    found = fuzz(float(sys.argv[1]))
    print(f"{sum(found['executions'].values())} executions, {found['requests']} requests, {found['tasks']} tasks")
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(found))
