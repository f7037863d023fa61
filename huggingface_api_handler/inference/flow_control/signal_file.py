"""What the processes of one machine signal each other about a route, as the times of an empty file.

When it was last modified is when a pause of the route ends, and when it was last read, as nobody reads it, is when that
pause was signalled. When its status last changed is when anything was signalled. So a process sees all of it with one
system call before it sends a request, and nobody has to look in the background. The file is a hint that comes early:
the record of the route says the same.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from ..storage.trusted_file import UntrustedFileError, refuse_untrusted
from .route_ledger import MAX_PLAUSIBLE_PAUSE_S

_MODE = 0o600
_CLOCK_STEP_S = 1.0  # by which a clock is set back in passing: a pause is not ended by so little
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class SignalFile:
    """One route's file."""

    def __init__(self, path: Path) -> None:
        """Name the file. Nothing is read or written yet.

        Args:
            path: In a folder to which nobody else can write.
        """
        self._path = path
        self._seen_ns: tuple[int, int] | None = None

    def look(self) -> float | None:
        """Whether something was signalled since the last look, by this process or another.

        Returns:
            Seconds until a pause ends, 0.0 where none lasts; None where nothing was signalled.
        """
        try:
            status = os.lstat(self._path)
        except OSError:
            return None
        # Both, since file systems count in steps of milliseconds: two signals may change the status at the same time.
        times_ns = status.st_ctime_ns, status.st_mtime_ns
        if times_ns == self._seen_ns:
            return None
        self._seen_ns = times_ns
        return self.pause_s()

    def pause_s(self) -> float:
        """Seconds until a pause ends, as the file says.

        Returns:
            Seconds; 0.0 where none lasts.
        """
        try:
            status = os.lstat(self._path)
            refuse_untrusted(self._path, status)
        except (OSError, UntrustedFileError):
            return 0.0
        return _remaining_pause_s(status)

    def signal(self, pause_s: float = 0.0) -> None:
        """Let the others look. Call it where the folder was found to be this user's alone.

        Args:
            pause_s: Seconds from now in which no request may go. A pause that ends later is not shortened.
        """
        with suppress(OSError, UntrustedFileError):
            while not self._write(pause_s):
                pass  # the file was removed meanwhile, and what removed it may not have seen the pause

    def _write(self, pause_s: float) -> bool:
        descriptor = os.open(self._path, _FLAGS, _MODE)
        try:
            status = os.fstat(descriptor)
            if status.st_nlink == 0:
                return False
            refuse_untrusted(self._path, status)
            if pause_s > _remaining_pause_s(status):
                now = time.time()
                os.utime(descriptor, (now, now + pause_s))
            else:
                os.fchmod(descriptor, _MODE)  # which changes its status, and not when a pause ends
            return os.path.samestat(status, os.lstat(self._path))
        except FileNotFoundError:
            return False
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove the file, as no process uses the route. A pause that still lasts stays."""
        removed = self._path.with_name(f"{self._path.name}-removed")
        with suppress(OSError):
            self._path.rename(removed)
            # Looked at only now: what another process signals from here on goes to a new file.
            pause_s = _remaining_pause_s(removed.lstat())
            removed.unlink()
            if pause_s > 0:
                self.signal(pause_s)


def _remaining_pause_s(status: os.stat_result) -> float:
    now = time.time()
    if status.st_atime > now + _CLOCK_STEP_S:  # the clock was set back since
        return 0.0
    seconds = status.st_mtime - now
    return seconds if 0 < seconds < MAX_PLAUSIBLE_PAUSE_S else 0.0
