"""Distinct inputs in, one prediction or one failure for each out: batches, requests, and what to do when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from ...config.settings import ModelSettings
from ...errors import MediaError, UnreadableAnswer
from ...tasks import Input, Prediction
from ..failures import Failure, FailureKind, rejection_kind
from ..flow_control import retry
from ..flow_control.batch_probe import probe_batching, should_probe_batching
from ..flow_control.batching import can_batch
from ..flow_control.circuit_breaker import CircuitBreaker
from ..flow_control.concurrency import FIRST_RESPONSE_TIMEOUT_S
from ..flow_control.limiter import Outcome
from ..flow_control.retry import Batch, backoff_s, max_attempts
from ..protocols.request import RequestResult, build_request, send_request
from ..protocols.routing import Route
from ..telemetry.usage import Usage
from .context import Dependencies, outcome_of, save_media
from .input_queue import InputQueue
from .results import Results

_FIRST_BATCH_HEAD_START_S = 0.05  # whether a batch is too large is told at once


class QueryExecutor:
    """One query on one route.

    Args:
        model: the checked arguments of the model.
        route: where its requests go.
        timeout_s: seconds that one request may take.
        usage: counts what is asked and taken.
        dependencies: what the query uses.
        inputs: the distinct inputs.

    Attributes:
        results: fills as answers land.
        stopped: why the query ended before its time, or None.
        done: inputs that have their prediction or their failure.
    """

    def __init__(
        self,
        model: ModelSettings,
        route: Route,
        timeout_s: float,
        usage: Usage,
        dependencies: Dependencies,
        inputs: Sequence[Input],
    ) -> None:
        self.results = Results(len(inputs))
        self.stopped: Failure | None = None
        self.done = 0
        self._model, self._task, self._inputs = model, model.definition, list(inputs)
        self._route, self._timeout_s, self._usage = route, timeout_s, usage
        self._deps, self._profile = dependencies, dependencies.profile
        self._changed = asyncio.Event()
        self._queue = InputQueue(
            self._task,
            self._inputs,
            dependencies,
            self._on_cached,
            lambda index, error: self._reject(index, Failure(FailureKind.INPUT_REJECTED, str(error))),
            self._changed.set,
        )
        self._workers: set[asyncio.Task[None]] = set()
        self._idle_workers: set[asyncio.Task[None]] = set()
        self._active_batches = self._in_flight = 0
        self._has_budget = model.max_requests is not None or dependencies.quota.is_limited
        self._end = asyncio.Event()
        self._aborted = False
        self._breaker = CircuitBreaker(model)
        self._waited_until_s = 0.0

    async def run(self) -> None:
        """Ask for everything that no stored answer serves, until done or stopped."""
        feeder = asyncio.create_task(self._queue.fill())
        feeder.add_done_callback(self._on_task_done)
        try:
            canary = await self._warm_up()
            await self._probe_batching(canary)
            await self._drain()
        finally:
            for task in (feeder, *self._workers):
                task.cancel()
            ended = await asyncio.gather(feeder, *self._workers, return_exceptions=True)
        for problem in ended:
            if isinstance(problem, Exception):  # a defect, which must show
                raise problem

    async def _warm_up(self) -> int | None:
        """Send one request alone on a route that has not answered yet: a bad key would fail all of them.

        It would be told at once, so the others need not wait for a service that takes its time.
        """
        canary = None
        while not self._profile.has_answered and await self._has_work():
            batch = self._queue.take()
            canary = batch.indexes[0]
            if await self._send_canary(batch, FIRST_RESPONSE_TIMEOUT_S):
                break
        return canary

    async def _probe_batching(self, canary: int | None) -> None:
        """Find out whether the route's answers to a batch can be trusted, and send the first batch ahead of others."""
        waiting, profile = self._queue.waiting, self._profile
        if await self._has_work() and not self._queue.has_parts and should_probe_batching(self._task, profile, waiting):
            answered = canary if canary is not None and isinstance(self.results[canary], Prediction) else None
            ask = self._ask_batched, self._ask_single
            accepts = await probe_batching(self._task, self._inputs, waiting, *ask, answered)
            profile.accepts_batches = profile.accepts_batches if accepts is None else accepts
        if can_batch(self._task, profile) and profile.batch_size.should_probe(len(waiting)) and await self._has_work():
            await self._send_canary(self._queue.take(), _FIRST_BATCH_HEAD_START_S)

    async def _drain(self) -> None:
        """Ask for all that waits, as many requests at once as the limiter allows."""
        if await self._has_work():
            self._spawn_worker()
            await self._end.wait()
        while not self._aborted and (self._in_flight or not self._queue.finished):
            self._changed.clear()
            await self._changed.wait()

    async def _send_canary(self, batch: Batch, timeout_s: float) -> bool:
        """Send one request and wait for it. True once ``timeout_s`` passed in which it was just out."""
        alone = asyncio.create_task(self._finish(batch))
        alone.add_done_callback(self._on_task_done)
        self._workers.add(alone)
        usage = self._usage
        while not alone.done():
            sent = usage.requests
            await asyncio.wait({alone}, timeout=timeout_s)
            if usage.requests == sent > sum(usage.latencies.values()):
                return not alone.done()
        return False

    def stop(self, failure: Failure) -> None:
        """End the query now.

        Args:
            failure: the reason of every input that has not been answered.
        """
        self.stopped = self.stopped or failure
        self._abort()

    def _stop_sending(self, failure: Failure) -> None:
        """Send nothing more. What is in flight was paid for and may land; what is stored costs nothing and is found."""
        self.stopped = self.stopped or failure
        self._queue.only_cached()
        self._end.set()
        self._changed.set()

    def _abort(self) -> None:
        self._aborted = True
        self._end.set()
        self._changed.set()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._workers.discard(task)
        else:  # a defect, which must show
            self._abort()

    async def _has_work(self) -> bool:
        """Wait until there is something to take; False when all is done, or the query has ended."""
        while self.stopped is None and not self._end.is_set():
            if self._queue.ready():
                return True
            if self._queue.finished and not self._active_batches:
                return False
            self._changed.clear()
            await self._changed.wait()
        return False

    def _spawn_worker(self) -> None:
        """Keep one idle worker, so that no slot of the limiter is unused."""
        worker = asyncio.create_task(self._worker())
        self._workers.add(worker)
        self._idle_workers.add(worker)
        worker.add_done_callback(self._on_task_done)

    async def _worker(self) -> None:
        me = cast("asyncio.Task[None]", asyncio.current_task())
        while await self._has_work():
            if self._deps.answers.is_backlogged:
                await self._deps.answers.wait_for_backlog()
            await self._acquire_slot()
            if self.stopped is not None or not self._queue.ready():
                self._deps.limiter.release(None)
                continue
            batch = self._queue.take()
            self._active_batches += 1
            self._idle_workers.discard(me)
            if not self._idle_workers and self._queue.ready():
                self._spawn_worker()
            self._queue.put_back(await self._send_with_retries(batch, has_slot=True))
            self._active_batches -= 1
            if self._queue.has_parts or not self._active_batches:
                self._changed.set()
            if len(self._idle_workers) > 1:  # two wait for a slot already, so there are fewer slots than there were
                self._idle_workers.pop().cancel()
            self._idle_workers.add(me)
        self._end.set()

    async def _acquire_slot(self) -> None:
        waited_s = await self._deps.limiter.acquire()
        if waited_s:
            now = self._deps.clock()
            self._usage.seconds_waited += max(0.0, now - max(now - waited_s, self._waited_until_s))
            self._waited_until_s = now

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
        while self.stopped is None:
            if not has_slot:
                await self._acquire_slot()
            has_slot = False
            if len(batch.indexes) > 1 and not can_batch(self._task, self._profile):  # lost since this was packed
                self._deps.limiter.release(None)
                return retry.singles(batch)
            batch.attempts += 1
            outcome = await self._attempt(batch.indexes)
            if not isinstance(outcome, Failure):
                return outcome
            if outcome.is_unreachable and not self._profile.has_answered:
                outcome = replace(outcome, kind=FailureKind.FATAL)
            if outcome.kind is FailureKind.RATE_LIMITED:
                batch.attempts -= 1
                self._usage.rate_limit_waits += 1
                if (reason := self._breaker.on_rate_limited(outcome, self._deps.clock())) is not None:
                    self.stop(reason)
                continue
            if outcome.kind is FailureKind.TRANSIENT and batch.attempts < max_attempts(batch):
                self._usage.retries += 1
                await self._deps.sleep(backoff_s(batch.attempts))
                continue
            return self._on_failure(batch, replace(outcome, attempts=batch.attempts))
        return ()

    async def _attempt(self, indexes: Sequence[int]) -> Failure | Sequence[Batch]:
        """Send one request and record its answer. Returns its failure, or what of it is to be asked again."""
        self._in_flight += 1
        result = await self._send(indexes)
        if isinstance(result, RequestResult):
            outcome = result.failure or await self._record_response(indexes, result.answer)
        else:
            outcome = result or ()
        self._in_flight -= 1
        if self.stopped is not None:
            self._changed.set()
        return outcome

    async def _send(self, indexes: Sequence[int]) -> RequestResult | Failure | None:
        """The result of a request, in a slot that was acquired.

        A failure where it cannot be built, None where the query has ended.
        """
        deps, usage = self._deps, self._usage
        outcome: Outcome | None = None
        try:
            try:
                items = [self._queue.item(index) for index in indexes]
                request, provider_request = build_request(self._route, self._model, items)
            except (TypeError, ValueError) as error:
                return Failure(rejection_kind(len(indexes)), f"the input cannot be sent ({error})")
            if self.stopped is not None or (self._has_budget and await self._is_over_budget()):
                return None
            usage.record_request(len(indexes), len(request.body))
            started = deps.clock()
            result = await send_request(
                deps.post, self._route, self._model, request, provider_request, len(indexes), self._timeout_s
            )
            outcome = outcome_of(result, deps.clock() - started, len(indexes))
        finally:
            deps.limiter.release(outcome)
        usage.record_response(outcome.seconds, result.bytes_received, result.headers, result.answer)
        if result.failure is None and len(indexes) > 1:
            self._profile.batch_size.on_success(len(indexes), outcome.seconds)
        return result

    async def _record_response(self, indexes: Sequence[int], answer: object) -> Failure | Sequence[Batch]:
        """Read an answer into ``results``. What it leaves in doubt is asked again, whole or by input."""
        try:
            parts = self._task.split(answer, len(indexes))
        except UnreadableAnswer as error:
            if len(indexes) > 1:
                self._profile.on_ambiguous()
                return Failure(FailureKind.TRANSIENT, str(error), 200)
            self._reject(indexes[0], Failure(FailureKind.INPUT_REJECTED, str(error), 200))
            return ()
        self._profile.has_answered = True
        if len(indexes) > 1:
            self._profile.on_unambiguous()
        again = []
        for index, part in zip(indexes, parts, strict=True):
            try:
                prediction = self._task.read(part, self._inputs[index], self._model)
                if self._task.makes_media:
                    prediction = await save_media(prediction, self._deps.save)
                self.results.put(index, prediction)
            except (UnreadableAnswer, MediaError) as error:
                if self._repaired(index, part, error) or len(indexes) > 1:
                    again.append(Batch([index]))
                else:
                    self._reject(index, Failure(FailureKind.INPUT_REJECTED, str(error), 200))
                continue
            self._queue.answered(index, part)
            self.done += 1
        if len(again) < len(indexes):
            self._breaker.on_response()
        return again

    async def _on_cached(self, index: int, part: object) -> bool:
        """Whether a stored answer serves; one that cannot be read any more does not."""
        try:
            prediction = self._task.read(part, self._inputs[index], self._model)
            if self._task.makes_media:
                prediction = await save_media(prediction, self._deps.save)
            self.results.put(index, prediction)
        except (UnreadableAnswer, MediaError):
            return False
        self._usage.cache_hits += 1
        self.done += 1
        return True

    def _repaired(self, index: int, part: object, error: Exception) -> bool:
        """Whether one more request, which says what did not fit, may bring an answer that does."""
        if self._task.repair is None or not isinstance(error, UnreadableAnswer):
            return False
        item = self._task.repair(self._inputs[index], part, error, self._model)
        if item is None:
            return False
        self._usage.repairs += 1
        self._queue.replace_input(index, item)
        return True

    def _on_failure(self, batch: Batch, failure: Failure) -> Sequence[Batch]:
        """What a failure that more attempts will not cure leaves to do."""
        if failure.kind is FailureKind.FATAL:
            self.stop(failure)
        elif len(batch.indexes) == 1:
            self._reject(batch.indexes[0], failure)
        else:
            return retry.split(batch, failure, self._profile)
        return ()

    def _reject(self, index: int, failure: Failure) -> None:
        self.results.fail(index, failure)
        self._queue.drop(index)
        self.done += 1
        if self._model.on_error == "raise":
            self.stop(failure)
        elif (reason := self._breaker.on_rejected(failure)) is not None:
            self.stop(reason)

    async def _is_over_budget(self) -> bool:
        limit, quota = self._model.max_requests, self._deps.quota
        spent = await quota.take()
        if spent is None:
            if self.stopped is None and (limit is None or self._usage.requests < limit):
                return False
            quota.refund()
            spent = Failure(FailureKind.NOT_SENT, f"max_requests = {limit} was reached before this row")
        self._stop_sending(spent)
        return True

    async def _ask_single(self, indexes: Sequence[int]) -> list[Prediction]:
        """Ask for inputs one by one, and give the predictions of those that got one."""
        unanswered = [index for index in indexes if self.results[index] is None]
        await asyncio.gather(*(self._finish(Batch([index])) for index in unanswered))
        return [result for index in indexes if isinstance(result := self.results[index], Prediction)]

    async def _ask_batched(self, indexes: Sequence[int]) -> list[Prediction] | Failure:
        """The predictions of a batch, which are not yet to be trusted."""
        await self._acquire_slot()
        result = await self._send(indexes)
        if not isinstance(result, RequestResult):
            return result or Failure(FailureKind.NOT_SENT, "the query has ended")
        if result.failure is not None:
            return result.failure
        try:
            parts, read = self._task.split(result.answer, len(indexes)), self._task.read
            return [read(part, self._inputs[index], self._model) for index, part in zip(indexes, parts, strict=True)]
        except UnreadableAnswer as error:
            return Failure(FailureKind.TRANSIENT, str(error), 200)
