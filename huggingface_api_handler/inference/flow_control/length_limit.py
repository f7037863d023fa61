"""How long an input may be that goes together with others: found by what is refused as too long."""

from __future__ import annotations

from dataclasses import dataclass, field

_MIN_REJECTIONS = 3  # a dense text or two may have more tokens than others of its length


@dataclass
class LengthLimit:
    """Inputs from some length on are refused, as far as they show. Those go alone, since in a batch all would fail.

    A model's limit is one of tokens, so characters say it only about: an input beyond the limit that is answered
    raises it.

    Attributes:
        chars: The length in characters from which inputs go alone; None where none was found.
    """

    chars: int | None = None
    _rejected: list[int] = field(default_factory=list)
    _longest_answered: int = 0

    def on_too_long(self, chars: int) -> None:
        """Note an input that was refused alone as too long.

        Args:
            chars: Its length.
        """
        if chars > self._longest_answered:
            self._rejected = sorted([*self._rejected, chars])[:_MIN_REJECTIONS]
            self._update()

    def on_answered(self, chars: int) -> None:
        """Note an input that was answered alone.

        Args:
            chars: Its length.
        """
        if chars > self._longest_answered:
            self._longest_answered = chars
            self._rejected = [length for length in self._rejected if length > chars]
            self._update()

    def _update(self) -> None:
        self.chars = self._rejected[0] if len(self._rejected) >= _MIN_REJECTIONS else None
