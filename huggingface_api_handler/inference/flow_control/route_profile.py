"""What requests have shown about a route."""

from __future__ import annotations

from dataclasses import dataclass, field

from .batch_size import BatchSizes

_AMBIGUITIES_ALLOWED = 4  # in a row: a service that answers one list in twenty badly still answers lists


@dataclass
class Learned:
    """``lists`` is None until a route has been tried."""

    answered: bool = False
    lists: bool | None = None
    sizes: BatchSizes = field(default_factory=BatchSizes)
    ambiguities: int = 0

    def ambiguous(self) -> None:
        """Note an answer to a list that did not prove which part is whose."""
        self.ambiguities += 1
        if self.ambiguities > _AMBIGUITIES_ALLOWED:
            self.lists = False

    def unambiguous(self) -> None:
        """Note an answer to a list that proved which part is whose."""
        self.ambiguities = 0
