"""Who works on which unit: files that one process creates and no other can.

A claim is the file ``<unit>.<turn>``. Only one process can create it (O_EXCL). Where its process is gone, a second file
says so (``<unit>.<turn>.lost``), and the next turn may be claimed. Nothing is ever removed, so two processes that see
the same claim lost cannot both take it over.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson

CLAIM_RENEW_INTERVAL_S = 5.0
"""Between two signs of life of a claim."""

CLAIM_LEASE_S = 30.0
"""A claim of another machine without a sign of life for so long is lost. No clocks are compared: it is the file that
has to change."""


class Owner(NamedTuple):
    """A process, as it can be told from all others.

    Attributes:
        machine: The host, its boot and its process ids' namespace: process ids mean something only within these.
        host: The host's name, for people.
        pid: The process id.
        started: When it started, as the kernel counts; None where that is not known.
    """

    machine: str
    host: str
    pid: int
    started: int | None

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        host = socket.gethostname()
        boot = _text_of(Path("/proc/sys/kernel/random/boot_id")) or "unknown boot"
        try:
            namespace = str(Path("/proc/self/ns/pid").readlink())
        except OSError:
            namespace = "one namespace"
        return cls(f"{host} {boot.strip()} {namespace}", host, os.getpid(), started_at(os.getpid()))


class _Sight(NamedTuple):
    """The time of change that a claim had, and since when we know it so, by our own clock."""

    changed: int
    since: float


class Claims:
    """The claims in a folder, and those of this process among them.

    Args:
        folder: Where the files are; all processes share it, also those of other machines.
        clock: Seconds, monotonic.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._owner = Owner.current()
        self._own: dict[int, Path] = {}
        self._sights: dict[Path, _Sight] = {}

    def take(self, unit: int) -> bool:
        """Claim a unit.

        Args:
            unit: Its number.

        Returns:
            Whether it is this process's now.
        """
        turn = 0
        while True:
            turn += 1
            path = self._path(unit, turn)
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            except FileExistsError:
                if _mark(path).exists():
                    continue
                return False
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps(self._owner._asdict()))
            self._own[unit] = path
            return True

    def is_taken_over(self, unit: int) -> bool:
        """Whether another process had a unit before, and may have stored answers of it.

        Args:
            unit: The number of one that is this process's.

        Returns:
            False where this process is the first.
        """
        return self._own[unit] != self._path(unit, 1)

    def finish(self, unit: int) -> None:
        """Stop renewing the claim of a unit that is done: its part is there, so nobody looks at the claim any more.

        Args:
            unit: Its number.
        """
        self._own.pop(unit, None)

    def give_back(self, unit: int) -> None:
        """Let another process claim a unit that this one has not finished.

        Args:
            unit: Its number.
        """
        if (path := self._own.pop(unit, None)) is not None:
            _mark(path).touch()

    def renew(self) -> None:
        """Show that this process lives. May be called from another thread."""
        for path in list(self._own.values()):
            with contextlib.suppress(FileNotFoundError):  # the job was finished meanwhile
                os.utime(path)

    def free(self, units: Collection[int]) -> list[int]:
        """Find what can be claimed, and mark claims whose process is gone.

        Args:
            units: The numbers of those that are not done.

        Returns:
            Those of them that nobody works on.
        """
        turns: dict[int, int] = {}
        marks: set[str] = set()
        for entry in os.scandir(self._folder):
            name = _CLAIM.fullmatch(entry.name)
            if name is None:  # a file system's own
                continue
            if name["mark"]:
                marks.add(name["claim"])
            else:
                unit = int(name["unit"])
                turns[unit] = max(turns.get(unit, 0), int(name["turn"]))
        found = []
        for unit_number in units:
            path = self._path(unit_number, turns.get(unit_number, 0))
            if unit_number not in turns or path.name in marks:
                found.append(unit_number)
            elif self._is_lost(path):
                _mark(path).touch()
                found.append(unit_number)
        return found

    def _is_lost(self, path: Path) -> bool:
        try:
            owner = Owner(**orjson.loads(path.read_bytes()))
            changed = path.stat().st_mtime_ns
        except FileNotFoundError:  # the job was finished meanwhile
            return False
        except (ValueError, TypeError):  # killed before it wrote who it is
            owner, changed = None, path.stat().st_mtime_ns
        if owner is not None and owner.machine == self._owner.machine:
            return not is_alive(owner)
        sight = self._sights.get(path)
        if sight is None or sight.changed != changed:
            sight = self._sights[path] = _Sight(changed, self._clock())
        return self._clock() - sight.since >= CLAIM_LEASE_S

    def _path(self, unit: int, turn: int) -> Path:
        return self._folder / f"{unit}.{turn}"


@contextmanager
def renewing(claims: Claims, also: Callable[[], None] | None = None) -> Iterator[None]:
    """Renew claims for the length of a block, on a thread.

    Args:
        claims: Of this process.
        also: What else is done then; None for nothing.

    Yields:
        Nothing.
    """
    over = threading.Event()

    def renew() -> None:
        while not over.wait(CLAIM_RENEW_INTERVAL_S):
            claims.renew()
            if also is not None:
                also()

    thread = threading.Thread(target=renew, name="claims", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


_MARK = ".lost"

_CLAIM = re.compile(rf"(?P<claim>(?P<unit>-?\d+)\.(?P<turn>\d+))(?P<mark>{re.escape(_MARK)})?")


def _mark(claim: Path) -> Path:
    return claim.with_name(claim.name + _MARK)


def is_alive(owner: Owner) -> bool:
    """Whether a process of this machine still runs.

    Args:
        owner: The process.

    Returns:
        False where there is none of its id, or another one that started at another time.
    """
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, so there is one
        pass
    return owner.started is None or owner.started == started_at(owner.pid)


def started_at(pid: int) -> int | None:
    """When a process started.

    Args:
        pid: Its id.

    Returns:
        Ticks since the boot; None where there is no such process (or only a zombie), or no /proc.
    """
    stat = _text_of(Path(f"/proc/{pid}/stat"))
    if stat is None:
        return None
    fields = stat.rpartition(")")[2].split()  # the name in brackets may hold anything
    return None if fields[0] == "Z" else int(fields[19])


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return None
