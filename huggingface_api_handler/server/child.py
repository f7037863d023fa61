"""The server as the child of another process, on a socket that its parent opened. It ends with its parent.

``python -m huggingface_api_handler.server.child FD``: ``FD`` is the number of the socket, and standard input a pipe
whose other end nobody but the parent has. However the parent ends, the operating system closes that end.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import NoReturn

from . import run


def main() -> None:
    """Serve at the socket that is named on the command line, until standard input ends."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    # With its protocol, which a Mac does not tell: asyncio sends small answers at once only where it knows that.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=int(sys.argv[1]))
    run(listener=listener)


def _end_with_parent() -> NoReturn:
    while os.read(0, 1):
        pass
    os._exit(0)  # nobody is left to answer, and there is nothing to save


if __name__ == "__main__":
    main()
