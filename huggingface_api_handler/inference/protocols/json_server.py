"""What most servers that are asked directly have in common."""

from __future__ import annotations

from collections.abc import Mapping

from ...tasks import Task
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

    error = staticmethod(read_error)
