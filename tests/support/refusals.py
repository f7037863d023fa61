"""What becomes of a response that is no answer, on the way that a query takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from huggingface_api_handler.inference.failures import Failure, classify_error_in_answer, classify_response
from huggingface_api_handler.inference.protocols.server_errors import read_error
from huggingface_api_handler.inference.transport.client import Response


def classify(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    sent: bytes = b"",
    batch_size: int = 1,
    wait_for_model: bool = True,
) -> Failure:
    """The failure that a response is, of a status that means no success."""
    error = read_error(Response(status, headers, body))
    assert error is not None
    said = replace(error, sent=sent)
    return classify_response(status, headers, said, batch_size=batch_size, wait_for_model=wait_for_model)


def error_in(body: bytes, *, batch_size: int = 1) -> Failure | None:
    """The failure that a response that means success is, None where it is none."""
    error = read_error(Response(200, {}, body))
    return None if error is None else classify_error_in_answer(error, {}, batch_size=batch_size)
