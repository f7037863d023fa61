"""What requests have shown about a route."""

from __future__ import annotations

from dataclasses import dataclass, field

from .batch_size import BatchSizeTuner

_AMBIGUITIES_ALLOWED = 4  # in a row: a service that answers one list in twenty badly still answers lists


@dataclass
class RouteProfile:
    """``lists`` is None until a route has been tried."""

    has_answered: bool = False
    accepts_batches: bool | None = None
    batch_size: BatchSizeTuner = field(default_factory=BatchSizeTuner)
    ambiguities: int = 0

    def on_ambiguous(self) -> None:
        """Note an answer to a list that did not prove which part is whose."""
        self.ambiguities += 1
        if self.ambiguities > _AMBIGUITIES_ALLOWED:
            self.accepts_batches = False

    def on_unambiguous(self) -> None:
        """Note an answer to a list that proved which part is whose."""
        self.ambiguities = 0
