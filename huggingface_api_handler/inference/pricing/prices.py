"""Prices of a model, by the provider that answers. All are in USD, as exact decimals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

TOKENS_OF_A_PRICE = 1_000_000
"""Tokens are priced by the million, as providers do it."""


class Price(NamedTuple):
    """What one provider asks, in USD. None where it asks nothing by that measure.

    Attributes:
        input: Per million tokens that the model reads.
        output: Per million tokens that it generates.
        cached: Per million tokens that it takes from its prefix cache; None where these cost as much as others.
        second: Per second that it computes.
        request: Per request that is answered.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cached: Decimal | None = None
    second: Decimal | None = None
    request: Decimal | None = None

    @property
    def is_by_token(self) -> bool:
        """Whether tokens are paid for."""
        return self.input is not None or self.output is not None


FREE = Price(request=Decimal(0))
"""Of a server that this machine runs."""


@dataclass(frozen=True)
class PriceList:
    """What a model costs in one query.

    Attributes:
        providers: The price of each provider that may answer, by its name.
        any_provider: The price whoever answers; None where it depends on the provider.
        note: What is to be said of them, such as why there are none.
    """

    providers: Mapping[str, Price] = field(default_factory=dict)
    any_provider: Price | None = None
    note: str | None = None

    def __bool__(self) -> bool:
        """Whether there is any price."""
        return self.any_provider is not None or bool(self.providers)

    def __iter__(self) -> Iterator[Price]:
        """The different prices that may have to be paid."""
        yield from {self.any_provider} if self.any_provider is not None else set(self.providers.values())

    @property
    def is_free(self) -> bool:
        """Whether nothing has to be paid, whoever answers."""
        return bool(self) and not any(amount for price in self for amount in price)

    def of(self, provider: str | None) -> Price | None:
        """The price of the provider that has answered.

        Args:
            provider: Its name, as the answer says it; None where the answer says nothing.

        Returns:
            Its price; None where it is not known which of several is to be paid, or what it is.
        """
        if self.any_provider is not None or not self.providers:
            return self.any_provider
        if provider is not None and provider in self.providers:
            return self.providers[provider]
        candidates = set(self.providers.values())
        return candidates.pop() if provider is None and len(candidates) == 1 else None


NO_PRICES = PriceList(note="no price of this model is known. Give prices = {'input': ..., 'output': ...} in USD")
"""Of a model of which nobody has said what it costs."""

FREE_OF_CHARGE = PriceList(any_provider=FREE)
"""Of a server that this machine runs."""
