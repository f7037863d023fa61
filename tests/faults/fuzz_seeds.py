"""What the fuzzing of parsers begins with: inputs of the right form, and the words that decide which way they go."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_api_handler.config.settings import EngineSettings, ModelSettings
from huggingface_api_handler.select_statement import ROW_ID
from huggingface_api_handler.tasks import TASKS

RECORDED = Path(__file__).parents[1] / "recorded"
MAX_BYTES = {"answers": 4096, "protocols": 4096, "addresses": 300, "statements": 600}
"""Bytes of one input: of an address or a statement, more of the same only takes longer."""

HOSTS = ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "localhost", "169.254.169.254", "0x7f.1", "2130706433", "example.com",
         "huggingface.co", "router.huggingface.co", "a.endpoints.huggingface.cloud", "xn--9hb.example", "\u0661.example",
         "[64:ff9b::7f00:1]", "[fe80::1%25eth0]", "user:password@example.com", "example.com:0", "example.com:99999"]  # fmt: skip
PATHS = ["", "/", "/models", "/models/a/b", "/../admin", "/%2e%2e/x", "//x", "/v1?key=1", "#x", "/a\\b", "/\r\nX: y"]
CELLS = ["a text", "1", "0", "true", "null", "", "0.5", "[1]", '{"a": 1}', "-1", "1e400", "none", "auto", "mean"]

FLOATS = base64.b64encode(struct.pack("<3f", 0.5, 0.25, 1.0)).decode()
OPENAI_ANSWERS: dict[str, list[Any]] = {
    "openai-embeddings": [{"data": [{"index": at, "embedding": form} for at in range(count)], "usage": {"total_tokens": 5}}
                          for form in ([0.5, 0.25, 1.0], FLOATS) for count in range(1, 5)],
    "rerank": [{"results": [{"index": at, "relevance_score": at / 8} for at in reversed(range(count))]} for count in range(1, 4)],
    "vllm-classify": [{"data": [{"index": at, "label": "P", "probs": [0.75, 0.25], "num_classes": 2} for at in range(count)]}
                      for count in range(1, 4)],
    "vllm-score": [{"data": [{"index": at, "object": "score", "score": at / 8} for at in range(count)]} for count in range(1, 4)],
    "vllm-pooling": [{"data": [{"index": at, "data": [[0.5, at], [1, 2]]} for at in range(count)]} for count in range(1, 4)],
    "infinity-classify": [{"data": [[{"label": "P", "score": 0.75}, {"label": "N", "score": 0.25}]] * count} for count in range(1, 4)],
    "openai-completions": [{"object": "text_completion", "choices": [{"index": 0, "text": " was a king", "finish_reason": "length"}],
                            "usage": {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}}],
    "openai-transcriptions": [{"text": "one two", "segments": [{"id": 0, "start": 0.0, "end": 1.5, "text": "one two"}],
                               "usage": {"type": "duration", "seconds": 2}}],
    "openai-speech": [{"audio": base64.b64encode(b"fLaC\0\0\0\"").decode(), "content_type": "audio/flac"}],
    "openai-images": [{"created": 1, "data": [{"b64_json": base64.b64encode(b"\x89PNG\r\n\x1a\n").decode(), "revised_prompt": "a cat"}]}],
}  # fmt: skip
"""Right answers by protocol."""


def seeds(target: str) -> Iterator[bytes]:
    """Inputs to begin with.

    Args:
        target: ``answers``, ``protocols``, ``addresses`` or ``statements``.

    Yields:
        One input each.
    """
    if target == "answers":
        for number, line in enumerate(
            line for file in sorted(RECORDED.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()
        ):
            reply = json.loads(line)["response"]
            if isinstance(reply, dict) and "json" in reply and len(line) < MAX_BYTES[target]:
                yield bytes([number % 256, 0, 0]) + json.dumps(reply["json"]).encode()
    elif target == "protocols":
        bodies = [answer for answers in OPENAI_ANSWERS.values() for answer in answers]
        for number in range(256):
            body = bodies[number % len(bodies)]
            items = next((body[key] for key in ("data", "results", "choices") if key in body), [body])
            yield bytes([number, 0, len(items) - 1]) + json.dumps(body).encode()
    elif target == "addresses":
        for scheme in ("https", "http", "ftp", "HTTPS"):
            yield from (f"{scheme}://{host}{path}".encode() for host in HOSTS for path in PATHS[:4])
        yield from (f"https://{HOSTS[0]}{path}".encode() for path in PATHS)
    else:
        for number, name in enumerate(_arguments()):
            cell = CELLS[number % len(CELLS)]
            yield f"{name}\0{cell}".encode()
            yield f"c\0{ROW_ID}\0{name}\0y\0{cell}".encode()


def words(target: str) -> list[str]:
    """Words of libFuzzer's dictionary.

    Args:
        target: As of ``seeds``.

    Returns:
        The words.
    """
    if target in ("answers", "protocols"):
        keys = ["error", "message", "detail", "msg", "loc", "label", "score", "labels", "scores", "choices", "content",
                "generated_text", "summary_text", "translation_text", "sequence", "token_str", "answer", "start", "end",
                "entity_group", "word", "box", "mask", "blob", "content-type", "image", "text", "index", "usage",
                "data", "embedding", "results", "relevance_score", "probs", "num_classes"]  # fmt: skip
        return [f'"{key}":' for key in keys] + [
            "[[",
            "]]",
            "[{",
            "}]",
            "null",
            "1e400",
            "\\u0000",
            "\\ud800",
            "data:",
            FLOATS,
        ]
    if target == "addresses":
        return [*HOSTS, *PATHS[1:], "://", "@", "%00", "\u202e", "\u3002", "[::"]
    return [
        *_arguments(),
        *CELLS,
        ROW_ID,
        "\0",
        "y_error",
        "y_confidence",
        "y_explain",
        "m.`c`",
        "`",
        "{{c}}",
        "_column",
    ]


def dictionary(target: str) -> str:
    """The words as libFuzzer's ``-dict`` reads them.

    Args:
        target: As of ``seeds``.

    Returns:
        The text of the file.

    >>> dictionary("addresses").splitlines()[0]
    '"\\\\x31\\\\x32\\\\x37\\\\x2e\\\\x30\\\\x2e\\\\x30\\\\x2e\\\\x31"'
    """
    lines = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in words(target) if word)
    return "".join(f'"{line}"\n' for line in lines)


def _arguments() -> list[str]:
    return sorted({*ModelSettings.model_fields, *EngineSettings.model_fields, *TASKS["chat-completion"].more_parameters,
                   "temperature", "max_new_tokens", "top_k", "parameters", "batch_size", "partition_size"})  # fmt: skip
