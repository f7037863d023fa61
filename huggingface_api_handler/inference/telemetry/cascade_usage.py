"""CascadeUsage: what a cascade asked of whom, what it promised, and what it saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

_TEXTS = ("proxy", "accuracy", "confidence", "threshold")
"""Fields that are no counts. Of many queries they are the last one's."""


@dataclass
class CascadeUsage:
    """Counts of one query with a cascade, or the sums of many.

    Attributes:
        proxy: The name of the proxy's model.
        accuracy: The promised share of rows.
        confidence: The probability of it, in each part.
        threshold: The least score of the proxy that was enough, in the last part; None where none was.
        parts: Parts of tables of which each was certified for itself.
        straight_parts: Parts of which all was asked of the large model, since they are too small to save anything.
        rows: Rows with an input.
        proxy_rows: Those of them that show the proxy's answer.
        inputs: Different inputs.
        proxy_inputs: Those of them that show the proxy's answer.
        asked_inputs: Different inputs that the large model was asked about, stored answers among them.
        proxy_asked_inputs: Different inputs that the proxy was asked about, stored answers among them.
        proxy_requests: Requests to the proxy. Those of the whole query have them too.
        proxy_usd: What these cost; None where that is not known.
        usd_saved: What asking all would have cost more; None where that is not known.
    """

    proxy: str = ""
    accuracy: float | None = None
    confidence: float | None = None
    threshold: float | None = None
    parts: int = 0
    straight_parts: int = 0
    rows: int = 0
    proxy_rows: int = 0
    inputs: int = 0
    proxy_inputs: int = 0
    asked_inputs: int = 0
    proxy_asked_inputs: int = 0
    proxy_requests: int = 0
    proxy_usd: float | None = None
    usd_saved: float | None = None

    def add(self, other: CascadeUsage) -> None:
        """Add the counts of other queries.

        Args:
            other: What to add. What is no count replaces this usage's.
        """
        for each in fields(self):
            ours, theirs = getattr(self, each.name), getattr(other, each.name)
            if each.name in _TEXTS or ours is None or theirs is None:
                setattr(self, each.name, theirs if each.name in _TEXTS or ours is None else ours)
            else:
                setattr(self, each.name, ours + theirs)

    def as_dict(self) -> dict[str, Any]:
        """The counts as a receipt shows them.

        Returns:
            The fields, and ``proxy_row_share`` and ``proxy_input_share``, in [0, 1].
        """
        shares = {
            "proxy_row_share": self.proxy_rows / max(1, self.rows),
            "proxy_input_share": self.proxy_inputs / max(1, self.inputs),
        }
        return {**vars(self), **shares}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> CascadeUsage:
        """Read what the store keeps.

        Args:
            record: The fields; missing ones get their defaults, unknown ones are ignored.

        Returns:
            The usage.

        Raises:
            TypeError: It is no mapping.
        """
        return cls(**{each.name: record[each.name] for each in fields(cls) if each.name in record})
