"""What is stored of the inputs of one query, by the index of an input: answers found, answers put, and claims."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from ...tasks import Input
from ..storage.answer_claims import AnswerClaims
from ..storage.response_cache import KEY_BYTES, NoResponseCache
from .context import AnyResponseCache


class StoredAnswers:
    """The stored answers of one query.

    Args:
        answers: where they are.
        items: gives inputs as they are sent, their media loaded.
        on_cached: is given the index and the stored part of an answer, and says whether it could be read.
        on_found: is given the index of an input that a stored answer serves.
    """

    def __init__(
        self,
        answers: AnyResponseCache,
        items: Callable[[Sequence[int]], list[Input]],
        on_cached: Callable[[int, object], Awaitable[bool]],
        on_found: Callable[[int], None],
    ) -> None:
        self.claims: AnswerClaims | None = answers.claims
        self._answers, self._items = answers, items
        self._on_cached, self._on_found = on_cached, on_found
        self._keys: dict[int, bytes] = {}
        self._claimed: set[int] = set()
        self._unneeded: list[bytes] = []

    async def look_up(self, indexes: Sequence[int]) -> list[int]:
        """Find stored answers.

        Args:
            indexes: of inputs.

        Returns:
            Those that no stored answer serves.
        """
        answers = self._answers
        if isinstance(answers, NoResponseCache):
            return list(indexes)
        keys = dict(zip(indexes, map(answers.key, self._items(indexes)), strict=True))
        self._keys.update(keys)
        return await self._find(keys)

    async def look_again(self, indexes: Sequence[int]) -> list[int]:
        """Find what others have stored since inputs were looked up.

        Args:
            indexes: of inputs that were looked up. Those that are done with by now are left out.

        Returns:
            Those that no stored answer serves.
        """
        self._answers.look_again()
        return await self._find({index: self._keys[index] for index in indexes if index in self._keys})

    async def _find(self, keys: dict[int, bytes]) -> list[int]:
        stored = await self._answers.lookup(list(keys.values())) if keys else {}
        if not stored:
            return list(keys)
        missing = []
        for index, key in keys.items():
            part: Any = stored.get(key, stored)
            if part is not stored and await self._on_cached(index, part):
                self._on_found(index)
            else:
                missing.append(index)
        return missing

    def put(self, index: int, part: object) -> None:
        """Store the answer of an input.

        Args:
            index: of the input.
            part: its part of the server's answer.
        """
        if (key := self._answered(index)) is not None:
            self._answers.put(key, part)

    async def put_large(self, index: int, part: object) -> None:
        """Store a large answer without holding up the event loop.

        Args:
            index: of the input.
            part: its part of the server's answer.
        """
        if (key := self._answered(index)) is not None:
            await self._answers.put_large(key, part)

    def _answered(self, index: int) -> bytes | None:
        """The key of an input that has its answer, which is done with."""
        self._claimed.discard(index)
        return self._keys.pop(index, None)

    def forget(self, index: int) -> None:
        """Forget an input for which no answer will be stored. Its claim ends with the next ``release``.

        Args:
            index: of the input.
        """
        key = self._keys.pop(index, None)
        if key is not None and index in self._claimed:
            self._claimed.discard(index)
            self._unneeded.append(key[:KEY_BYTES])

    @property
    def has_claims(self) -> bool:
        """Whether anything is claimed that has no answer."""
        return bool(self._claimed)

    @property
    def has_unneeded(self) -> bool:
        """Whether there are claims to be released."""
        return bool(self._unneeded)

    async def claim(self, indexes: Iterable[int]) -> set[int]:
        """Claim the answers of inputs.

        Args:
            indexes: of inputs that were looked up. Those that are done with by now are left out.

        Returns:
            Those that another query has claimed.
        """
        if self.claims is None:
            return set()
        keys = {index: self._keys[index][:KEY_BYTES] for index in indexes if index in self._keys}
        self._claimed.update(keys)  # at once, so that they are released where the query ends meanwhile
        found = await self.claims.claim(list(keys.values()))
        by_others = {index for index, key in keys.items() if key in found} if found else set[int]()
        self._claimed -= by_others
        return by_others

    async def renew(self) -> set[int]:
        """Renew the claims on what has no answer.

        Returns:
            Those that another query has claimed by now, since this process was stopped for longer than claims last.
        """
        return await self.claim(list(self._claimed))

    def release(self, indexes: Iterable[int] = ()) -> None:
        """End the claims that are not needed any more.

        Args:
            indexes: of inputs that are not sent after all.
        """
        unsent = self._claimed.intersection(indexes)
        self._claimed -= unsent
        self._unneeded += [self._keys[index][:KEY_BYTES] for index in unsent]
        if self._unneeded and self.claims is not None:
            self.claims.release(self._unneeded)
            self._unneeded = []

    def release_all(self) -> None:
        """End all claims on what has no answer."""
        self.release(self._claimed)
