"""Every way an inference request can fail, and what to do about it, decided in one place.

``docs/architecture.md`` says when each kind is given; ``tests/recorded/errors.jsonl`` holds real error responses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from ..printable import MAX_MESSAGE_CHARS, printable, shorten
from ..redaction import redact
from ..urls import redirect_target
from .advice import HUGGING_FACE_ADVICE
from .batch_refusals import refuses_batch_size, refuses_lists, stated_max_batch_size
from .echoes import ServerError
from .input_lengths import InputLengths, may_be_too_long, stated_lengths
from .transport.rate_limit_headers import MAX_WAIT_S
from .transport.rate_limit_headers import retry_after as parse_retry_after

_MAX_REDACTED_CHARS = 20_000
"""Characters of a message that are looked at: whoever wrote it may have written megabytes."""


class FailureKind(str, Enum):
    """What to do about a failure. You read the values in ``<target>_error``, so they are public.

    The texts are in Markdown. ``tools/write_reference.py`` makes the table of the pages of them.

    Attributes:
        meaning: What went wrong.
        handling: What is done about it.
        advice: What you can do now.
        in_rows: Whether a row can end with this kind. With the others the request is sent again, whole or in parts,
            and a row that fails in the end has another kind.
        former_word: The value in version 0.1.0, which stored usage still shows.
    """

    _value_: str
    meaning: str
    handling: str
    advice: str
    in_rows: bool
    former_word: str

    def __new__(
        cls, value: str, meaning: str, handling: str, advice: str, in_rows: bool, former_word: str
    ) -> FailureKind:
        """Make the member of ``value``, which is all that it is compared and pickled by."""
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.meaning, kind.handling, kind.advice = meaning, handling, advice
        kind.in_rows, kind.former_word = in_rows, former_word
        return kind

    TRANSIENT = (
        "temporary failure",
        "The server or the network failed, perhaps only for now: a 5xx, a timeout, a broken connection, an answer "
        "that was cut off.",
        "The row was sent 5 times (`max_attempts`), with growing pauses between.",
        "Run the query again. Stored answers are not asked for again.",
        True,
        "again",
    )
    INPUT_REJECTED = (
        "rejected input",
        "The cell cannot be used, the server refused it, the answer to it cannot be read, or the job of a provider for "
        "it was not done within `timeout`.",
        "The row is not sent again. Other rows are not affected.",
        "Correct the cell, or the parameters of the model, as the message says.",
        True,
        "row",
    )
    FATAL = (
        "query stopped",
        "Every row would fail: the key, the account, the model, the address or the request is wrong, or the service "
        "asks to wait for more than 300 s (`max_wait`).",
        "The query stopped. Rows that were answered keep their predictions. If none was, the statement fails with "
        "this message.",
        "Do what the message says, and run the query again.",
        True,
        "stop",
    )
    NOT_SENT = (
        "not sent",
        "The query ended before this row was answered: `max_seconds`, a budget (`max_requests`, `max_usd`, "
        "`max_tokens_total`, `requests_per_hour`, `requests_per_month`, `usd_per_month`) was reached, or it was "
        "cancelled.",
        "Nothing more is sent. Rows that were answered keep their predictions.",
        "Run the query again, with a higher limit or when the limit begins anew. Stored answers are not asked for "
        "again.",
        True,
        "not asked",
    )
    RATE_LIMITED = (
        "rate limited",
        "The service asks to wait: too many requests, or a model that loads.",
        "All requests to the route pause, then the request is sent again. A pause is not counted as an attempt.",
        "Nothing. `max_seconds` bounds the query.",
        False,
        "wait",
    )
    BATCH_REJECTED = (
        "rejected batch",
        "The server refused a request with several inputs, for its size or for one of them.",
        "The inputs are sent again in smaller batches, down to one input.",
        "Nothing.",
        False,
        "smaller",
    )
    BATCH_UNSUPPORTED = (
        "batches not supported",
        "The server takes one input in a request.",
        "The inputs are sent one by one, then and later.",
        "Nothing.",
        False,
        "single",
    )


def rejection_kind(batch_size: int) -> FailureKind:
    """The kind of failure when the server rejects what a request carries.

    Args:
        batch_size: The number of inputs in the request.

    Returns:
        ``BATCH_REJECTED`` for several inputs, since one of them may be at fault, else ``INPUT_REJECTED``.
    """
    return FailureKind.BATCH_REJECTED if batch_size > 1 else FailureKind.INPUT_REJECTED


@dataclass(frozen=True)
class Failure:
    """One failed request.

    Attributes:
        kind: What to do about it.
        message: What went wrong, with keys and passwords redacted, in at most 900 printable characters.
        status: The HTTP status, or None if there was no response.
        retry_after_s: Seconds to wait as the server announced them, or None if it announced nothing.
        is_estimated: Whether ``retry_after_s`` is only the server's guess, as for a loading model.
        is_unreachable: Whether no connection to the host could be made.
        is_timeout: Whether it was given up, since no answer came in time. The server may still work on it.
        attempts: How often the request was sent.
        is_batch_too_large: Whether the server, or a budget, says that the request carried too many inputs.
        stated_max_batch_size: The most inputs in one request, where the server names it.
        input_message: The server's words alone, where the refusal may be of this input only, though most such refusals
            are of every request; else None.
        is_about_input: Whether the server says that something is wrong with the input: its length, its content.
        is_too_long: Whether it says that the input is too long.
        stated_max_tokens: Tokens that one input may have, where the server names them.
        stated_tokens: Tokens that it counted in an input that is too long; of several inputs, in one of them.
        error: What the server says, while it is still to be judged. It holds the request, so it is not kept.
    """

    kind: FailureKind
    message: str
    status: int | None = None
    retry_after_s: float | None = None
    is_estimated: bool = False
    is_unreachable: bool = False
    attempts: int = 1
    is_batch_too_large: bool = False
    stated_max_batch_size: int | None = None
    input_message: str | None = None
    is_about_input: bool = False
    is_too_long: bool = False
    error: ServerError | None = field(default=None, repr=False, compare=False)
    is_timeout: bool = False
    stated_max_tokens: int | None = None
    stated_tokens: int | None = None

    def __post_init__(self) -> None:
        # Cut last, since half a key would not be recognised; before that only what no message needs.
        text = redact(printable(self.message[:_MAX_REDACTED_CHARS]))
        object.__setattr__(self, "message", shorten(text, MAX_MESSAGE_CHARS))

    @property
    def reason(self) -> str:
        """The text of ``<target>_error``: kind, status, what the server said, attempts."""
        status = f" {self.status}" if self.status else ""
        tries = f" (after {self.attempts} attempts)" if self.attempts > 1 else ""
        return f"{self.kind.value}{status}: {self.message}{tries}"

    @property
    def own_words(self) -> str:
        """What the server says, without what it repeats of the request: alike for all that one reason refuses."""
        return self.message if self.error is None else self.error.verdict_text

    def of_input(self, batch_size: int) -> Failure:
        """The refusal, taken for one of an input.

        Args:
            batch_size: The number of inputs in the request.

        Returns:
            A rejection with the server's words alone.
        """
        message = self.message if self.input_message is None else self.input_message
        return replace(self, kind=rejection_kind(batch_size), message=message, input_message=None)

    def without_request(self) -> Failure:
        """The failure as it is kept.

        Returns:
            The same without the request.
        """
        return self if self.error is None else replace(self, error=None)


MAY_BE_OF_ONE_INPUT = (403, 404, 405, 410)
"""Statuses by which gateways refuse what a row says, beside keys, models and addresses."""

_PASSING = (408, 424, 425)  # 424 is a backend's that failed behind TGI or TEI
_PASSING_OR_UNPAID = (402, *_PASSING, 429)

_ABOUT_INPUT = re.compile(
    r"content.?(filter|policy|management)|moderat|flagged|safety|mask.?token"
    r"|too long|too large|(context|sequence|input|prompt).{0,20} (length|limit)|must have less than"
    r"|exceeds?\b.{0,40}(length|tokens)"
    r"|is empty|empty (input|string|text|sequence)|must not be empty",
    re.I,
)
_LOADING = re.compile(r"\bloading\b|\bcurrently starting\b|\bscaled to zero\b|\binitiali[sz]ing\b", re.I)
_LOGIN_REQUIRED = re.compile(r"log ?in|access token|authenticat", re.I)
_UNSUPPORTED = re.compile(r"not supported by provider|no longer supported|does not exist|model .{0,500}not found", re.I)
_SPENT = re.compile(
    r"(insufficient|enough).(quota|balance|credit)|current quota|plan and billing|included credit|spend\w*.limit", re.I
)
_OVERLOADED = re.compile(r"overload|too many|too busy|\bbusy\b|throttl|capacity|exhausted|rate.?limit", re.I)


def classify_response(
    status: int,
    headers: Mapping[str, str],
    error: ServerError,
    *,
    batch_size: int = 1,
    wait_for_model: bool = True,
    advice: Mapping[int, str] = HUGGING_FACE_ADVICE,
) -> Failure:
    """Classify a response whose status means no success.

    Args:
        status: The HTTP status.
        headers: The response headers. Names must be looked up without regard to case, as in aiohttp.
        error: What the server says. Only its own words count, not what they repeat of the request.
        batch_size: The number of inputs in the request.
        wait_for_model: Whether a model that is still loading is waited for. If not, the query stops.
        advice: What to do, by status (see ``advice.advice_for``).

    Returns:
        The failure, with the server's own words, the wait it announced, and advice if there is some.

    >>> failure = classify_response(429, {"Retry-After": "7"}, ServerError("slow down"))
    >>> failure.kind.value, failure.retry_after_s
    ('rate limited', 7.0)
    >>> classify_response(413, {}, ServerError("too many inputs"), batch_size=8).reason
    'rejected batch 413: too many inputs'
    """
    message, retry_after_s = error.message, parse_retry_after(headers)
    words = message or f"HTTP {status} with no explanation"
    failure = Failure(FailureKind.FATAL, words, status, retry_after_s, error=error)
    if batch_size > 1:
        failure = _with_batch_limit(failure, error)

    if 300 <= status < 400:
        target = redirect_target(headers.get("Location", ""))
        text = f"the server redirects{target}; redirects are not followed, since they could carry the key away. "
        return replace(failure, message=text + "Give the final address as endpoint")
    if status in (403, 429) and retry_after_s is None and error.search(_SPENT):
        return replace(failure, message=f"{message.rstrip('.')}. {advice[402]}")
    if status == 429:
        if retry_after_s is None and error.search(_LOGIN_REQUIRED):
            return replace(failure, message=f"{message}. {advice[401]}")
        return replace(failure, kind=FailureKind.RATE_LIMITED)
    if status == 503:
        return _classify_unavailable(failure, error, wait_for_model)
    if status in MAY_BE_OF_ONE_INPUT:
        failure = replace(failure, input_message=words)
    if status in advice:
        return replace(failure, message=f"{message.rstrip('.')}. {advice[status]}" if message else advice[status])
    lengths = stated_lengths(error, batch_size)
    if lengths is None and (status in _PASSING or status >= 500):
        return replace(failure, kind=FailureKind.TRANSIENT if retry_after_s is None else FailureKind.RATE_LIMITED)
    if error.search(_UNSUPPORTED) and not message.startswith("Error in"):
        return replace(failure, input_message=words)
    failure = _with_lengths(failure, error, lengths, batch_size)
    if batch_size > 1 and refuses_lists(error):
        return replace(failure, kind=FailureKind.BATCH_UNSUPPORTED)
    return replace(failure, kind=rejection_kind(batch_size))


def classify_error_in_answer(
    error: ServerError,
    headers: Mapping[str, str],
    *,
    batch_size: int = 1,
    wait_for_model: bool = True,
    advice: Mapping[int, str] = HUGGING_FACE_ADVICE,
) -> Failure:
    """Classify an error that came with a status that means success.

    Args:
        error: What the server says.
        headers: As of ``classify_response``.
        batch_size: The number of inputs in the request.
        wait_for_model: As of ``classify_response``.
        advice: As of ``classify_response``.

    Returns:
        What the request carried was rejected. Where the error says a status that is passing, such as 429 or 502, or
        that the account has no credits, the failure is that of ``classify_response``.

    >>> classify_error_in_answer(ServerError("Provider returned error", status=502), {}).reason
    'temporary failure 502: Provider returned error'
    """
    status = error.status
    if status is not None and (status >= 500 or status in _PASSING_OR_UNPAID):
        return classify_response(
            status, headers, error, batch_size=batch_size, wait_for_model=wait_for_model, advice=advice
        )
    failure = Failure(rejection_kind(batch_size), error.message, status or 200, error=error)
    failure = _with_lengths(failure, error, stated_lengths(error, batch_size), batch_size)
    return _with_batch_limit(failure, error) if batch_size > 1 else failure


def classify_exception(error: BaseException, *, host: str) -> Failure:
    """Classify a request that brought no response.

    The message names only the class of the error and the host: the texts of HTTP libraries' errors can hold whole
    URLs and headers.

    Args:
        error: What the HTTP library raised.
        host: The host, and port if there is one, that the request went to.

    Returns:
        A ``TRANSIENT`` failure. ``is_unreachable`` is set if no connection could be made.
    """
    name = type(error).__name__
    if "ConnectionTimeout" in name or "DNS" in name:
        return Failure(
            FailureKind.TRANSIENT,
            f"cannot reach {host} (no connection in time). Check the address",
            is_unreachable=True,
        )
    if "Proxy" in name:
        text = f"the proxy on the way to {host} let no request through ({name}). Check HTTPS_PROXY and HTTP_PROXY"
        return Failure(FailureKind.TRANSIENT, text)
    if isinstance(error, TimeoutError) or "Timeout" in name:
        return Failure(
            FailureKind.TRANSIENT,
            f"no answer from {host} in time. Raise timeout in CREATE ML_ENGINE if it needs longer",
            is_timeout=True,
        )
    if "Connector" in name and "ServerDisconnected" not in name:
        text = f"cannot reach {host} ({name}). Check that it runs and that this machine can reach it"
        return Failure(FailureKind.TRANSIENT, text, is_unreachable=True)
    return Failure(FailureKind.TRANSIENT, f"the connection to {host} broke ({name})")


def _with_batch_limit(failure: Failure, error: ServerError) -> Failure:
    """The failure of a batch with what the server says of the size of batches."""
    is_of_length = stated_lengths(error) is not None or may_be_too_long(error, None)
    if not refuses_batch_size(error) and (failure.status != 413 or is_of_length):
        return failure
    return replace(failure, is_batch_too_large=True, stated_max_batch_size=stated_max_batch_size(error))


def _with_lengths(failure: Failure, error: ServerError, lengths: InputLengths | None, batch_size: int) -> Failure:
    """The rejection with what the server says of the input and its length."""
    most, tokens = lengths or InputLengths()
    return replace(
        failure,
        is_about_input=lengths is not None or error.search(_ABOUT_INPUT) is not None,
        is_too_long=lengths is not None or may_be_too_long(error, failure.status, batch_size),
        stated_max_tokens=most,
        stated_tokens=tokens,
    )


def _classify_unavailable(failure: Failure, error: ServerError, wait_for_model: bool) -> Failure:
    estimate_s = error.estimated_wait_s
    if estimate_s is None and not error.search(_LOADING):
        should_wait = failure.retry_after_s is not None or error.search(_OVERLOADED)
        return replace(failure, kind=FailureKind.RATE_LIMITED if should_wait else FailureKind.TRANSIENT)
    if estimate_s is not None and not 0 < estimate_s <= MAX_WAIT_S:
        estimate_s = None
    if not wait_for_model:
        seconds = f" It expects to need {estimate_s:.0f} seconds." if estimate_s is not None else ""
        return replace(failure, message=f"{failure.message}.{seconds} Try again shortly, or let wait_for_model be true")
    failure = replace(failure, kind=FailureKind.RATE_LIMITED)
    if failure.retry_after_s is None and estimate_s is not None:
        return replace(failure, retry_after_s=estimate_s, is_estimated=True)
    return failure
