"""What requests have shown about a route, and how a route qualifies for lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..tasks import Prediction
from .batch_sizes import BatchSizes

_ALIKE = 0.02  # scores of one text, alone and in a padded half-precision batch, differ by less
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


def same_answers(alone: Sequence[Prediction], together: Sequence[Prediction]) -> bool | None:
    """Whether inputs asked together got the answers they got alone, each its own.

    None where the answers are too much alike to tell one input's from another's.
    """
    conclusive = True
    for index, mine in enumerate(together):
        own = _distance(mine, alone[index])
        if own > _ALIKE:
            return False
        others = [_distance(mine, other) for position, other in enumerate(alone) if position != index]
        conclusive = conclusive and all(own * 2 < other for other in others)
    return True if conclusive else None


def _distance(one: Prediction, other: Prediction) -> float:
    # The parts say more than the target, which may flip between two labels of equal score.
    if one.explain is not None and other.explain is not None:
        return _difference(one.explain, other.explain)
    return _difference(one.value, other.value)


def _difference(one: Any, other: Any) -> float:
    """The largest difference between two numbers that stand in the same place; infinite where anything else differs."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return float("inf")
        return max((_difference(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return float("inf")
        return max((_difference(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other)
    return 0.0 if one == other else float("inf")
