"""One process of a job: claims units, predicts them as one query, and writes their parts.

``python -m huggingface_api_handler.runners.parquet.worker`` reads its job, a line of JSON, from standard input, and
ends when that ends: so it ends with the process that started it, however that ends. It tells ``Message`` lines of JSON.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import orjson

from ...errors import HuggingFaceAPIError
from ...inference.cascade.run import predict_frames
from ...inference.runtime.context import Query
from ...inference.runtime.failure_tally import MIN_FAILURES_OF_PARTITION
from ...inference.runtime.frames import OpenedFrame, open_frame
from ...inference.runtime.session import Session
from ...inference.runtime.usage_record import usage_so_far
from ...inference.telemetry.usage import UsageValue
from .claims import Claims, renewing
from .drain import Drain
from .job import Arguments, Job
from .parts import ENDS_QUERY, PartWriter, part_path, write_usage
from .source import UnitReader
from .units import Unit

if TYPE_CHECKING:
    import pandas as pd


class Message(NamedTuple):
    """What a worker tells the process that started it.

    Attributes:
        unit: Of which rows were predicted; None where it is about none.
        rows: Those of the unit so far.
        failures: Rows of the unit without a prediction, by the kind of failure.
        is_done: Whether the part of the unit is there.
        stopped: Why the worker ended before the job; None while it works.
    """

    unit: int | None = None
    rows: int = 0
    failures: dict[str, int] = {}  # noqa: RUF012 - never changed
    is_done: bool = False
    stopped: str | None = None


class _Piece(NamedTuple):
    """A slice that is being asked."""

    unit: Unit
    opened: OpenedFrame


_SHARES_OF_WORKER = 2
"""Shares in which a worker takes what would be its part of a file, so that the first does not read all of a short one
ahead, and none waits long for the last."""


class Worker:
    """The units that one process takes.

    Args:
        job: The job.
        query: Of which all its units are part.
        drain: Says when to take no more.
    """

    def __init__(self, job: Job, query: Query, drain: Drain) -> None:
        self._job, self._query, self._drain = job, query, drain
        self._claims = Claims(job.claims)
        self._reader = UnitReader(job.source)
        self._pieces: deque[_Piece] = deque()
        self._writers: dict[int, PartWriter] = {}
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._undone: set[int] = set()
        self._ending_reason: str | None = None
        self._most_in_hand = job.source.rows / (_SHARES_OF_WORKER * job.arguments.workers)

    def run(self) -> str | None:
        """Predict units until nobody else has one to give.

        Returns:
            Why it ended before that; None where it did not.

        Raises:
            InferenceError: No row was answered.
        """
        min_failures = 1 if len(self._job.units) == 1 else MIN_FAILURES_OF_PARTITION
        outs = predict_frames(self._frames(), self._query, cancel=self._drain.cancel, min_failures=min_failures)
        try:
            with renewing(self._claims, self._write_usage):
                for out in outs:
                    self._write(out)
        finally:
            for number, writer in self._writers.items():
                writer.discard()
                self._undone.add(number)
            for number in self._undone:
                self._claims.give_back(number)
            self._write_usage()
        return self._ending_reason

    @property
    def _rows_in_hand(self) -> int:
        return sum(self._job.units[number].rows for number in self._undone)

    def _frames(self) -> Iterator[pd.DataFrame | None]:
        """The slices of units, each claimed as its first slice is read."""
        for unit in self._job.units:
            if self._rows_in_hand + unit.rows > self._most_in_hand and self._undone:
                yield None  # and done with these first
            if self._drain.has_begun or self._ending_reason is not None:
                return
            if part_path(self._job.parts, unit.number).exists() or not self._claims.take(unit.number):
                continue
            if part_path(self._job.parts, unit.number).exists():  # it was done between the two
                self._claims.finish(unit.number)
                continue
            self._undone.add(unit.number)
            if self._claims.is_taken_over(unit.number):
                self._query.answers.look_again()
            for table in self._reader.read(unit):
                opened = open_frame(table, self._job.model)
                self._pieces.append(_Piece(unit, opened))
                yield opened.frame
            if self._query.model.cascade is not None:
                yield None  # each unit is certified for itself, as it may be done by another process

    def _write(self, out: pd.DataFrame) -> None:
        """Write the predictions of the oldest slice."""
        unit, opened = self._pieces.popleft()
        reasons = out.iloc[:, -1]
        ending = [reason for reason in reasons[reasons.notna()] if reason.startswith(_ENDING)]
        if ending:
            self._ending_reason = self._ending_reason or ending[0]
        elif unit.number in self._undone:
            writer = self._writers.get(unit.number)
            if writer is None:
                writer = self._writers[unit.number] = PartWriter(
                    self._job.parts, unit.number, self._job.source.predictions
                )
            writer.write(opened.close(out))
            is_done = writer.rows == unit.rows
            if is_done:
                writer.finish()
                self._claims.finish(unit.number)
                self._undone.discard(unit.number)
                del self._writers[unit.number]
                self._write_usage()
            tell(Message(unit.number, writer.rows, dict(writer.failures), is_done))

    def _write_usage(self) -> None:
        write_usage(self._job.parts, self._name, self._query.session.http.submit(_record(self._query)).result())


async def _record(query: Query) -> dict[str, UsageValue]:
    """What was used, on the thread that counts it."""
    return usage_so_far(query).to_record()


_ENDING = tuple(kind.value for kind in ENDS_QUERY)


def tell(message: Message) -> None:
    """Write a message.

    Args:
        message: For the process that started this one.
    """
    with contextlib.suppress(BrokenPipeError):  # it is gone, and so this one ends too
        sys.stdout.buffer.write(orjson.dumps(message._asdict()) + b"\n")
        sys.stdout.buffer.flush()


def main() -> int:
    """Work on the job that standard input names.

    Returns:
        The exit status: 0 also where the work ended early, which a message says.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is told by the process that started this one
    arguments = Arguments(**orjson.loads(sys.stdin.buffer.readline()))
    drain = Drain()
    signal.signal(signal.SIGTERM, lambda *_: drain.begin())
    threading.Thread(target=_drain_with_parent, args=(drain,), name="parent", daemon=True).start()
    try:
        job = Job.of(arguments)
        with Session(limiter=drain) as session:
            stopped = Worker(job, job.query(session), drain).run()
    except HuggingFaceAPIError as error:
        stopped = str(error)
    if stopped is not None and not drain.has_begun:
        tell(Message(stopped=stopped))
    return 0


def _drain_with_parent(drain: Drain) -> None:
    while os.read(0, 1):
        pass
    drain.begin()


if __name__ == "__main__":
    sys.exit(main())
