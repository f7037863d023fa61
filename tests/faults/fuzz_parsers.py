"""Bytes that are led by coverage, into what reads answers, addresses and statements. It needs the extra ``fuzz``.

``python -m tests.faults.fuzz_parsers answers|protocols|addresses|statements SECONDS [results.json]``. What was found is in the file that atheris
names, ``crash-...``. Where atheris is not installed, this says ``NOT FUZZED`` and tries nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if importlib.util.find_spec("atheris") is None:
    print("NOT FUZZED: pip install '.[fuzz]' brings atheris, for Python 3.11 to 3.13 on Linux")
    raise SystemExit(0)

import atheris
import pandas as pd

with atheris.instrument_imports(include=["huggingface_api_handler"], enable_loader_override=False):
    from huggingface_api_handler import select_statement, urls
    from huggingface_api_handler.config.settings import ModelSettings
    from huggingface_api_handler.config.validation import engine_settings, merge_select_overrides, model_settings
    from huggingface_api_handler.errors import HuggingFaceAPIError, MediaError, UnreadableAnswer
    from huggingface_api_handler.inference.failures import classify_error_in_answer, classify_response
    from huggingface_api_handler.inference.media import ssrf
    from huggingface_api_handler.inference.protocols import codec, server_errors
    from huggingface_api_handler.inference.protocols.base import WireProtocol
    from huggingface_api_handler.inference.protocols.hf_inference import HF_INFERENCE
    from huggingface_api_handler.inference.protocols.servers import KINDS
    from huggingface_api_handler.inference.transport.client import Response
    from huggingface_api_handler.inference.transport.rate_limit_headers import parse_rate_limit, retry_after
    from huggingface_api_handler.tasks import TASKS
    from huggingface_api_handler.tasks.input_types import TextPair
    from tests.faults import fuzz_seeds

ENGINE = engine_settings({"endpoint": "http://127.0.0.1:9"})
NAMES = [
    name
    for name, task in sorted(TASKS.items())
    if [each.argument for each in task.columns if each.required] == ["column"]
]
MODELS = [
    model_settings(
        {"task": name, "column": "c", "target": "y", "model": "m"}
        | ({"candidate_labels": ["a"]} if TASKS[name].required_parameters else {}),
        ENGINE,
    )
    for name in NAMES
    if TASKS[name].check_columns is None
]
PAIR_MODELS = [
    model_settings({"task": name, "column": "c", "column2": "d", "target": "y", "model": "m"}, ENGINE)
    for name in ("sentence-similarity", "text-ranking")
]
SPOKEN = [
    (protocol, model)
    for protocol in {each.name: each for kind in KINDS for each in kind.protocols if each is not HF_INFERENCE}.values()
    for model in (*MODELS, *PAIR_MODELS)
    if protocol.supports(model.definition)
]
USING = {"task": "chat-completion", "target": "y", "model": "m", "prompt_template": "{{text}} {{c}}"}
CHAT = model_settings(USING, ENGINE)
_MAX_COLUMNS = 12
STATUSES = [200, 200, 200, 200, 400, 429, 500, 503]


def answers(data: bytes) -> None:
    """The first bytes choose task, status and number of inputs; the rest is the body, and of it the headers."""
    if len(data) >= 3:
        _answer(HF_INFERENCE, MODELS[data[0] % len(MODELS)], data)


def protocols(data: bytes) -> None:
    """The same of what other servers speak. The first byte chooses protocol and task."""
    if len(data) >= 3:
        _answer(*SPOKEN[data[0] % len(SPOKEN)], data)


def _answer(protocol: WireProtocol, model: ModelSettings, data: bytes) -> None:
    status, count, body = STATUSES[data[1] % len(STATUSES)], 1 + data[2] % 3, data[3:]
    text = body[:60].decode("latin-1")
    headers = {"Retry-After": text, "RateLimit": text, "RateLimit-Policy": text, "Location": text, "x-compute-time": text, "Content-Type": text}  # fmt: skip
    response, task = Response(status, headers, body), model.definition
    parse_rate_limit(headers)
    retry_after(headers)
    if codec.reason_to_refuse(task, response, count):
        return
    error = protocol.error(response)
    if status != 200 and error is not None:
        failure = classify_response(status, headers, error, batch_size=count)
        assert len(failure.reason) <= 1000
        return
    if error is not None:
        classify_error_in_answer(error, batch_size=count)
        return
    item = TextPair("a text", "another") if model in PAIR_MODELS else "a text"
    try:
        decoded = protocol.decode(task, response, count)
        assert len(decoded.parts) == (0 if decoded.unreadable else count)
        for part in decoded.parts:
            task.read(part, item, model)
    except UnreadableAnswer as unreadable:
        assert len(str(unreadable)) <= 1000
    except ValueError:
        server_errors.web_page(body)


def addresses(data: bytes) -> None:
    """Any URL: of media, and of an endpoint."""
    url = data.decode("utf-8", "surrogateescape")
    for text in (url, f"http://{url}", f"https://127.0.0.1{url}"):
        with contextlib.suppress(ValueError):  # of urlsplit, where the text is no URL; whoever calls it says so
            urls.is_secure_url(text)
        for private in (False, True):
            try:
                ssrf.validate_url(text, allow_private=private)
            except MediaError as refused:
                assert len(str(refused)) <= 2500
        with contextlib.suppress(HuggingFaceAPIError):
            engine_settings({"endpoint": text})


def statements(data: bytes) -> None:
    """The frame that MindsDB makes of a SELECT: any names of columns with any cells, and any USING clause."""
    names = data.decode("utf-8", "surrogateescape").split("\x00", _MAX_COLUMNS - 1)  # pandas takes long over many
    for model in (MODELS[data[0] % len(MODELS)] if data else MODELS[0], CHAT):
        frame = pd.DataFrame([names[::-1]] * (1 + len(data) % 2), columns=names)
        try:
            select_statement.input_frame(frame, model)
            select_statement.min_failures(dict.fromkeys(names))
        except HuggingFaceAPIError as refused:
            assert len(str(refused)) <= 2500
    try:
        model_settings(merge_select_overrides(USING, dict(zip(names[::2], names[1::2], strict=False))), ENGINE)
    except HuggingFaceAPIError as refused:
        assert len(str(refused)) <= 2500


TARGETS: dict[str, Callable[[bytes], None]] = {
    "answers": answers,
    "protocols": protocols,
    "addresses": addresses,
    "statements": statements,
}


def main(target: str, seconds: float, out: str | None) -> None:
    """Fuzz until the time is up. atheris ends the process itself."""
    started, executions = time.monotonic(), 0

    def one(data: bytes) -> None:
        nonlocal executions
        executions += 1
        TARGETS[target](data)
        if time.monotonic() - started > seconds:
            found = {"seconds": round(time.monotonic() - started), "executions": {target: executions}}
            print(f"{executions} executions", flush=True)
            if out:
                Path(out).write_text(json.dumps(found))
            os._exit(0)

    folder = Path(tempfile.mkdtemp())
    corpus, dictionary = folder / "corpus", folder / "words.dict"
    corpus.mkdir()
    dictionary.write_text(fuzz_seeds.dictionary(target))
    for number, seed in enumerate(fuzz_seeds.seeds(target)):
        (corpus / str(number)).write_bytes(seed)
    options = [f"-max_len={fuzz_seeds.MAX_BYTES[target]}", f"-dict={dictionary}", "-timeout=10", "-verbosity=0"]
    atheris.Setup([sys.argv[0], str(corpus), *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
