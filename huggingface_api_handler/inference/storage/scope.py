"""Who a query belongs to, so that nobody finds what somebody else stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """The owner of a query: an engine whose name no other has, as MindsDB's have one at random.

    Attributes:
        engine: Whose stored answers and quotas the query uses. Engines share none.
        model: Whose usage the query is counted in; None where it is counted nowhere.
    """

    engine: str
    model: str | None = None

    def answers_of(self, _account: str) -> str:
        """Say by what stored answers are found. A new key of the engine's finds what a former one was answered.

        Returns:
            The engine.
        """
        return self.engine


class NamedScope(Scope):
    """An engine with a name that a person chose. Others may choose the same, and have other keys."""

    def answers_of(self, account: str) -> str:
        """Say by what stored answers are found.

        Args:
            account: What requests are sent with (``Route.account``), empty where they are sent without a key.

        Returns:
            The name, with a hash of the account where there is one.
        """
        return f"{self.engine} {hash_of(account)}" if account else self.engine


def hash_of(account: str) -> str:
    """An account as it may be stored.

    Args:
        account: What requests are sent with (``Route.account``).

    Returns:
        Its SHA-256 in hexadecimal.
    """
    return hashlib.sha256(account.encode()).hexdigest()
