"""What requests have shown about a route."""

from __future__ import annotations

from dataclasses import dataclass, field

from .batch_size import BatchSizeTuner

_MAX_AMBIGUITIES = 4  # in a row: a server that answers one batch in twenty wrongly still answers batches


@dataclass
class RouteProfile:
    """What requests have shown about one route.

    Attributes:
        has_answered: Whether any request was answered.
        accepts_batches: Whether batches are answered rightly, None until the route was probed.
        batch_size: Finds the size of batches.
        ambiguities: Responses to batches, in a row, of which it is unclear which part is whose.
    """

    has_answered: bool = False
    accepts_batches: bool | None = None
    batch_size: BatchSizeTuner = field(default_factory=BatchSizeTuner)
    ambiguities: int = 0

    def on_ambiguous(self) -> None:
        """Note a response to a batch of which it is unclear which part is whose. After several, batches end."""
        self.ambiguities += 1
        if self.ambiguities > _MAX_AMBIGUITIES:
            self.accepts_batches = False

    def on_unambiguous(self) -> None:
        """Note a response to a batch of which it is clear which part is whose."""
        self.ambiguities = 0
