"""Inputs between look-up and sending: each is claimed, so that equal inputs of several queries are asked once.

As many are claimed as are sent within about a second, since what one query has claimed no other sends. What another
query has claimed is set aside, and its answer is looked for until it is there, or the claim has ended without.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..storage.answer_claims import RENEWAL_INTERVAL_S
from .context import Dependencies
from .stored_answers import StoredAnswers

_FIRST_CLAIM_ROWS = 256
_MIN_CLAIM_ROWS = 16
_MAX_CLAIM_ROWS = 2048
_OFTEN_S = 0.25  # claims that follow one another so soon are for too few inputs
_SELDOM_S = 1.0
_MIN_BATCHES = 4  # of the best size, so that batches are full
_MIN_LOOK_INTERVAL_S = 0.02  # for the answers of others, where there is nothing else to ask
_MAX_LOOK_INTERVAL_S = 0.2


class _Window(NamedTuple):
    """Inputs that were looked up together, at a time of the event loop."""

    looked_up_at: float
    indexes: deque[int]


class InputClaims:
    """The inputs of one query that are not claimed yet, and those that others have claimed.

    Args:
        stored: looks answers up, and claims them.
        dependencies: say how large the best batch is, and for how long a query waits without any answer.
        count_unsent: how many inputs are claimed and wait to be sent.
        hand_on: takes inputs that are claimed.
        take_back: takes out inputs that were handed on, and says which of them were not sent.
        on_change: is called whenever inputs were claimed, or nothing is left to be claimed.

    Attributes:
        is_on: whether inputs are to be claimed.
    """

    def __init__(
        self,
        stored: StoredAnswers,
        dependencies: Dependencies,
        count_unsent: Callable[[], int],
        hand_on: Callable[[Sequence[int]], None],
        take_back: Callable[[set[int]], Sequence[int]],
        on_change: Callable[[], None],
    ) -> None:
        self.is_on = stored.claims is not None
        self._stored, self._deps = stored, dependencies
        self._count_unsent, self._on_change = count_unsent, on_change
        self._hand_on, self._take_back = hand_on, take_back
        self._windows: deque[_Window] = deque()
        self._in_claim = 0
        self._aside: dict[int, float] = {}
        self._size = _FIRST_CLAIM_ROWS
        self._claimed_at = float("-inf")
        self._look_interval_s = _MIN_LOOK_INTERVAL_S
        self._is_over = False
        self._woken = asyncio.Event()

    def __len__(self) -> int:
        return self.unclaimed + len(self._aside)

    @property
    def unclaimed(self) -> int:
        """How many inputs are still to be claimed."""
        return self._in_claim + sum(len(window.indexes) for window in self._windows)

    @property
    def is_claiming(self) -> bool:
        """Whether inputs are still to be claimed."""
        return bool(self._windows) or self._in_claim > 0

    @property
    def is_busy(self) -> bool:
        """Whether inputs are still to be claimed, or looked for."""
        return self.is_claiming or bool(self._aside)

    def add(self, indexes: Sequence[int]) -> None:
        """Let inputs be claimed.

        Args:
            indexes: of inputs that were looked up just now, and have no stored answer.
        """
        if self._is_over:
            self._hand_on(indexes)
        elif indexes:
            self._windows.append(_Window(asyncio.get_running_loop().time(), deque(indexes)))
            self._woken.set()

    def on_change(self) -> None:
        """Claim more, where few inputs are left to be sent, and release what failed."""
        if (self._windows and self._wants_more) or self._stored.has_unneeded:
            self._woken.set()

    def only_cached(self) -> None:
        """Claim nothing more, and look once more for the answers of others."""
        self._is_over = True
        self._woken.set()

    def clear(self) -> None:
        """Claim and look for nothing more."""
        self._is_over = True
        self._windows.clear()
        self._aside.clear()

    async def run(self) -> None:
        """Claim inputs as they are sent, until cancelled. Then what has no answer is released."""
        loop, renew_at, look_at = asyncio.get_running_loop(), 0.0, 0.0
        try:
            while self.is_on:
                self._woken.clear()
                self._stored.release()
                now = loop.time()
                if self._is_over:
                    await self._look_once_more()
                elif self._windows and self._wants_more:
                    await self._claim()
                elif self._aside and look_at <= now:
                    await self._look()
                    look_at = loop.time() + self._look_interval_s
                if renew_at <= now and self._stored.has_claims:
                    await self._renew()
                if renew_at <= now or not self._stored.has_claims:
                    renew_at = now + RENEWAL_INTERVAL_S
                if not (self._windows and self._wants_more):
                    await self._wait(min(renew_at, look_at if self._aside else renew_at) - loop.time())
        finally:
            self._stored.release_all()

    @property
    def _wants_more(self) -> bool:
        """Whether so few inputs are left to be sent that more are to be claimed."""
        return self._count_unsent() < self._claim_size / 2

    @property
    def _claim_size(self) -> int:
        return max(self._size, _MIN_BATCHES * self._deps.profile.batch_size.best)

    async def _claim(self) -> None:
        """Claim the next inputs. Those that others have are set aside."""
        looked_up_at, began_at = self._windows[0].looked_up_at, asyncio.get_running_loop().time()
        size = self._claim_size
        indexes = self._take(size)
        self._in_claim = len(indexes)
        by_others = await self._stored.claim(indexes)
        now = asyncio.get_running_loop().time()
        mine = [index for index in indexes if index not in by_others] if by_others else indexes
        if self._stored.claims is not None and self._stored.claims.is_outdated(looked_up_at):
            mine = await self._stored.look_again(mine)
        self._fit_size(began_at, is_late=self._count_unsent() == 0, is_full=len(indexes) == size)
        self._in_claim = 0
        self._aside.update(dict.fromkeys(by_others, now))
        self._give(mine)

    def _take(self, most: int) -> list[int]:
        """The next inputs, of several windows where these are small, as those of small frames are."""
        taken: list[int] = []
        while self._windows and len(taken) < most:
            indexes = self._windows[0].indexes
            taken += [indexes.popleft() for _ in range(min(most - len(taken), len(indexes)))]
            if not indexes:
                self._windows.popleft()
        return taken

    def _fit_size(self, began_at: float, *, is_late: bool, is_full: bool) -> None:
        """Claim more at once where claims are made often, or came when nothing was left; fewer where seldom.

        Where inputs come a few at a time, claims are made often whatever their size.
        """
        since_s, is_first = began_at - self._claimed_at, self._claimed_at == float("-inf")
        self._claimed_at = asyncio.get_running_loop().time()
        if is_first:
            return
        if is_late or since_s < _OFTEN_S:
            self._size = min(2 * self._size, _MAX_CLAIM_ROWS) if is_full else self._size
        elif since_s > _SELDOM_S:
            self._size = max(self._size // 2, _MIN_CLAIM_ROWS)

    async def _renew(self) -> None:
        """Renew what is claimed, and set aside what another query has claimed meanwhile."""
        by_others = await self._stored.renew()
        if by_others and not self._is_over:
            self._aside.update(dict.fromkeys(self._take_back(by_others), asyncio.get_running_loop().time()))

    async def _look(self) -> None:
        """Look for the answers of others, and claim what has none and is not claimed any more."""
        waiting = list(self._aside)
        # Claimed first: what was stored before a claim ended is found then.
        by_others = await self._stored.claim(waiting)
        missing = await self._stored.look_again(waiting)
        now, found = asyncio.get_running_loop().time(), len(waiting) - len(missing)
        if found:  # whoever has claimed the others goes on
            self._aside = dict.fromkeys(self._aside, now)
        overdue_at = now - self._deps.retry_policy.max_wait_s
        remaining = {index for index in missing if index in by_others and self._aside.get(index, now) > overdue_at}
        mine = [index for index in missing if index not in remaining]
        for index in waiting:
            if index not in remaining:
                self._aside.pop(index, None)
        is_idle = not self._windows and self._count_unsent() == 0
        soon = _MIN_LOOK_INTERVAL_S if found else min(2 * self._look_interval_s, _MAX_LOOK_INTERVAL_S)
        self._look_interval_s = soon if is_idle else _MAX_LOOK_INTERVAL_S
        if mine or found:
            self._give(mine)

    async def _look_once_more(self) -> None:
        """Hand on all that is there, once what others have stored was found: nothing of it is asked any more."""
        unclaimed = [index for window in self._windows for index in window.indexes]
        aside = list(self._aside)
        self._windows.clear()
        missing = await self._stored.look_again(aside) if aside else []
        for index in aside:
            self._aside.pop(index, None)
        if aside or unclaimed:
            self._give([*unclaimed, *missing])

    def _give(self, indexes: Sequence[int]) -> None:
        self._hand_on(indexes)
        if self._is_over:
            self._stored.release(indexes)
        self._on_change()

    async def _wait(self, seconds: float) -> None:
        """Wait until there is something to do, or so long."""
        timer = asyncio.get_running_loop().call_later(seconds, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()
