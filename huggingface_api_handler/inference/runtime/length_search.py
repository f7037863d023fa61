"""What one query learns of how long a text may be, and which of its inputs are short enough by that."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from ...tasks import Input
from ...tasks.input_types import text_length
from ...tasks.text_windows import MAX_CHARS_PER_TOKEN
from ..failures import Failure
from ..flow_control.token_limit import ALWAYS_TAKEN_TOKENS, Fit, TokenLimit
from .context import AskLength

_RESIFT = 0.95
_MIN_CREDIBLE_SHARE = 0.4  # of the estimate of what was answered: no tokenizer counts less
_MAX_TRIES = 16  # each costs a request, and two parts little in that of others
_MAX_SAMPLES = 64
_SAMPLE_EVERY = 64
_TAKEN_CHARS = 256  # every model for texts takes as many, or nearly


class LengthSearch:
    """The length of a route, as one query sees it.

    Args:
        limit: what is known of the route.
        tokens: estimates the length of an input, of each of its texts so many characters at most where they are given.
        reads_only: whether the tokens that the server reports are those of inputs alone.
        ask: asks the server how long an input may be; None where there is nobody to ask.

    Attributes:
        limit: what is known of the route.
        has_answer: whether any input was answered.
    """

    def __init__(
        self,
        limit: TokenLimit,
        tokens: Callable[[Input, int | None], float],
        *,
        reads_only: bool,
        ask: AskLength | None = None,
    ) -> None:
        self.limit, self._tokens, self._reads_only, self._ask = limit, tokens, reads_only, ask
        self.has_answer = False
        self._longest: Input = ""
        self._fitted_at = 0.0
        self._tries = self._samples = 0

    async def ask(self, items: Iterable[Input]) -> int | None:
        """Ask how long an input may be, once a query, where one is long: a server may cut it without a word.

        Args:
            items: inputs that are about to be asked.

        Returns:
            The tokens that one may have; None where it is not asked, or nobody says it.
        """
        if self._ask is None or all(text_length(item) <= _TAKEN_CHARS for item in items):
            return None
        ask, self._ask = self._ask, None
        return await ask()

    def begin_fitting(self) -> float | None:
        """Note that inputs are looked at.

        Returns:
            The length in characters up to which an input is short enough at a glance; None where no length is known.
        """
        # Few texts have more tokens than characters, and to estimate the tokens of each takes its time.
        most = self.limit.longest
        self._fitted_at = max(self._fitted_at, math.inf if most is None else most)
        return most

    def tokens(self, item: Input) -> float:
        """Estimate the length of an input.

        Args:
            item: the input.

        Returns:
            Its tokens, about.
        """
        return self._tokens(item, None)

    def restart(self) -> None:
        """Forget what inputs were fitted to, since all that wait are looked at again."""
        self._fitted_at = 0.0

    @property
    def is_shorter(self) -> bool:
        """Whether inputs that were short enough may be too long by what was found since."""
        most = self.limit.longest
        return most is not None and most < self._fitted_at * _RESIFT

    def fit(self, item: Input) -> Fit:
        """Say whether an input is short enough.

        Args:
            item: the input.

        Returns:
            ``ALONE`` for a few of those that may be too long.
        """
        longest = self.limit.longest
        # A megabyte takes some hundredths of a second, and many may wait: its beginning shows that it is too long.
        max_chars = None if longest is None else int(longest * MAX_CHARS_PER_TOKEN)
        fit = self.limit.fit(self._tokens(item, max_chars))
        if fit is not Fit.ALONE:
            return fit
        self._tries += 1
        return Fit.ALONE if self._tries <= _MAX_TRIES else Fit.TOO_LONG

    def on_refused(self, item: Input, failure: Failure, *, is_first_part: bool) -> float | None:
        """Learn of an input that was refused as too long.

        Args:
            item: the input.
            failure: of its request.
            is_first_part: whether it is a part, and the first of its text that is refused.

        Returns:
            Its estimated length; None where it is so short that it was refused for something else.
        """
        estimate = self.tokens(item)
        if estimate <= ALWAYS_TAKEN_TOKENS:
            return None
        self._note_longest()
        self.limit.on_rejected(
            estimate, self._credible_max_tokens(failure), failure.stated_tokens, is_part=is_first_part
        )
        return estimate

    def on_batch_rejected(self, items: Sequence[Input], failure: Failure) -> None:
        """Learn of a batch in which an input is too long: where nothing is known, that is its longest.

        Args:
            items: the inputs.
            failure: of the request.
        """
        self.limit.state(self._credible_max_tokens(failure))
        self.limit.refuses = True
        if self.limit.longest is None:
            self._note_longest()
            longest = max(items, key=text_length)
            self.limit.on_rejected(self.tokens(longest), None, None, is_part=False)

    def _credible_max_tokens(self, failure: Failure) -> int | None:
        """What a server says that it takes, unless it has answered far more: its words may repeat those of the text."""
        most = failure.stated_max_tokens
        if most is None or failure.stated_tokens is not None or not self.has_answer:
            return most
        return most if most >= self.tokens(self._longest) * _MIN_CREDIBLE_SHARE else None

    def _note_longest(self) -> None:
        if self.limit.longest is None and self.has_answer:
            self.limit.answered = self.tokens(self._longest)

    def on_answered(self, items: Sequence[Input], tokens: int) -> None:
        """Learn of an answer.

        Args:
            items: that were answered.
            tokens: that the server says it read; 0 where it says nothing.
        """
        self.has_answer, limit = True, self.limit
        longest = max(items, key=text_length) if len(items) > 1 else items[0]
        if text_length(longest) > text_length(self._longest):
            self._longest = longest
        if limit.longest is not None and text_length(longest) > (limit.room or 0.0):
            limit.on_answered(self.tokens(longest))
        if tokens and limit.longest is not None and self._reads_only:
            self._samples += 1
            if self._samples <= _MAX_SAMPLES or not self._samples % _SAMPLE_EVERY:
                limit.on_counted(sum(map(self.tokens, items)), tokens)
