"""What most servers that are asked directly have in common."""

from __future__ import annotations

from collections.abc import Mapping

from ...tasks import Settings, Task
from ..failures import Failure
from .base import WireProtocol
from .server_errors import read_error


class JSONServer:
    """The part of a ``WireProtocol`` for a server that answers at once, with errors in one of the usual shapes."""

    blocks = False

    def headers(self, _task: Task) -> Mapping[str, str]:
        """Headers that only this protocol needs.

        Returns:
            None of them.
        """
        return {}

    def fallback(self, _task: Task, _settings: Settings, _failure: Failure, *, is_first: bool) -> WireProtocol | None:
        """How to ask once a request was refused.

        Args:
            is_first: Whether nothing was answered yet.

        Returns:
            None: there is one way to ask.
        """
        return None

    error = staticmethod(read_error)
