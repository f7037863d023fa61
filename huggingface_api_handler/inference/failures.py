"""Every way an inference request can fail, and what each way calls for, decided in one place.

The table of kinds is in ``docs/architecture.md``; ``tests/recorded/errors.jsonl`` holds real refusals.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeGuard

from ..redaction import redact
from .transport.rate_limit_headers import MAX_WAIT_S
from .transport.rate_limit_headers import retry_after as announced_wait


class FailureKind(str, Enum):
    """What a failure calls for. People read the values in ``<target>_error``, so they are public."""

    RATE_LIMITED = "rate limited"  # a pause for every request of the route; no attempt of the row is counted
    TRANSIENT = "temporary failure"  # sent again after a backoff, a bounded number of times
    BATCH_REJECTED = "rejected batch"  # one of its inputs, or its size: it is split
    BATCH_UNSUPPORTED = "batches not supported"  # this route takes one input in a request
    INPUT_REJECTED = "rejected input"  # for good
    FATAL = "query stopped"  # no row can be answered
    NOT_SENT = "not sent"  # the query ended first: its budget, its time, or the person


def rejection(batch: int) -> FailureKind:
    """The kind of a refusal of a request that carried ``batch`` inputs."""
    return FailureKind.BATCH_REJECTED if batch > 1 else FailureKind.INPUT_REJECTED


@dataclass(frozen=True)
class Failure:
    """One failed request. ``message`` is kept without keys and passwords.

    ``retry_after`` is in seconds, None where the server announced nothing. ``status`` is None where no
    response came. ``estimated`` marks a ``retry_after`` that the server only guessed (a loading model);
    ``unreachable`` a host that no connection could be made to.
    """

    kind: FailureKind
    message: str
    status: int | None = None
    retry_after: float | None = None
    estimated: bool = False
    unreachable: bool = False
    attempts: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", redact(self.message))

    @property
    def reason(self) -> str:
        """The text of ``<target>_error``: kind, status, what the server said, attempts."""
        status = f" {self.status}" if self.status else ""
        tries = f" (after {self.attempts} attempts)" if self.attempts > 1 else ""
        return f"{self.kind.value}{status}: {self.message}{tries}"


_ADVICE = {
    401: "The key was not accepted. Give a valid one to CREATE ML_ENGINE (api_key or api_key_env), or set HF_TOKEN; "
    "keys are made at https://huggingface.co/settings/tokens",
    402: "The account's included inference credits are used up. Add credits, or set bill_to to an organisation "
    "that has them",
    403: "The key may not do this. It needs the permission 'Make calls to Inference Providers', and access to the "
    "model where that is gated",
    404: "Check the name of the model, that this provider serves it, and the endpoint's path",
    405: "This address does not take inference requests. Check the endpoint",
    410: "This address is gone. Check the endpoint and the model",
}

_LOADING = re.compile(r"\bloading\b|\bcurrently starting\b|\bscaled to zero\b|\binitiali[sz]ing\b", re.I)
_LOG_IN = re.compile(r"log ?in|access token|authenticat", re.I)
_UNSUPPORTED = re.compile(r"not supported by provider|no longer supported|does not exist|model .*not found", re.I)
_OVERLOADED = re.compile(r"overload|too many|too busy|\bbusy\b|throttl|capacity|exhausted|rate.?limit", re.I)
_NO_LISTS = re.compile(
    r"valid string|expected (a )?str|must be (a |of type )?str|str type expected"
    r"|lists? (is|are) not (supported|allowed)|invalid type: sequence, expected",
    re.I,
)
_HTML_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.I | re.S)
_LONGEST_MESSAGE = 500


def classify_response(
    status: int, headers: Mapping[str, str], body: bytes, *, batch: int = 1, wait_for_model: bool = True
) -> Failure:
    """Say what a response that carries no answer calls for.

    ``batch`` is the number of inputs the request carried. ``headers`` must look names up without regard to case,
    as aiohttp's do.
    """
    message, answer = _message(body)
    retry_after = announced_wait(headers)
    failure = Failure(FailureKind.FATAL, message or f"HTTP {status} with no explanation", status, retry_after)

    if 300 <= status < 400:
        where = _host(headers.get("Location", ""))
        text = f"the server redirects{where}; redirects are not followed, since they could carry the key away. "
        return replace(failure, message=text + "Give the final address as endpoint")
    if status == 429:
        if retry_after is None and _LOG_IN.search(message):
            return replace(failure, message=f"{message}. {_ADVICE[401]}")
        return replace(failure, kind=FailureKind.RATE_LIMITED)
    if status == 503:
        return _unavailable(failure, answer, wait_for_model)
    if status in _ADVICE:
        return replace(failure, message=f"{message.rstrip('.')}. {_ADVICE[status]}" if message else _ADVICE[status])
    if status in (408, 425) or status >= 500:
        return replace(failure, kind=FailureKind.TRANSIENT if retry_after is None else FailureKind.RATE_LIMITED)
    if _UNSUPPORTED.search(message) and not message.startswith("Error in"):
        return failure
    if batch > 1:
        unsupported = _NO_LISTS.search(message)
        return replace(failure, kind=FailureKind.BATCH_UNSUPPORTED if unsupported else FailureKind.BATCH_REJECTED)
    return replace(failure, kind=FailureKind.INPUT_REJECTED)


def classify_exception(error: BaseException, *, host: str) -> Failure:
    """Say what a request that brought no response calls for. Only the error's class and the host are told:

    the texts of HTTP libraries' errors can hold whole URLs and headers.
    """
    name = type(error).__name__
    if "ConnectionTimeout" in name or "DNS" in name:
        return Failure(
            FailureKind.TRANSIENT, f"cannot reach {host} (no connection in time). Check the address", unreachable=True
        )
    if "Proxy" in name:
        text = f"the proxy on the way to {host} let no request through ({name}). Check HTTPS_PROXY and HTTP_PROXY"
        return Failure(FailureKind.TRANSIENT, text)
    if isinstance(error, TimeoutError) or "Timeout" in name:
        return Failure(
            FailureKind.TRANSIENT,
            f"no answer from {host} in time. Raise timeout in CREATE ML_ENGINE if it needs longer",
        )
    if "Connector" in name and "ServerDisconnected" not in name:
        text = f"cannot reach {host} ({name}). Check that it runs and that this machine can reach it"
        return Failure(FailureKind.TRANSIENT, text, unreachable=True)
    return Failure(FailureKind.TRANSIENT, f"the connection to {host} broke ({name})")


def error_in_answer(answer: Any, *, batch: int = 1) -> Failure | None:
    """A 200 whose body is an error all the same (`{"error": ...}`), or None where it is an answer."""
    if (
        isinstance(answer, dict)
        and "error" in answer
        and not (answer.keys() - {"error", "error_type", "warnings", "status"})
    ):
        return Failure(rejection(batch), _text_of(answer["error"]), 200)
    return None


def _unavailable(failure: Failure, answer: Any, wait_for_model: bool) -> Failure:
    estimate = answer.get("estimated_time") if isinstance(answer, dict) else None
    loading = estimate is not None or bool(_LOADING.search(failure.message))
    if not loading:
        told_to_wait = failure.retry_after is not None or _OVERLOADED.search(failure.message)
        return replace(failure, kind=FailureKind.RATE_LIMITED if told_to_wait else FailureKind.TRANSIENT)
    if not wait_for_model:
        seconds = f" It expects to need {estimate:.0f} seconds." if _believable(estimate) else ""
        return replace(failure, message=f"{failure.message}.{seconds} Try again shortly, or let wait_for_model be true")
    failure = replace(failure, kind=FailureKind.RATE_LIMITED)
    if failure.retry_after is None and _believable(estimate):
        return replace(failure, retry_after=float(estimate), estimated=True)
    return failure


def _believable(estimate: Any) -> TypeGuard[float]:
    """Whether ``estimated_time``, which may be any JSON, is a number of seconds."""
    number = isinstance(estimate, (int, float)) and not isinstance(estimate, bool)
    return number and 0 < estimate <= MAX_WAIT_S


def _message(body: bytes) -> tuple[str, Any]:
    """What the server said, in a line, and its body as JSON where it is JSON."""
    text = redact(body[:30_000].decode("utf-8", "replace")).strip()[:20_000]
    try:
        answer = json.loads(body[:1_000_000])
    except (ValueError, RecursionError):
        title = _HTML_TITLE.search(text)
        if text[:1] == "<":
            text = f"a web page instead of an answer ({' '.join(title.group(1).split()) if title else 'HTML'})"
        return _shorten(text), None
    return _text_of(answer), answer


def _text_of(value: Any) -> str:
    if isinstance(value, dict):
        inner = next((value[key] for key in ("error", "message", "detail", "title") if value.get(key)), None)
        return _text_of(inner) if inner is not None else _shorten(json.dumps(value))
    if isinstance(value, list):
        return _shorten("; ".join(_text_of(item) for item in value[:10]))
    return _shorten(str(value))


def _shorten(text: str) -> str:
    text = " ".join(redact(text).split())  # before it is cut, since half a key would not be known as one
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"


def _host(location: str) -> str:
    match = re.match(r"https?://([^/@?#]+)(?:[/?#]|$)", location)
    return f" to {match.group(1)}" if match else ""
