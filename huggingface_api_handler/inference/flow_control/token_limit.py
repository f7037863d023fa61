"""How long an input of a route may be: as the server says, or found by what is refused and what is answered.

Lengths here are estimates, of ``tasks.text_windows`` as a rule. What the server counts deviates from them by some
percent from text to text, so parts are shorter than the length by a margin. It grows with refusals, and shrinks with
answers where the server has shown that it refuses: another one may cut a longer text without a word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

ASSUMED_TOKENS = 512
"""What most encoders take, where a person wants parts and no length is known."""

ALWAYS_TAKEN_TOKENS = 32
"""A length that every model takes: what is shorter is refused for another reason."""

_MIN_ROOM = 16  # of what a part must have room for, whatever a server says that it counts
_SETTLED = 1.1  # what was refused, to what was answered: a finer search costs more than it saves
_ROOM_OF_ANSWERED = 0.9  # of what was answered in a search, since other texts have more tokens
_ROOM_OF_TOKENS = 0.9  # of what the server takes, by the mean of what it has counted
_WHOLE = 1.02  # of the room: a text that is answered whole is worth a little more risk
_ALONE = 1.12  # of the room: what is refused as often as not
_NEAR = 0.95  # of the room: of shorter parts an answer shows nothing
_FAST_STEP = 0.0005  # for each answer, until a part is refused
_SLOW_STEP = 0.0001
_REFUSED_STEP = 0.03
_MAX_REFUSED_STEP = 0.3
_CALM_ANSWERS = 100  # requests between two refusals that cost less than shorter parts would
_MAX_COUNTED_TOKENS = 50_000.0  # by which a mean is known well enough; later texts may be of another kind
_MIN_SAMPLE_TOKENS = 32  # in shorter texts a token more or less is much
_MIN_RATIO = 0.2
_MAX_RATIO = 5.0
_MAX_ESTIMATE = 1e9
_PLAUSIBLE = 0.6  # of the length that is known: a shorter text that is refused shows that it is another


class Fit(Enum):
    """Whether an input is short enough for its route."""

    TOGETHER = "with others"  # with others in one request
    ALONE = "alone"  # perhaps too long, so that a batch would fail for it
    TOO_LONG = "too long"


@dataclass
class TokenLimit:
    """The length that one route takes.

    Attributes:
        tokens: What one input may have as the server counts, special tokens included; None where nobody said it.
        room: The estimate that a part may have; None while it is not known, or looked for.
        ratio: Tokens that the server counts for each that is estimated; None where it has counted none.
        answered: The longest estimate that was answered, while the room is looked for.
        rejected: The shortest estimate that was refused, while the room is looked for; None where nothing was.
        refuses: Whether the server refuses what is too long, as far as it shows.
        is_bounded: Whether parts of about this room were refused.
        calm: Answers to parts of about this room since one was refused.
        misses: Texts of which a part was refused since one was answered.
        counted_tokens: Of how many estimated tokens the ratio is the mean.
    """

    tokens: int | None = None
    room: float | None = None
    ratio: float | None = None
    answered: float = 0.0
    rejected: float | None = None
    refuses: bool = False
    is_bounded: bool = False
    calm: int = 0
    misses: int = 0
    counted_tokens: float = 0.0

    @property
    def longest(self) -> float | None:
        """The longest estimate of an input that goes together with others, None where nothing is known."""
        if self.room is not None:
            return self.room * _WHOLE
        return None if self.rejected is None else max(self.answered, self.rejected / 4)

    @property
    def is_settled(self) -> bool:
        """Whether the length is known so well that many texts can be cut by it."""
        return self.room is not None

    @property
    def window(self) -> float | None:
        """The estimate that a part may have: while the length is looked for, between what is known of it."""
        if self.room is not None or self.rejected is None:
            return self.room
        return math.sqrt(self.answered * self.rejected) if self.answered else self.rejected / 2

    @property
    def description(self) -> str:
        """How long an input may be, as DESCRIBE shows it."""
        if self.tokens is not None:
            return f"{self.tokens} (the server said so when it refused a text)"
        if self.room is not None:
            return f"about {self.room:.0f} (found by what the server refused)"
        if self.rejected is not None:
            return f"fewer than about {self.rejected:.0f} (found by what the server refused)"
        return f"not known until the server refuses a text. long_text = 'chunk' takes it for {ASSUMED_TOKENS}"

    def fit(self, estimate: float) -> Fit:
        """Say whether an input is short enough.

        Args:
            estimate: Its length.

        Returns:
            ``ALONE`` for what may be refused. While the length is looked for, what may be too long is taken to be so,
            since it can wait until it is found.
        """
        longest = self.longest
        if longest is None or estimate <= longest:
            return Fit.TOGETHER
        return Fit.ALONE if self.room is not None and estimate <= self.room * _ALONE else Fit.TOO_LONG

    def state(self, tokens: int | None) -> None:
        """Take what the server or the Hub says of the model, unless requests have shown it.

        Args:
            tokens: What one input may have; None where nobody says it.
        """
        is_known = self.tokens is not None or self.rejected is not None or self.room is not None
        if tokens is not None and tokens >= ALWAYS_TAKEN_TOKENS and not is_known:
            self._settle_by(tokens)

    def _settle_by(self, tokens: int) -> None:
        self.tokens, self.rejected, self.answered = tokens, None, 0.0
        self.room = max(_MIN_ROOM, tokens * _ROOM_OF_TOKENS / (self.ratio or 1.0))
        self.is_bounded, self.calm, self.misses = False, 0, 0

    def _search_below(self, estimate: float) -> None:
        self.tokens = self.room = None
        self.rejected, self.answered = estimate, 0.0

    def to_record(self) -> dict[str, float | None]:
        """Return what is stored, so that the next query knows it.

        Returns:
            Plain numbers by name.
        """
        return {
            "tokens": self.tokens,
            "room": self.room,
            "ratio": self.ratio,
            "answered": self.answered,
            "rejected": self.rejected,
            "refuses": self.refuses,
            "bounded": self.is_bounded,
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
        tokens, room, ratio, rejected = (
            None if record[name] is None else float(record[name]) for name in ("tokens", "room", "ratio", "rejected")
        )
        answered = float(record["answered"])
        is_ratio_credible = ratio is None or _MIN_RATIO <= ratio <= _MAX_RATIO
        if not (is_ratio_credible and 0 <= answered < _MAX_ESTIMATE):
            raise ValueError("out of all bounds")
        for length in (tokens, room, rejected):
            if length is not None and not 0 < length < _MAX_ESTIMATE:
                raise ValueError("out of all bounds")
        if tokens is not None and room is None:
            raise ValueError("a length without the room that it makes")
        whole = None if tokens is None else int(tokens)
        return cls(whole, room, ratio, answered, rejected, record["refuses"] is True, record["bounded"] is True)

    def forget(self) -> None:
        """Forget all, since inputs are refused that cannot be too long."""
        self.tokens = self.room = self.rejected = None
        self.answered = 0.0

    def on_rejected(self, estimate: float, max_tokens: int | None, counted: int | None, *, is_part: bool) -> None:
        """Note an input that was refused alone as too long.

        Args:
            estimate: Its length.
            max_tokens: What the server says that it takes; None where it does not.
            counted: The tokens that the server says it has; None where it does not.
            is_part: Whether it was cut to fit, as the first of its text that is refused.
        """
        self.refuses = True
        if max_tokens is not None and max_tokens < ALWAYS_TAKEN_TOKENS:  # which may be words of the text itself
            max_tokens = None
        # Of parts those are refused that have the most tokens: they say nothing of others.
        if counted is not None and not is_part and (max_tokens is None or counted > max_tokens / _PLAUSIBLE):
            self.on_counted(estimate, counted)
        if max_tokens is not None and max_tokens != self.tokens and (counted is None or counted > max_tokens):
            self._settle_by(max_tokens)
        elif self.room is None:
            self.rejected = estimate if self.rejected is None else min(self.rejected, estimate)
            self._settle()
        elif estimate <= self.room * _PLAUSIBLE and max_tokens is None:
            self._search_below(estimate)
        elif estimate <= self.room * _WHOLE or is_part:
            self._step_back(estimate)

    def _step_back(self, estimate: float) -> None:
        """Make the room smaller, unless so few inputs are refused that it costs less than smaller parts."""
        if self.room is None:
            return
        if self.calm < _CALM_ANSWERS:
            self.misses += 1
            step = min(_MAX_REFUSED_STEP, _REFUSED_STEP * max(1, self.misses - 1))
            self.room = max(ALWAYS_TAKEN_TOKENS, min(self.room, estimate * (1 - step)))
            self.is_bounded = True
        self.calm = 0

    def on_answered(self, estimate: float) -> None:
        """Note an input that was answered.

        Args:
            estimate: Its length: of several inputs, that of the longest.
        """
        if self.room is None:
            if self.rejected is not None and estimate > self.answered:
                self.answered = estimate
                self._settle()
        elif estimate >= self.room * _NEAR:
            self.calm, self.misses = self.calm + 1, 0
            if self.refuses:
                self.room *= 1 + (_SLOW_STEP if self.is_bounded else _FAST_STEP)

    def _settle(self) -> None:
        """End the search where it is close enough. Texts of one estimate differ, so the two may have crossed."""
        if self.rejected is not None and self.rejected <= self.answered * _SETTLED:
            self.room = max(ALWAYS_TAKEN_TOKENS, min(self.answered, self.rejected) * _ROOM_OF_ANSWERED)
            self.rejected, self.answered = None, 0.0
            self.is_bounded, self.calm, self.misses = False, 0, 0

    def on_counted(self, estimate: float, tokens: int) -> None:
        """Note what the server counted.

        Args:
            estimate: The length of what it was asked.
            tokens: That it says it read.
        """
        before = self.ratio
        ratio = credible_ratio(tokens, estimate) if estimate >= _MIN_SAMPLE_TOKENS else None
        if ratio is None:
            return
        self.counted_tokens = min(self.counted_tokens + estimate, _MAX_COUNTED_TOKENS)
        self.ratio = ratio if before is None else before + (ratio - before) * min(1.0, estimate / self.counted_tokens)
        if self.tokens is not None and self.room is not None:
            if before is None:  # what refusals have shown until now was mostly the ratio
                self._settle_by(self.tokens)
            else:
                self.room = max(_MIN_ROOM, self.room * before / self.ratio)


def credible_ratio(tokens: int, estimate: float) -> float | None:
    """How many tokens a server has counted for each that was estimated.

    Args:
        tokens: That the server says it has counted.
        estimate: The length of what it was asked.

    Returns:
        The ratio; None where no tokenizer counts so many, or so few.
    """
    ratio = tokens / estimate
    return ratio if _MIN_RATIO <= ratio <= _MAX_RATIO else None
