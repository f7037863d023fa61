"""How long an input of a route may be: as the server says, or found by what is refused and what is answered.

Lengths here are estimates, of ``tasks.text_windows`` as a rule. What the server counts is ``ratio`` times as much.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

ASSUMED_TOKENS = 512
"""What most encoders take, where a person wants parts and no length is known."""

MIN_TOKENS = 32
"""A length that every model takes: what is shorter is refused for another reason."""

_SETTLED = 1.1  # what was refused, to what was answered: a finer search costs more than it saves
_FIRST_MARGIN = 0.1
_MARGIN = 0.04
_MARGIN_STEP = 0.02
_MAX_MARGIN = 0.3
_SMOOTHING = 0.1
_MIN_SAMPLE_TOKENS = 32  # in shorter texts a token more or less is much
_MAX_TOKENS = 1e9
_MIN_RATIO = 0.2
_MAX_RATIO = 5.0
_PLAUSIBLE = 0.6  # of the length that is said: a shorter text that is refused shows that it is another


class Fit(Enum):
    """Whether an input is short enough for its route."""

    TOGETHER = "together"  # with others in one request
    ALONE = "alone"  # perhaps too long, so that a batch would fail for it
    TOO_LONG = "too long"


@dataclass
class TokenLimit:
    """The length that one route takes.

    Attributes:
        tokens: What one input may have as the server counts, special tokens included; None where nobody said it.
        ratio: Tokens that the server counts for each that is estimated.
        answered: The longest estimate that was answered since something was refused.
        refused: The shortest estimate that was refused; None where nothing was.
        margin: The share of the length by which parts are shorter, since estimates differ from what they estimate.
        has_sample: Whether the server has said what it counts.
    """

    tokens: int | None = None
    ratio: float = 1.0
    answered: float = 0.0
    refused: float | None = None
    margin: float = _FIRST_MARGIN
    has_sample: bool = False

    @property
    def most(self) -> float | None:
        """The longest estimate that is likely to be answered, None where nothing is known."""
        if self.tokens is not None:
            return self.tokens / self.ratio
        return None if self.refused is None else self.answered or self.refused / 2

    @property
    def is_settled(self) -> bool:
        """Whether the length is known so well that many texts can be cut by it."""
        return self.tokens is not None or (self.refused is not None and self.refused <= self.answered * _SETTLED)

    @property
    def window(self) -> float | None:
        """The estimate that a part may have: while the length is looked for, between what is known of it."""
        most = self.most
        if most is None or self.refused is None or self.is_settled:
            return None if most is None else most * (1 - self.margin)
        return math.sqrt(self.answered * self.refused) if self.answered else self.refused / 2

    def fit(self, estimate: float) -> Fit:
        """Say whether an input is short enough.

        Args:
            estimate: Its length.

        Returns:
            ``ALONE`` for what may be refused.
        """
        if self.tokens is None:
            # Few lengths are tried: what is far shorter than all that was refused is taken to be short enough.
            if self.refused is None or estimate <= max(self.answered, self.refused / 4):
                return Fit.TOGETHER
            return Fit.TOO_LONG if estimate >= self.refused else Fit.ALONE
        most = self.tokens / self.ratio
        if estimate <= most * (1 - self.margin):
            return Fit.TOGETHER
        return Fit.TOO_LONG if estimate > most else Fit.ALONE

    def state(self, tokens: int | None) -> None:
        """Take what the server or the Hub says of the model, unless requests have shown it.

        Args:
            tokens: What one input may have; None where nobody says it.
        """
        if tokens is not None and self.tokens is None and self.refused is None:
            self.tokens = tokens

    def to_record(self) -> dict[str, float | None]:
        """Return what is stored, so that the next query knows it.

        Returns:
            Plain numbers by name.
        """
        return {
            "tokens": self.tokens,
            "ratio": self.ratio if self.has_sample else None,
            "answered": self.answered,
            "refused": self.refused,
            "margin": self.margin,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any] | None) -> TokenLimit:
        """Read what ``to_record`` wrote.

        Args:
            record: Numbers by name; None where an older version stored none.

        Returns:
            The limit.

        Raises:
            ValueError: A number is out of all bounds.
            TypeError: What should be a number is none.
            KeyError: A number is missing.
        """
        if record is None:
            return cls()
        tokens, ratio, refused = record["tokens"], record["ratio"], record["refused"]
        limit = cls(
            None if tokens is None else int(tokens),
            1.0 if ratio is None else float(ratio),
            float(record["answered"]),
            None if refused is None else float(refused),
            float(record["margin"]),
            ratio is not None,
        )
        are_credible = limit.answered >= 0 and 0 <= limit.margin <= _MAX_MARGIN
        if not (are_credible and _MIN_RATIO <= limit.ratio <= _MAX_RATIO):
            raise ValueError("out of all bounds")
        for length in (limit.tokens, limit.refused):
            if length is not None and not 0 < length < _MAX_TOKENS:
                raise ValueError("out of all bounds")
        return limit

    def forget(self) -> None:
        """Forget all, since inputs are refused that cannot be too long."""
        self.tokens = self.refused = None
        self.answered = 0.0

    def on_refused(self, estimate: float, most: int | None, counted: int | None, *, is_part: bool) -> None:
        """Note an input that was refused alone as too long.

        Args:
            estimate: Its length.
            most: What the server says that it takes; None where it does not.
            counted: The tokens that the server says it has; None where it does not.
            is_part: Whether it was cut to fit.
        """
        if is_part and self.is_settled:
            self.margin = min(_MAX_MARGIN, self.margin + _MARGIN_STEP)
        if most is not None and (counted is None or counted > most):
            self.tokens = most
        if self.tokens is not None:
            if counted is not None and counted > self.tokens:
                self.on_counted(estimate, counted)
            elif estimate * self.ratio < self.tokens * _PLAUSIBLE and most is None:
                self.tokens, self.refused, self.answered = None, estimate, 0.0
            elif estimate * self.ratio < self.tokens:
                self.ratio = self.tokens / estimate
            return
        self.refused = estimate if self.refused is None else min(self.refused, estimate)
        if self.answered >= self.refused:  # texts of one estimate differ
            self.answered = self.refused / _SETTLED

    def on_answered(self, estimate: float) -> None:
        """Note an input that was answered, while the length is looked for.

        Args:
            estimate: Its length.
        """
        if self.refused is not None and estimate > self.answered:
            self.answered = estimate
            self.refused = max(self.refused, estimate * (1 + _MARGIN))

    def on_counted(self, estimate: float, tokens: int) -> None:
        """Note what the server counted.

        Args:
            estimate: The length of what it was asked.
            tokens: That it says it read.
        """
        if estimate < _MIN_SAMPLE_TOKENS or not _MIN_RATIO <= tokens / estimate <= _MAX_RATIO:
            return
        ratio = tokens / estimate
        if not self.has_sample:
            self.has_sample, self.ratio, self.margin = True, ratio, min(self.margin, _MARGIN)
        else:
            self.ratio += (ratio - self.ratio) * _SMOOTHING
