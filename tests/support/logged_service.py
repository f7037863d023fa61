"""The simulated service of ``bench`` with a log: which worker sent what, when, and what it was told.

``python -m tests.support.logged_service ADDRESS`` prints its port and serves until its standard input ends. A worker is
known by its User-Agent. What ``bench.service`` has at ``/_plan`` and ``/_stats`` works as there; ``GET /_log`` is the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

import orjson

from bench.ceiling import CASES
from bench.measure import ROOT, STOP_TIMEOUT_S, RemoteService, client_environment
from bench.service import IN_TRANSIT_S, Connection, Plan, Service, _header

KINDS = {
    "20 a second": Plan(latency=0.05, capacity=64, rate=20, announce="seconds"),
    **{name: CASES[name].plan for name in ("100 a second, Retry-After as a date", "200 ms, 64 at once", "lists to 32")},
}
"""The services on which several workers are tried."""

_WAIT_TIMEOUT_S = 60.0
_POLL_INTERVAL_S = 0.02


class Entry(NamedTuple):
    """One request.

    Attributes:
        at: When it came, in seconds of the service's clock.
        worker: Who sent it.
        address: From where.
        inputs: What it asked.
        status: What it was told, 0 while it is not answered.
        resume_at: When the service announced to be asked again; None where this answer announced nothing.
    """

    at: float
    worker: str
    address: str
    inputs: list[str]
    status: int
    resume_at: float | None


class LoggedService(RemoteService):
    """The running service."""

    def log(self) -> list[Entry]:
        """All requests since the plan was set, in the order in which they came."""
        return [Entry(*values) for values in self._request("/_log", None)]

    def wait_for_answers(self, inputs: int) -> None:
        """Wait until so many inputs were answered.

        Args:
            inputs: How many, since the plan was set.

        Raises:
            TimeoutError: They were not within a minute.
        """
        deadline = time.monotonic() + _WAIT_TIMEOUT_S
        while (answered := self.stats()["items_answered"]) < inputs:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{answered} of {inputs} inputs were answered")
            time.sleep(_POLL_INTERVAL_S)


def times_answered(log: Sequence[Entry]) -> Counter[str]:
    """How often each input was answered.

    Args:
        log: Of one service.

    Returns:
        Counts by input.
    """
    return Counter(text for entry in log if entry.status == 200 for text in entry.inputs)


def early_requests(log: Sequence[Entry], in_transit_s: float = IN_TRANSIT_S) -> list[Entry]:
    """The requests that came before a time that had been announced, to whomever.

    Args:
        log: Of one service.
        in_transit_s: What comes so soon after an announcement was sent before anybody could know of it.

    Returns:
        Those that came later than that.
    """
    early, announced_at, resume_at = [], 0.0, 0.0
    for entry in log:
        if announced_at + in_transit_s <= entry.at < resume_at:
            early.append(entry)
        if entry.resume_at is not None and entry.resume_at > resume_at:
            announced_at = announced_at if entry.at < resume_at else entry.at
            resume_at = entry.resume_at
    return early


@contextlib.contextmanager
def logged_service(address: str = "127.0.0.1", prefix: Sequence[str] = ()) -> Iterator[LoggedService]:
    """Run one on a free port for the length of the block.

    Args:
        address: Where it listens.
        prefix: A command that runs it, such as one that enters a namespace.

    Returns:
        The running service.
    """
    command = [*prefix, sys.executable, "-m", "tests.support.logged_service", address]
    with subprocess.Popen(
        command, cwd=ROOT, env=client_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield LoggedService(f"http://{address}:{int(process.stdout.readline())}")
        finally:
            process.stdin.close()
            process.wait(STOP_TIMEOUT_S)


class _LoggedConnection(Connection):
    """A connection that writes down what comes and what goes."""

    log: ClassVar[list[list[object]]] = []

    def _handle(self, head: bytes, lowered_head: bytes, body: bytes) -> None:
        self._entry: list[object] | None = None
        method, path = head.split(b" ", 2)[:2]
        if path == b"/_log":
            self.reply(200, orjson.dumps(self.log))
            return
        if path == b"/_plan":
            self.log.clear()
        elif method == b"POST":
            inputs = orjson.loads(body)["inputs"]
            texts = inputs if isinstance(inputs, list) else [inputs]
            worker = _header(head.replace(b"User-Agent", b"user-agent"), b"user-agent").decode()
            self._account = _header(lowered_head, b"authorization")
            self._entry = [time.monotonic(), worker, self._transport.get_extra_info("peername")[0], texts, 0, None]
            self.log.append(self._entry)
        super()._handle(head, lowered_head, body)

    def reply(self, status: int, body: bytes, headers: bytes = b"") -> None:
        if self._entry is not None:
            self._entry[4] = status
            if b"Retry-After" in headers:
                self._entry[5] = self.service._announced[self._account][1]
        super().reply(status, body, headers)


async def _serve(address: str) -> None:
    loop = asyncio.get_running_loop()
    Connection.service = Service(Plan(), loop.call_later)
    server = await loop.create_server(_LoggedConnection, address, 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 -- a command prints
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
