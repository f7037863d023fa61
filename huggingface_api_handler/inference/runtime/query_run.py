"""One query on the event loop, driven from the caller's thread."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace
from typing import Protocol

from ...errors import InferenceError, InputError, SessionClosedError
from ...redaction import secret_in_use
from ...tasks import Input
from ..failures import Failure, FailureKind
from ..flow_control.route_registry import RouteState
from ..telemetry.usage import UsageValue
from .budgets import Budgets
from .context import Query
from .executor import QueryExecutor
from .failover import is_undone, may_go_on, next_query
from .input_stream import InputStream
from .progress import Phase, Report
from .results import Results
from .rows import Rows

logger = logging.getLogger(__name__)

_WATCH_INTERVAL_S = 0.1
_SIGNAL_INTERVAL_S = 0.5
_LOG_INTERVAL_S = 5.0
_INTERRUPT_TIMEOUT_S = 1.0
_PRICES_INTERVAL_S = 60.0


class Cancel(Protocol):
    """Any event: ``threading.Event`` and its kin."""

    def is_set(self) -> bool:
        """Whether the query is to end."""
        ...


@dataclass
class _FrameWatch:
    """The frame that is waited for: ``event`` is set once it is done, and ``usage`` is what was taken by then."""

    rows: Rows
    event: threading.Event = field(default_factory=threading.Event)
    usage: dict[str, UsageValue] | None = None


class QueryRun:
    """A query that is asked as its inputs come. All methods are called from the caller's thread.

    Args:
        query: what is asked, and of which route.
        report: is called about ten times a second, on the event loop's thread.
        cancel: ends the query once it is set, with what it has.
        since: from when ``max_seconds`` counts, on the monotonic clock; None for the first input that is asked.
        phase: gives the phase of the cascade that the query is part of; None without one.

    Attributes:
        results: what became of the inputs. Read only those that ``wait_for`` has waited for.
    """

    def __init__(
        self,
        query: Query,
        report: Report | None,
        cancel: Cancel | None,
        *,
        since: float | None = None,
        phase: Callable[[], Phase | None] | None = None,
    ) -> None:
        self.results = Results()
        self._since = since
        self._query, self._report, self._cancel = query, report, cancel
        self._phase = phase
        self._http = query.session.http
        self._source = InputStream(self.results, self._http.call_soon)
        self._finished = threading.Event()
        self._future: Future[None] | None = None
        self._executor: QueryExecutor | None = None
        self._asked = query  # at the provider that is asked now
        self._is_over = False  # no other provider is asked any more
        self._pid = os.getpid()
        self._watched: _FrameWatch | None = None

    @property
    def fatal(self) -> Failure | None:
        """Why the query fails: it ended without any answer, or at its first failure where ``on_error`` is 'raise'."""
        stopped = self._executor.stopped if self._executor is not None else None
        if stopped is not None and self._may_go_on(stopped):
            return None
        if stopped is None or self._query.model.on_error == "raise":
            return stopped
        if self._query.model.on_error == "null":
            return None
        return stopped if stopped.kind is FailureKind.FATAL and not self.results.answered else None

    @property
    def is_cancelled(self) -> bool:
        """Whether the caller's event has ended the query."""
        return self._finished.is_set() and self._cancel is not None and self._cancel.is_set()

    @property
    def was_forked(self) -> bool:
        """Whether the query belongs to the process that this one was forked from, where its event loop is."""
        return os.getpid() != self._pid

    def ask(self, rows: Rows, inputs: Sequence[Input]) -> None:
        """Ask about the new inputs of a frame.

        Args:
            rows: the rows of the frame.
            inputs: those that no earlier row asks about.
        """
        if not inputs:
            return
        self._check_process()
        is_open = self._source.add(inputs)
        if self._future is None:  # not before: how many inputs there are says whether prices are asked for
            self._future = self._http.submit(self._execute())
        if not is_open:
            self._join()
            self._fail_unasked(rows.stop)

    def has_answered(self, rows: Rows) -> bool:
        """Whether all inputs of a frame are done. Does not wait.

        Args:
            rows: the rows of the frame, the oldest that was not given back.

        Returns:
            True where ``wait_for`` would not wait.
        """
        return self._future is None or self._finished.is_set() or self._watch(rows).event.is_set()

    def wait_for(self, rows: Rows) -> dict[str, UsageValue]:
        """Wait until all inputs of a frame are done.

        Args:
            rows: the rows of the frame, the oldest that was not given back.

        Returns:
            What the query had asked and taken by then, as ``Usage.as_dict``.

        Raises:
            InputError: a budget cannot be held, so that nothing was sent.
            SessionClosedError: the session was closed meanwhile.
            InferenceError: this process was forked from the query's.
            Exception: a defect of ours by which the query failed.
        """
        self._check_process()
        if self._future is None:
            return self._query.usage.as_dict()
        watch = self._watch(rows)
        if not self._finished.is_set():
            self._wait(watch.event)
        if self._finished.is_set() or self._is_ending:
            self._join()
        return watch.usage or self._query.usage.as_dict()

    def end(self) -> None:
        """Say that no more inputs come, and wait for the end of the query: answers stored, leases given back.

        Raises:
            SessionClosedError: the session was closed meanwhile.
            InferenceError: this process was forked from the query's.
            Exception: a defect of ours by which the query failed.
        """
        self._check_process()
        self._source.end()
        if self._future is not None:
            self._wait(self._finished)
            self._join()

    def abandon(self) -> None:
        """End the query now. Answers that are there are stored. Does nothing once it has ended."""
        if self._future is not None and not (self._finished.is_set() or self.was_forked):
            self._future.cancel()  # counts as cancelled at once, while the query still has answers to store
            if not self._http.is_on_loop:  # where a garbage collection ends it
                self._finished.wait(_INTERRUPT_TIMEOUT_S)

    def drop_before(self, index: int) -> None:
        """Forget inputs whose frames were given back.

        Args:
            index: of the first input that is still needed.
        """
        if self._finished.is_set():  # so nothing else reads them
            self._forget(index)
        elif self._future is not None:
            self._http.submit(self._drop_before(index)).result()

    @property
    def _is_ending(self) -> bool:
        """Whether the query was ended with what is in flight, and not to go on at another provider."""
        executor = self._executor
        return executor is not None and executor.is_aborted and not self._may_go_on(executor.stopped)

    def _may_go_on(self, stopped: Failure | None) -> bool:
        return not self._is_over and may_go_on(self._asked, stopped)

    def _watch(self, rows: Rows) -> _FrameWatch:
        if self._watched is None or self._watched.rows is not rows:
            watch = self._watched = _FrameWatch(rows)

            def on_done() -> None:
                watch.usage = self._query.usage.as_dict()  # here, where nothing changes it meanwhile
                watch.event.set()

            if not self._finished.is_set():
                self._http.call_soon(lambda: self.results.when_done(rows.stop, on_done))
        return self._watched

    def _wait(self, event: threading.Event) -> None:
        """Wait for an event, or for the end of the query. Ctrl-C here ends the query on its thread, answers stored."""
        try:
            # In turns: a signal that another thread was given does not end a wait of this one.
            while not event.wait(_SIGNAL_INTERVAL_S) and not self._finished.is_set():
                pass
        except KeyboardInterrupt:
            self.abandon()
            raise

    def _join(self) -> None:
        self._finished.wait()
        try:
            if self._future is not None:
                self._future.result()
        except CancelledError:
            raise SessionClosedError from None

    def _check_process(self) -> None:
        if self.was_forked:
            raise InferenceError("the query belongs to the process that this one was forked from. Begin one here")

    def _fail_unasked(self, stop: int) -> None:
        """Give inputs that came after the end of the query its reason. The event loop reads no results any more."""
        self.results.extend(stop - len(self.results))
        stopped = self._executor.stopped if self._executor is not None else None
        self.results.fail_remaining(stopped or _not_sent("the query ended before this row"))

    async def _drop_before(self, index: int) -> None:
        self._forget(index)

    def _forget(self, index: int) -> None:
        self.results.drop_before(index)
        self._source.drop_before(index)

    async def _execute(self) -> None:
        with secret_in_use(self._query.route.secret):
            await self._ask_all()

    async def _ask_all(self) -> None:
        try:
            await self._ask_providers(self._query.budgets())
        finally:
            self._is_over = True
            self._fail_unasked(self._source.close())
            self._finished.set()

    async def _ask_providers(self, budgets: Budgets) -> None:
        started = time.monotonic() if self._since is None else self._since
        try:
            while not await self._ask_provider(started, budgets):
                self.results.reopen(is_undone)
                self._source.begin_again()
        finally:
            await budgets.release()

    async def _ask_provider(self, started: float, budgets: Budgets) -> bool:
        """Ask one provider for all that has no answer. False where it fails for everybody, and there is another."""
        query = self._asked
        await query.refresh_prices(self._source.count)
        route, state, dependencies = await query.dependencies()
        if not query.usage.requests and (reason := budgets.why_unbounded(query.engine.timeout)) is not None:
            raise InputError(reason)
        # Requests are those of the providers before.
        dependencies = replace(dependencies, sent=query.usage.requests, budgets=budgets)
        self._executor = executor = QueryExecutor(
            query.model, route, query.engine.timeout, query.usage, dependencies, self._source
        )
        try:
            await self._run(executor, state, started)
        finally:
            state.save()
            await dependencies.answers.flush()
        if executor.stopped is None or not may_go_on(query, executor.stopped):
            return True
        following = await next_query(query, executor.stopped)
        if isinstance(following, Failure):
            executor.stopped = following
            return True
        self._asked = following
        return False

    async def _run(self, executor: QueryExecutor, state: RouteState, started: float) -> None:
        peers = asyncio.create_task(state.coordinator.watch())
        prices = asyncio.create_task(self._renew_prices())
        watcher = asyncio.create_task(self._watch_over(executor, state, started))
        work = asyncio.create_task(executor.run())
        try:
            await asyncio.wait([work, watcher], return_when=asyncio.FIRST_COMPLETED)
            if watcher.done():
                watcher.result()
        finally:
            for task in (watcher, work, peers, prices):
                task.cancel()
            await asyncio.gather(work, watcher, peers, prices, return_exceptions=True)
            # A short query may be done before it is told of any, and one that Ctrl-C ends has done more since.
            if self._report is not None:
                self._report(executor.done, self._source.count)
        if not work.cancelled():
            work.result()

    async def _renew_prices(self) -> None:
        while True:
            await asyncio.sleep(_PRICES_INTERVAL_S)
            await self._query.refresh_prices(self._source.count)

    async def _watch_over(self, executor: QueryExecutor, state: RouteState, started: float) -> None:
        """Tell of progress, and end the query when it is cancelled or its time is up."""
        max_seconds = self._query.model.max_seconds
        logged = time.monotonic()
        while True:
            now, total = time.monotonic(), self._source.count
            if self._report is not None:
                self._report(executor.done, total)
            if self._cancel is not None and self._cancel.is_set():
                return executor.stop(_not_sent("the query was cancelled before this row"))
            if max_seconds is not None and now - started >= max_seconds:
                return executor.stop(_not_sent(f"max_seconds = {max_seconds:g} was reached before this row"))
            if now - logged >= _LOG_INTERVAL_S and executor.done < total:  # else it waits to be told more inputs
                logged = now
                if executor.awaited is not None:
                    logger.info("waiting for %s", executor.awaited)
                self._log(executor.done, total, now - started)
                state.save()
            await asyncio.sleep(_WATCH_INTERVAL_S)

    def _log(self, done: int, total: int, seconds: float) -> None:
        """Log how far the query is, or the phase of the cascade that it is part of."""
        text, at_most = f"{done} of {total}", ""
        if (phase := None if self._phase is None else self._phase()) is not None:
            text, at_most = f"cascade, {phase.text}", "at most " if phase.is_most else ""
            done, total, seconds = phase.done, phase.total, phase.seconds
        rate = done / max(seconds, _WATCH_INTERVAL_S)
        remaining = f", {at_most}{(total - done) / rate:.0f} s left" if rate else ""
        if (usd := self._query.usage.spending.estimated) is not None and usd.high:
            remaining += f", {usd.in_usd} in all"
        logger.info("%s inputs answered, %.1f a second%s", text, rate, remaining)


def _not_sent(reason: str) -> Failure:
    return Failure(FailureKind.NOT_SENT, reason)
