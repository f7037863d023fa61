"""What a service says of its own work on one request, by kind."""

from __future__ import annotations

from typing import NamedTuple


class ReportedUsage(NamedTuple):
    """What a service says of its own work on one request. What it does not say is None.

    Attributes:
        tokens: Tokens that it read and generated, 0 where it says nothing of tokens.
        input_tokens: Tokens that it read, the cached ones among them.
        output_tokens: Tokens that it generated, those of its reasoning among them.
        cached_tokens: Tokens that it had read before and took from its prefix cache.
        reasoning_tokens: Tokens that it generated before the answer, and which are not in it.
        compute_seconds: Time that it computed.
        compute_characters: Characters that it read.
        images: Images that it made.
    """

    tokens: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    compute_seconds: float | None = None
    compute_characters: int | None = None
    images: int | None = None

    @property
    def sum_alone(self) -> int | None:
        """Tokens in one sum, which is all that some servers say of models that generate nothing; else None."""
        return self.tokens or None if self.input_tokens is None and self.output_tokens is None else None
