"""Sockets that listen, for tests that count who connects."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable


def accept_connections(listening: socket.socket, on_connection: Callable[[socket.socket], None]) -> threading.Thread:
    """Accept connections in a thread, until the socket is closed.

    Args:
        listening: The socket, which listens already.
        on_connection: Called in that thread with each connection.

    Returns:
        The thread, which was started.
    """

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            on_connection(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    return thread
