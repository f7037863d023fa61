"""What most servers that are asked directly have in common."""

from __future__ import annotations

from collections.abc import Mapping

from ...tasks import Task
from ..failures import ServerError
from ..transport.client import Response
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

    def error(self, response: Response) -> ServerError | None:
        """Read the error that a response tells.

        Args:
            response: The response, of any status.

        Returns:
            The server's words and code. None for a response of status 200 that is no error.
        """
        return read_error(response)
