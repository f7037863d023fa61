"""What inputs would cost: requests and seconds by a dry run, dollars by the tokens of what is not stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pandas as pd

from ..inference.pricing.prices import PriceList
from ..inference.protocols.openai_chat import chat_payload
from ..inference.runtime.context import Query
from ..inference.runtime.stream import dry_runs
from ..inference.telemetry import usage_log
from ..tasks import Input
from ..tasks.input_types import media_in
from ..tasks.token_estimate import estimate_tokens
from .model_joins import JoinedModel

DryQuery = Callable[[JoinedModel], Query]
"""A query of a model that only counts."""

ONLY_READ = "dollars are of what is read: no earlier query and no max_tokens says how much is written"
"""What EXPLAIN notes of a model that nobody has asked yet."""

NO_PRICE_OF_MEDIA = "no dollars: how many tokens media have is not known"
"""What EXPLAIN notes of a model that reads images."""

_TOKENS_PER_MESSAGE = 4
"""What models put around a message: its begin and end, and who says it."""

_MOST_WRITTEN = ("max_tokens", "max_completion_tokens")


@dataclass
class Counted:
    """The sums of dry runs.

    Attributes:
        stored: Answers that are stored.
        requests: Requests that the others take.
        seconds: How long they take; None where that is unknown.
        dollars: What they cost; None where that is unknown.
        note: What is not in the dollars.
    """

    stored: int = 0
    requests: int = 0
    seconds: float | None = 0.0
    dollars: float | None = 0.0
    note: str | None = None


@dataclass
class Sent:
    """The sums of what would be sent to a model for chat.

    Attributes:
        query: Of which it is.
        bodies: Requests.
        bytes: Of their bodies.
        tokens: That the model reads in them, about.
        media: Inputs with media, of which no tokens are counted.
    """

    query: Query
    bodies: int = 0
    bytes: int = 0
    tokens: float = 0.0
    media: int = 0

    def add(self, inputs: Sequence[Input]) -> None:
        """Count some more.

        Args:
            inputs: Each is one request.
        """
        model = self.query.model
        for item in inputs:
            if media_in(item) is not None:
                self.media += 1
                continue
            payload = chat_payload(model.definition, [item], model)
            messages: Any = payload["messages"]
            texts = [text for message in messages if isinstance(text := message.get("content"), str)]
            self.bodies += 1
            self.bytes += len(orjson.dumps(payload))
            self.tokens += estimate_tokens("\n".join(texts)) + _TOKENS_PER_MESSAGE * len(messages)


def count(frames: Iterable[pd.DataFrame], query: Query, prices: PriceList) -> Counted:
    """Count what inputs would cost. Sends no request.

    Args:
        frames: Of the inputs, each input once.
        query: Of the model, which only counts.
        prices: What its tokens cost; empty where that is not known.

    Returns:
        The sums.
    """
    counted, sent = Counted(), Sent(query)
    is_priced = bool(prices) and not prices.is_free
    for out in dry_runs(frames, query, sent.add if is_priced else None):
        if len(out):
            first = out.iloc[0]
            counted.stored += int(first["stored"])
            counted.requests += int(first["requests"])
            seconds = first["seconds"]
            is_known = counted.seconds is not None and seconds is not None and seconds == seconds
            counted.seconds = counted.seconds + float(seconds) if is_known and counted.seconds is not None else None
    if counted.requests and is_priced:
        counted.dollars, counted.note = _priced(sent, prices)
    elif counted.requests and not prices:
        counted.dollars = None
    return counted


def _priced(sent: Sent, prices: PriceList) -> tuple[float | None, str | None]:
    """The dollars of what is sent, and what is not in them."""
    if sent.media:
        return None, NO_PRICE_OF_MEDIA
    written = _written(sent)
    cost = max(prices.of_tokens(sent.tokens, (written or 0.0) * sent.bodies))
    return cost, ONLY_READ if written is None else None


def _written(sent: Sent) -> float | None:
    """Tokens of one answer: as many as earlier queries of the model got, at most ``max_tokens``; None where unknown."""
    query, parameters = sent.query, sent.query.model.parameters
    limits = [float(most) for name in _MOST_WRITTEN if type(most := parameters.get(name)) is int]
    scope = query.scope
    total = (
        usage_log.total_usage(query.tables.usage, scope.model)
        if scope is not None and scope.model is not None
        else None
    )
    answers = 0 if total is None else total.requests - total.retries
    if total is not None and total.tokens and answers > 0:
        # A service counts read and written in one. What was read had about as many tokens a byte as what would be.
        read = sent.tokens / sent.bytes * total.bytes_sent / total.requests
        limits.append(max(total.tokens / answers - read, 0.0))
    return min(limits, default=None)
