"""Run a command when no other holds a file's lock: ``python tools/one_at_a_time.py FILE COMMAND [argument ...]``.

pip builds this package in the checkout, in `build` and `*.egg-info`, so two installations of it at once may take each
other's files. The system frees the lock as the command ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import sys


def main(file: str, *command: str) -> None:
    """Wait for the lock, and become the command, which holds it from then on.

    Args:
        file: What is locked, which is there and stays as it is.
        command: The program and its arguments.
    """
    lock = os.open(file, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock, True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
