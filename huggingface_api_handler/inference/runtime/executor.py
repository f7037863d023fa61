"""Distinct inputs in, one prediction or one failure for each out: batches, requests, and what to do when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from ...config.settings import ModelSettings
from ...errors import UnreadableAnswer
from ...tasks import Input
from ...tasks.input_types import text_length
from ..failures import Failure, FailureKind
from ..flow_control import retry
from ..flow_control.circuit_breaker import CircuitBreaker, limit_spent
from ..flow_control.concurrency import FIRST_RESPONSE_TIMEOUT_S
from ..flow_control.retry import Batch, Retry, Split
from ..protocols.request import RequestResult
from ..protocols.routing import Route
from ..telemetry.usage import Usage
from ..transport.rate_limit_headers import RateLimitStatus
from .batch_trial import Answer, BatchTrial, Requests
from .chunked_text import with_advice
from .context import Dependencies
from .input_queue import InputQueue
from .input_stream import InputStream
from .request_sender import RequestSender
from .response_handler import ResponseHandler
from .results import Results
from .service_check import ServiceCheck
from .worker_pool import WorkerPool

_ORDINARY_INPUTS = 3  # enough to tell a wrong request from odd rows
_FIRST_BATCH_HEAD_START_S = 0.05  # whether a batch is too large is told at once


class QueryExecutor:
    """One query on one route.

    Args:
        model: the checked arguments of the model.
        route: where its requests go.
        timeout_s: seconds that one request may take.
        usage: counts what is asked and taken.
        dependencies: what the query uses.
        source: the distinct inputs, with the place for their results.

    Attributes:
        stopped: why the query ended before its time, or None.
        is_aborted: whether it was ended with what is in flight.
    """

    def __init__(
        self,
        model: ModelSettings,
        route: Route,
        timeout_s: float,
        usage: Usage,
        dependencies: Dependencies,
        source: InputStream,
    ) -> None:
        self.stopped: Failure | None = None
        self._model, self._deps = model, dependencies
        self._changed, self._end = asyncio.Event(), asyncio.Event()
        self.is_aborted = False
        self._active_batches = self._in_flight = 0
        self._breaker = CircuitBreaker(model, dependencies.retry_policy.max_wait_s, dependencies.max_away_s)
        self._pool = WorkerPool(self._abort)
        self._sender = RequestSender(
            model, route, timeout_s, usage, dependencies, is_stopped=lambda: self.stopped is not None
        )
        reading = model, source, usage, dependencies, self._breaker, self._reject
        self._handler = ResponseHandler(*reading, lambda: self._pool.start(queue.fill_parts()))
        self._queue = queue = InputQueue(
            model.definition,
            route.protocol.batching(model.definition),
            source,
            dependencies,
            self._handler.on_cached,
            lambda index, error: self._reject(index, Failure(FailureKind.INPUT_REJECTED, str(error))),
            self._changed.set,
            self._handler.long_texts,
        )
        parts = self._queue, self._sender, self._handler, self._breaker, dependencies
        self._service = ServiceCheck(*parts, self._finish, self.stop, self._changed.set, self._pool.start)
        asking = self._ask_unrecorded, self._finish, self._send_with_retries
        requests = Requests(*asking, lambda: self.stopped is not None, lambda: self._breaker.outage.is_on)
        self._trial = BatchTrial(self._queue, self._handler, dependencies, requests)

    @property
    def results(self) -> Results:
        """The predictions and failures, which fill as answers land."""
        return self._handler.results

    @property
    def done(self) -> int:
        """Inputs that have their prediction or their failure."""
        return self._handler.done

    @property
    def awaited(self) -> str | None:
        """What is waited for while the service is away, in words; None while it is there."""
        return self._breaker.outage.awaited if self._breaker.outage.is_on else None

    async def run(self) -> None:
        """Ask for everything that no stored answer serves, until done or stopped.

        Raises:
            Exception: a defect of ours by which a task of the query failed.
        """
        self._queue.start(self._pool.start)
        try:
            canary = await self._warm_up()
            await self._probe_batching(canary)
            await self._drain()
        finally:
            await self._pool.close()

    async def _warm_up(self) -> int | None:
        """Send one request alone on a route that has not answered yet, or is to be probed: a bad key would fail all.

        It would be told at once, so the others need not wait for a service that takes its time.
        """
        canary = None
        while await self._has_work() and self._wants_canary():
            if self._breaker.outage.is_on:
                await self._service.trial()
                continue
            if not self._queue.can_batch:  # a batch has others beside an odd one
                self._breaker.note_ordinary(self._queue.bring_forward(1))
            batch = self._queue.take()
            canary = batch.indexes[0]
            if await self._send_canary(batch, FIRST_RESPONSE_TIMEOUT_S):
                break
        return canary

    def _wants_canary(self) -> bool:
        return not self._breaker.has_answer and (not self._deps.profile.has_answered or self._trial.is_due)

    async def _probe_batching(self, canary: int | None) -> None:
        """Find out whether the route's answers to a batch can be trusted, and send the first batch ahead of others."""
        queue, profile = self._queue, self._deps.profile
        if self._trial.is_open and await self._has_work() and self._trial.claim():
            await self._try_batches(canary)
        if queue.can_batch and profile.batch_size.should_probe(len(queue.waiting)) and await self._has_work():
            await self._send_canary(queue.take(), _FIRST_BATCH_HEAD_START_S)

    async def _try_batches(self, canary: int | None = None) -> None:
        """Find out what the inputs that wait allow. ``canary`` is an input that was asked already."""
        self._active_batches += 1
        await self._trial.run(canary)
        self._active_batches -= 1
        self._changed.set()

    async def _drain(self) -> None:
        """Ask for all that waits, as many requests at once as the limiter allows."""
        if not self._breaker.has_answer and self._deps.profile.has_answered:
            self._breaker.is_cautious = True
            self._pool.start(self._lift_caution())
        if await self._has_work():
            self._pool.spawn_worker(self._worker())
            await self._end.wait()
        while not self.is_aborted and (self._in_flight or not self._queue.finished):
            if self.stopped is not None and not (self._in_flight or self._trial.is_running):
                self._queue.release_claims()  # what was not sent by now never is
                if self._queue.is_starved:
                    self.results.fail_remaining(self.stopped)  # the caller may wait for these before it reads more
            self._changed.clear()
            await self._changed.wait()

    async def _lift_caution(self) -> None:
        await asyncio.sleep(FIRST_RESPONSE_TIMEOUT_S)
        self._breaker.is_cautious = False
        self._changed.set()

    async def _send_canary(self, batch: Batch, timeout_s: float) -> bool:
        """Send one request and wait for it. True once ``timeout_s`` passed in which it was just out."""
        alone = self._pool.start(self._finish(batch))
        while not alone.done():
            sent = self._sender.sent
            await asyncio.wait({alone}, timeout=timeout_s)
            if self._sender.sent == sent > self._sender.received:
                return not alone.done()
        return False

    def stop(self, failure: Failure) -> None:
        """End the query now.

        Args:
            failure: the reason of every input that has not been answered.
        """
        self.stopped = self.stopped or failure.without_request()
        self._abort()

    def _stop_sending(self, failure: Failure) -> None:
        """Send nothing more. What is in flight was paid for and may land; what is stored costs nothing and is found."""
        self.stopped = self.stopped or failure
        self._queue.only_cached()
        self._end.set()
        self._changed.set()

    def _abort(self) -> None:
        self.is_aborted = True
        self._end.set()
        self._changed.set()

    async def _has_work(self) -> bool:
        """Wait until there is something to take; False when all is done, or the query has ended."""
        while self.stopped is None and not self._end.is_set():
            if self._queue.ready():
                return True
            if not self._active_batches and self._trial.claim_held():
                self._pool.start(self._try_batches())
            elif self._queue.finished and not (self._active_batches or self._trial.is_running):
                return False
            self._changed.clear()
            await self._changed.wait()
        return False

    async def _worker(self) -> None:
        me, pool, queue = cast("asyncio.Task[None]", asyncio.current_task()), self._pool, self._queue
        while await self._has_work():
            if self._trial.is_open and self._trial.claim():  # there were too few inputs before, or answers
                pool.start(self._try_batches())
                continue
            is_away = self._breaker.outage.is_on
            if self._breaker.holds_back(self._in_flight) or (not is_away and self._trial.goes_first):
                self._changed.clear()
                await self._changed.wait()
                continue
            if is_away:
                pool.start(self._service.trial())  # not here, since an idle worker may be cancelled
                continue
            if self._deps.answers.is_backlogged:
                await self._deps.answers.wait_for_backlog()
            await self._sender.acquire_slot()
            if self.stopped is not None or not queue.ready():
                self._sender.release_slot()
                continue
            batch = queue.take()
            self._active_batches += 1
            pool.mark_busy(me)
            if not pool.has_idle and queue.ready():  # one idle worker is kept, so that no slot is unused
                pool.spawn_worker(self._worker())
            queue.put_back(await self._send_with_retries(batch, has_slot=True))
            self._active_batches -= 1
            self._breaker.on_done(batch.indexes[0])
            if queue.has_parts or not (self._active_batches and self._breaker.has_answer):
                self._changed.set()
            pool.mark_idle(me)
        self._end.set()

    async def _finish(self, batch: Batch) -> None:
        """Ask for a batch until it is done, parts of it included, one request after another."""
        self._active_batches += 1
        stack = [batch]
        while stack and self.stopped is None:
            stack[:0] = await self._send_with_retries(stack.pop(0))
        self._active_batches -= 1
        self._changed.set()

    async def _send_with_retries(self, batch: Batch, *, has_slot: bool = False) -> Sequence[Batch]:
        """Ask until answered, refused for good, or to be split. Returns the parts still to be asked."""
        is_worker = has_slot
        while self.stopped is None:
            if not has_slot:
                await self._sender.acquire_slot()
            has_slot = False
            if len(batch.indexes) > 1 and not self._queue.can_batch:  # lost meanwhile
                self._sender.release_slot()
                return retry.singles(batch)
            batch.attempts += 1
            sent_to = self._sender.route
            outcome = await self._attempt(batch.indexes)
            if not isinstance(outcome, Failure):
                return self._after_answer(batch, outcome)
            if outcome.kind is FailureKind.NOT_SENT and not outcome.is_batch_too_large:
                self._queue.put_first([*batch.indexes, *batch.rest])
                self._stop_sending(outcome)
                return ()
            is_known = self._deps.profile.has_answered
            if outcome.is_unreachable and not is_known:
                outcome = replace(outcome, kind=FailureKind.FATAL)
            if await self._service.puts_off(batch, outcome, sent_to):
                return ()
            outcome = self._breaker.judge(outcome, len(batch.indexes), is_route_known=is_known)
            decision = self._deps.retry_policy.decide(outcome, batch.attempts, len(batch.indexes))
            if not isinstance(decision, Retry):
                return self._give_up(batch, replace(outcome, attempts=batch.attempts), decision)
            may_retry = not is_worker or self._breaker.may_retry(batch.indexes[0], outcome)
            if decision.counts:
                if not may_retry:
                    return [batch]
                self._sender.note_retry(outcome, batch.attempts, len(batch.indexes), decision.delay_s)
                await self._deps.sleep(decision.delay_s)
                if self._breaker.outage.is_on:
                    self._service.put_off(batch)
                    return ()
                continue
            batch.attempts -= 1
            self._sender.note_pause(outcome, len(batch.indexes))
            if (reason := self._breaker.on_rate_limited(outcome, self._deps.clock())) is not None:
                self.stop(reason)
            elif not may_retry:
                return [batch]
        return ()

    async def _attempt(self, indexes: Sequence[int]) -> Failure | Sequence[Batch]:
        """Send one request and record its answer. Returns its failure, or what of it is to be asked again."""
        if self.stopped is not None:
            self._sender.release_slot()
            return ()
        self._in_flight += 1
        had_answer = self._breaker.has_answer
        result = await self._sender.send(self._queue.items(indexes))
        outcome: Failure | Sequence[Batch] = result if isinstance(result, Failure) else ()
        if isinstance(result, RequestResult):
            record = self._trial.record if self._trial.is_open else self._handler.record
            outcome = result.failure or await record(self._queue, indexes, result)
            if result.failure is None:
                self._heed(result.rate_limit)
        self._in_flight -= 1
        if self.stopped is not None or not had_answer:
            self._changed.set()
        return outcome

    def _after_answer(self, batch: Batch, again: Sequence[Batch]) -> Sequence[Batch]:
        """What an answer leaves to do, beside what is to be asked again, where rejected inputs are looked for."""
        profile, indexes = self._deps.profile, batch.indexes
        if not (batch.is_part or profile.batch_size.is_limited or profile.length_limit.chars is not None):
            return again
        if not batch.is_part:
            profile.batch_size.on_no_input_rejected(len(indexes))
        if len(indexes) == 1 and indexes[0] >= 0:
            profile.length_limit.on_answered(text_length(self._queue.inputs[indexes[0]]))
        if again:
            self._queue.put_first(batch.rest)
        return again or retry.rest_of(batch)

    def _heed(self, rate_limit: RateLimitStatus | None) -> None:
        """Stop where the service says with an answer that it gives no more of them for longer than a query waits."""
        spent = limit_spent(rate_limit, self._deps.retry_policy.max_wait_s)
        if spent is not None and not (self._queue.finished and not (self._queue.waiting or self._queue.has_parts)):
            self._stop_sending(spent)

    def _give_up(self, batch: Batch, failure: Failure, decision: retry.Split | retry.GiveUp) -> Sequence[Batch]:
        """What a failure that more attempts will not cure leaves to do."""
        self._queue.put_first(batch.rest)
        self._changed.set()
        if isinstance(decision, Split):
            self._breaker.on_batch_rejected(failure)
            self._follow_up(failure)
            parts = self._queue.isolate_long(batch, failure) if failure.is_too_long else None
            return retry.split(batch, failure, self._deps.profile) if parts is None else parts
        if decision.whole_query:
            return self._service.ask_alone_or_stop(batch, failure)
        self._reject(batch.indexes[0], failure)
        return ()

    def _reject(self, index: int, failure: Failure) -> None:
        self._queue.drop(index)
        if self._handler.long_texts.refused(index, failure):
            return
        if failure.is_too_long:
            self._deps.profile.length_limit.on_too_long(text_length(self._queue.inputs[index]))
            failure = with_advice(failure, self._queue.inputs[index], self._model)
        self._handler.fail(index, failure.without_request())
        if index < 0:
            return  # the rows that it is part of have failed, each by itself
        if self._model.on_error == "raise":
            self.stop(failure)
        elif (reason := self._breaker.on_rejected(index, failure, self._queue.unsent)) is not None:
            self._service.blame_request(reason)
        else:
            self._follow_up(failure)

    def _follow_up(self, failure: Failure) -> None:
        """Find out what refusals mean that may be of the rows or of every request."""
        if self._breaker.wants_ordinary:
            self._breaker.note_ordinary(self._queue.bring_forward(_ORDINARY_INPUTS))
        elif self._breaker.doubts_route:
            self._breaker.on_response()
            self._pool.start(self._service.check_route(failure))

    async def _ask_unrecorded(self, items: Sequence[Input]) -> Answer:
        """Send one request whose answer is not yet to be trusted."""
        await self._sender.acquire_slot()
        if self.stopped is not None:
            self._sender.release_slot()
            return Failure(FailureKind.NOT_SENT, "the query has ended")
        result = await self._sender.send(items)
        if isinstance(result, Failure):
            if result.kind is FailureKind.NOT_SENT and not result.is_batch_too_large:
                self._stop_sending(result)
            return result
        try:
            return result.failure or await self._handler.predictions(items, result)
        except UnreadableAnswer as error:
            return error
