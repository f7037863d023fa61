"""The most that one request may cost, and the most tokens that it may take, before it is sent.

Tokens that are read are bounded by bytes. The tokenizers of language models work on UTF-8: those of GPT-2 and its
successors merge bytes, and those of SentencePiece fall back to single bytes, so that none makes more tokens than there
are bytes (Radford et al., Language Models are Unsupervised Multitask Learners, 2019, section 2.2; Kudo and Richardson,
SentencePiece, 2018). Some bring text to a normal form first, which can be longer
(https://unicode.org/faq/normalization.html#12), so the longest form counts. JSON is never shorter than the text in it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple

import orjson

from ...tasks import Input, Settings, Task
from ...tasks.input_types import Conversation, LabelledText, Repair, media_in
from ...tasks.schemas import parameters_of
from .exact import exact
from .prices import TOKENS_OF_A_PRICE, Price, PriceList

MICRO_DOLLARS = 1_000_000
"""Micro-dollars in a dollar."""

_TOKENS_OF_A_TEMPLATE = 1024
"""What a chat template puts before a conversation. Mistral's put in a system prompt of 600 tokens, where there is none;
what stands around one message is less than JSON has around it."""

_TOKENS_AROUND_AN_INPUT = 64
"""What models without a chat put around an input: special tokens, and the instruction of some embedding models."""

_OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens", "max_new_tokens")
_NESTED = ("generate_parameters", "generation_parameters")
_CANDIDATES = ("n", "best_of", "num_return_sequences")
_LABELS = "candidate_labels"
_MEDIA_TYPES = frozenset({"image", "audio", "video"})

_NO_LIMIT = "nothing says how many tokens an answer may have. Give max_tokens, such as max_tokens = 500"
_OF_MEDIA = "how many tokens media have is not known before they are sent"
_NO_PRICE = "no price is known. Give prices = {'input': ..., 'output': ...} in USD"
_NO_INPUT_PRICE = "prices names no 'input', and the model reads tokens. Give prices = {'input': ..., 'output': ...}"
_NO_OUTPUT_PRICE = "prices names no 'output', and the model writes tokens. Give prices = {'input': ..., 'output': ...}"


class Bound(NamedTuple):
    """The most that something can be.

    Attributes:
        most: In whole tokens or micro-dollars; None where there is no bound.
        unknown: Why there is none, and what would make one; None where there is one.
    """

    most: int | None
    unknown: str | None = None


class TokenBounds(NamedTuple):
    """The tokens of one request.

    Attributes:
        read: The most that the model reads.
        written: The most that it writes, all candidates together.
    """

    read: Bound
    written: Bound

    @property
    def total(self) -> Bound:
        """The most that it reads and writes."""
        if self.read.most is None or self.written.most is None:
            return self.written if self.written.most is None else self.read
        return Bound(self.read.most + self.written.most)


def token_bounds(task: Task, settings: Settings, items: Sequence[Input], data: bytes) -> TokenBounds:
    """The most tokens that one request can take.

    Args:
        task: What is asked for.
        settings: Of the model. Its parameters may limit what is written.
        items: The inputs of the request.
        data: Its body.

    Returns:
        The bounds of what is read and of what is written.
    """
    writes = writes_tokens(task)
    if any(map(_has_media, items)) or any(column.data_type in _MEDIA_TYPES for column in task.columns):
        read = Bound(None, _OF_MEDIA)
    else:
        added = _TOKENS_OF_A_TEMPLATE if writes else _TOKENS_AROUND_AN_INPUT
        # A query is read once with each of its documents, and a text with each of its labels.
        times = max(1, sum(_readings(item, settings) for item in items))
        read = Bound(times * (_longest_form(data) + added))
    if not writes:
        return TokenBounds(read, Bound(0))
    most = _output_limit(settings)
    written = Bound(None, _NO_LIMIT) if most is None else Bound(most * max(1, len(items)) * _candidates(settings))
    return TokenBounds(read, written)


@exact
def usd_bound(prices: PriceList, tokens: TokenBounds, seconds: float) -> Bound:
    """The most that one request can cost.

    Args:
        prices: Of the model.
        tokens: The most tokens that it can take.
        seconds: The longest that a service can compute until nobody waits for it.

    Returns:
        Whole micro-dollars, rounded up: at the dearest of the prices that may have to be paid.

    >>> prices = PriceList(any_provider=Price(input=Decimal("0.5"), output=Decimal(2)))
    >>> usd_bound(prices, TokenBounds(Bound(1001), Bound(200)), 60)
    Bound(most=901, unknown=None)
    """
    bounds = [_at(price, tokens, seconds) for price in prices]
    if not bounds:
        return Bound(None, _NO_PRICE)
    unbounded = next((bound for bound in bounds if bound.most is None), None)
    return unbounded or max(bounds, key=lambda bound: bound.most or 0)


def writes_tokens(task: Task) -> bool:
    """Whether a model writes tokens of its own for a task.

    Args:
        task: What is asked for.

    Returns:
        True where one of the task's parameters limits what is written.
    """
    return not parameters_of(task).keys().isdisjoint((*_OUTPUT_LIMITS, *_NESTED))


def _at(price: Price, tokens: TokenBounds, seconds: float) -> Bound:
    usd = (price.request or Decimal(0)) + (price.second or Decimal(0)) * Decimal(str(seconds))
    dearest_input = max(price.input or Decimal(0), price.cached or Decimal(0))
    if dearest_input or price.output:
        if price.input is None:
            return Bound(None, _NO_INPUT_PRICE)
        if price.output is None and tokens.written.most != 0:
            return Bound(None, _NO_OUTPUT_PRICE)
        for each, unbounded in ((dearest_input, tokens.read), (price.output, tokens.written)):
            if each and unbounded.most is None:
                return unbounded
        of_tokens = dearest_input * (tokens.read.most or 0) + (price.output or 0) * (tokens.written.most or 0)
        usd += of_tokens / TOKENS_OF_A_PRICE
    return Bound(int((usd * MICRO_DOLLARS).to_integral_value(ROUND_CEILING)))


def _longest_form(data: bytes) -> int:
    """Bytes of a body, whatever normal form its text is brought to."""
    if data.isascii():
        return len(data)
    text = data.decode("utf-8", "replace")
    return max(len(data), *(len(unicodedata.normalize(form, text).encode()) for form in ("NFC", "NFKC")))


def _has_media(item: Input) -> bool:
    if isinstance(item, Repair):
        return _has_media(item.prompt)
    if isinstance(item, Conversation):
        contents = [message.get("content") for message in orjson.loads(item.messages)]
        parts = [part for content in contents if isinstance(content, list) for part in content]
        return any(not isinstance(part, dict) or part.get("type") != "text" for part in parts)
    return media_in(item) is not None


def _readings(item: Input, settings: Settings) -> int:
    labels = item.labels if isinstance(item, LabelledText) else settings.parameters.get(_LABELS)
    return max(1, len(labels)) if isinstance(labels, (list, tuple)) else 1


def _output_limit(settings: Settings) -> int | None:
    """The largest of the limits that are given: which of several counts is for the server to say."""
    return max(_whole_numbers(settings, (*_OUTPUT_LIMITS, "max_length")), default=None)


def _candidates(settings: Settings) -> int:
    return max(_whole_numbers(settings, _CANDIDATES), default=1)


def _whole_numbers(settings: Settings, names: Sequence[str]) -> Iterator[int]:
    given: list[Any] = [settings.parameters, *(settings.parameters.get(name) for name in _NESTED)]
    for holder in given:
        if isinstance(holder, Mapping):
            yield from (value for name in names if type(value := holder.get(name)) is int and value > 0)
