"""The claims of one query on answers: what it is about to ask for, so that no other query asks for it too.

A claim is not taken back where its answer is stored: it ends by itself, after ``ANSWER_CLAIM_S``. So whoever finds no
claim knows that nothing was asked for so long, and that an answer which is older was there when it last looked. Only
where no answer will come is a claim released.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Sequence

from .secret import Seal
from .tables import TOKEN_BYTES, AnswerTable

ANSWER_CLAIM_S = 5.0
"""Seconds for which a claim holds. What a killed process has claimed is asked by others so much later."""

RENEWAL_INTERVAL_S = ANSWER_CLAIM_S / 3
"""Between two renewals of what is on its way."""

_LOOK_S = ANSWER_CLAIM_S / 2
"""For so long a look for an answer counts, with a claim after it. The rest of a lease is for answers stored late."""


class AnswerClaims:
    """The claims of one query. Belongs to one event loop.

    Attributes:
        has_company: Whether other queries of the same key may have asked for anything since this one began.
    """

    def __init__(self, table: AnswerTable, seal: Seal, query: bytes) -> None:
        """Claim nothing yet.

        Args:
            table: Where answers are stored.
            seal: Of their scope.
            query: The query's key.
        """
        self._table, self._seal, self._query = table, seal, query
        self._token = secrets.token_bytes(TOKEN_BYTES)
        self._checked_at: float | None = None
        self.has_company = False

    async def claim(self, keys: Sequence[bytes]) -> Collection[bytes]:
        """Claim answers, and renew the claims that the query has.

        Args:
            keys: Of the answers.

        Returns:
            The keys that another query has claimed.
        """
        claiming = self._table.claim(self._seal, self._query, keys, self._token, ANSWER_CLAIM_S)
        claimed = await asyncio.wrap_future(claiming)
        self.has_company = not (claimed.is_alone and self.is_alone)
        self._checked_at = asyncio.get_running_loop().time()
        return claimed.by_others

    def release(self, keys: Sequence[bytes]) -> None:
        """End claims, since no answer will come. Nobody waits for it.

        Args:
            keys: Of the answers.
        """
        self._table.release(self._seal, self._query, keys, self._token, ANSWER_CLAIM_S)

    @property
    def is_alone(self) -> bool:
        """Whether no other query of the same key has asked for anything since this one began."""
        now = asyncio.get_running_loop().time()
        if self._checked_at is None:
            self._checked_at = now
        return not self.has_company and now - self._checked_at < _LOOK_S

    def is_outdated(self, looked_at: float) -> bool:
        """Whether others may have stored an answer, and their claim has ended, since it was looked for.

        Args:
            looked_at: When it was looked for, by the event loop's clock.

        Returns:
            True where it must be looked for again once it is claimed.
        """
        return not self.is_alone and asyncio.get_running_loop().time() - looked_at > _LOOK_S
