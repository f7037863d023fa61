"""Connections of the server: how many there are, and how long they may take to say what they want.

uvicorn waits without end for a request's head. Whoever opens a thousand connections and sends nothing, without any
token, would use up this process's files, so that nobody else is answered.
"""

from __future__ import annotations

import asyncio
import resource

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 512
MAX_HEAD_BYTES = 16 * 1024
HEAD_TIMEOUT_S = 20.0
# Connections that asyncio accepts before it hands over the first of them.
BACKLOG = 64


class BoundedConnection(H11Protocol):
    """A connection that must send a request's whole head in time, and gives way to a newer one until it has."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection; where there are too many, close the one that has waited longest with no request.

        Args:
            transport: The connection.
        """
        super().connection_made(transport)
        self._restart_head_timer()
        if len(self.connections) > max_connections():
            waiting = [each for each in self.connections if isinstance(each, BoundedConnection) and each.is_waiting]
            # The timers end in the order in which they were started. This one itself is the last of them.
            min(waiting, key=BoundedConnection.head_deadline_s).abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection.

        Args:
            exc: Why it ended, if not by its own close.
        """
        super().connection_lost(exc)
        self._stop_head_timer()

    def handle_events(self) -> None:
        """Read what has come; a whole head stops the timer."""
        super().handle_events()
        if not self.is_waiting:
            self._stop_head_timer()

    def on_response_complete(self) -> None:
        """Wait for the next request's head."""
        self._restart_head_timer()
        super().on_response_complete()

    @property
    def is_waiting(self) -> bool:
        """Whether the head of a request is waited for."""
        return self.cycle is None or self.cycle.response_complete

    def head_deadline_s(self) -> float:
        """Tell until when the head of a request is waited for.

        Returns:
            The time, on the event loop's clock.
        """
        return self._head_timer.when() if self._head_timer is not None else float("inf")

    def abort(self) -> None:
        """Close the connection at once."""
        self.connections.discard(self)
        self._stop_head_timer()
        self.transport.abort()

    def _restart_head_timer(self) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def max_connections() -> int:
    """Say how many connections may be open: half of the files that this process may have open, where that is less.

    Returns:
        The number.
    """
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft_limit == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft_limit // 2)
