"""How the server refuses: one exception that carries the HTTP answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class HTTPError(Exception):
    """A request that is answered with an error: `status`, and `{"error": error, **more}` as its JSON body."""

    def __init__(self, status: int, error: str | list[str], **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.body: Mapping[str, Any] = {"error": error, **more}


def invalid_field(field: str, problem: str) -> HTTPError:
    """400 in the form of hf-inference: {"error": ["Error in `inputs`: ..."]}."""
    return HTTPError(400, [f"Error in `{field}`: {problem}"])


def batch_too_large(count: int, most: int) -> HTTPError:
    """413 in the words of Text Embeddings Inference (router/src/http/server.rs)."""
    return HTTPError(413, f"batch size {count} > maximum allowed batch size {most}", error_type="Validation")
