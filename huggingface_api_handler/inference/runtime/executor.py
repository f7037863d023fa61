"""Distinct inputs in, one prediction or one reason for each out: batches, requests, and what to do when they fail."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from ...config.settings import ModelSettings
from ...errors import MediaError, UnreadableAnswer
from ...tasks import Input, Media, Prediction
from ..failures import Failure, FailureKind, rejection_kind
from ..flow_control.batch_probe import probe_batching, should_probe_batching
from ..flow_control.batching import can_batch
from ..flow_control.circuit_breaker import CircuitBreaker
from ..flow_control.concurrency import FIRST_RESPONSE_TIMEOUT_S
from ..flow_control.limiter import Outcome
from ..flow_control.route_profile import RouteProfile
from ..protocols.request import Post, RequestResult, build_request, send_request
from ..protocols.routing import Route
from ..storage.quota import NO_QUOTA, Quota
from ..storage.response_cache import NoResponseCache, ResponseCache
from ..telemetry.usage import Usage
from .input_queue import InputQueue, Load
from .results import Results

logger = logging.getLogger(__name__)

ATTEMPTS = 5
_HEARD_WITHIN = 0.05  # seconds
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.5, 20.0
_MOST_TAKEN = re.compile(r"maximum\D{0,40}?(\d{1,5})", re.I)

Save = Callable[[Media], Awaitable[str]]


class Limiter(Protocol):
    """The two methods of a limiter (see ``limiter.Limiter``). Who waits in ``acquire`` may be cancelled."""

    async def acquire(self) -> float: ...
    def release(self, outcome: Outcome | None) -> None: ...


@dataclass(frozen=True)
class Dependencies:
    """What a query uses and tests replace."""

    post: Post
    limiter: Limiter
    profile: RouteProfile
    load: Load
    save: Save
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    answers: ResponseCache | NoResponseCache = field(default_factory=NoResponseCache)
    quota: Quota = NO_QUOTA


@dataclass
class Batch:
    """Positions of inputs that go in one request, and how often it failed in passing."""

    positions: Sequence[int]
    attempts: int = 0


class QueryExecutor:
    """One query on one route. ``results`` fills as answers land; ``stopped`` says why it ended before its time."""

    def __init__(
        self,
        model: ModelSettings,
        route: Route,
        timeout: float,
        usage: Usage,
        deps: Dependencies,
        inputs: Sequence[Input],
    ) -> None:
        self.results = Results(len(inputs))
        self.stopped: Failure | None = None
        self.done = 0
        self._model, self._task, self._inputs = model, model.definition, list(inputs)
        self._route, self._timeout, self._receipt = route, timeout, usage
        self._deps, self._profile = deps, deps.profile
        self._changed = asyncio.Event()
        self._queue = InputQueue(
            self._task,
            self._inputs,
            deps.profile,
            deps.answers,
            deps.load,
            self._from_store,
            lambda position, error: self._refuse(position, Failure(FailureKind.INPUT_REJECTED, str(error))),
            self._changed.set,
        )
        self._parts: deque[Batch] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._idle_workers: set[asyncio.Task[None]] = set()
        self._active_batches = self._in_flight = 0
        self._has_budget = model.max_requests is not None or deps.quota.is_limited
        self._end = asyncio.Event()
        self._aborted = False
        self._breaker = CircuitBreaker(model)
        self._waited_until = 0.0

    async def run(self) -> None:
        """Ask for everything that no stored answer serves, until done or stopped."""
        feeder = asyncio.create_task(self._queue.fill())
        feeder.add_done_callback(self._on_task_done)
        try:
            # On a route that has not answered yet the first request goes alone: what dooms it dooms every row. It is
            # told at once, though, so that others need not wait for a service that takes its time.
            first = None
            while not self._profile.has_answered and await self._has_work():
                lone = self._take()
                first = lone.positions[0]
                if await self._send_canary(lone, FIRST_RESPONSE_TIMEOUT_S):
                    break
            waiting, profile = self._queue.waiting, self._profile
            if await self._has_work() and not self._parts and should_probe_batching(self._task, profile, waiting):
                known = first if first is not None and isinstance(self.results[first], Prediction) else None
                lists = await probe_batching(
                    self._task, self._inputs, waiting, self._ask_batched, self._ask_single, known
                )
                profile.accepts_batches = profile.accepts_batches if lists is None else lists
            # The first batch goes a little before the others: whether it is too large is told at once as well.
            if (
                can_batch(self._task, profile)
                and profile.batch_size.should_probe(len(waiting))
                and await self._has_work()
            ):
                await self._send_canary(self._take(), _HEARD_WITHIN)
            if await self._has_work():
                self._spawn_worker()
                await self._end.wait()
            await self._drained()
        finally:
            for task in (feeder, *self._workers):
                task.cancel()
            ended = await asyncio.gather(feeder, *self._workers, return_exceptions=True)
        for problem in ended:
            if isinstance(problem, Exception):  # a defect, which must show
                raise problem

    async def _send_canary(self, work: Batch, patience: float) -> bool:
        """Send one request and wait for it. True once ``patience`` seconds passed in which it was just out."""
        alone = asyncio.create_task(self._count_active(self._finish(work)))
        alone.add_done_callback(self._on_task_done)
        self._workers.add(alone)
        usage = self._receipt
        while not alone.done():
            sent = usage.requests
            await asyncio.wait({alone}, timeout=patience)
            if usage.requests == sent > sum(usage.latencies.values()):
                return not alone.done()
        return False

    async def _count_active(self, work: Awaitable[None]) -> None:
        self._active_batches += 1
        await work
        self._active_batches -= 1
        self._changed.set()

    def stop(self, failure: Failure) -> None:
        """End the query now: what has not been answered gets ``failure`` for a reason."""
        self.stopped = self.stopped or failure
        self._abort()

    def _spent(self, failure: Failure) -> None:
        """Send nothing more. What is out was paid for and may land; what is stored costs nothing and is found."""
        self.stopped = self.stopped or failure
        self._queue.only_cached()
        self._end.set()
        self._changed.set()

    def _abort(self) -> None:
        self._aborted = True
        self._end.set()
        self._changed.set()

    async def _drained(self) -> None:
        while not self._aborted and (self._in_flight or not self._queue.finished):
            self._changed.clear()
            await self._changed.wait()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._workers.discard(task)
        else:  # a defect, which must show
            self._abort()

    async def _has_work(self) -> bool:
        """Wait until there is something to take; False when all is done, or the query has ended."""
        while self.stopped is None and not self._end.is_set():
            if self._parts or self._queue.ready():
                return True
            if self._queue.finished and not self._active_batches:
                return False
            self._changed.clear()
            await self._changed.wait()
        return False

    def _take(self) -> Batch:
        return self._parts.popleft() if self._parts else Batch(self._queue.take())

    def _spawn_worker(self) -> None:
        """One more worker. There is always one to spare, so that there are as many as the limiter has places."""
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
            if self.stopped is not None or not (self._parts or self._queue.ready()):
                self._deps.limiter.release(None)
                continue
            work = self._take()
            self._active_batches += 1
            self._idle_workers.discard(me)
            if not self._idle_workers and (self._parts or self._queue.ready()):
                self._spawn_worker()
            self._parts.extend(await self._send_with_retries(work, has_place=True))
            self._active_batches -= 1
            if self._parts or not self._active_batches:
                self._changed.set()
            if len(self._idle_workers) > 1:  # two wait for a place already, so there are fewer than there were
                self._idle_workers.pop().cancel()
            self._idle_workers.add(me)
        self._end.set()

    async def _acquire_slot(self) -> None:
        waited = await self._deps.limiter.acquire()
        if waited:
            now = self._deps.clock()
            self._receipt.seconds_waited += max(0.0, now - max(now - waited, self._waited_until))
            self._waited_until = now

    async def _finish(self, work: Batch) -> None:
        """Work one item off to its end, parts of it included, with nothing else in flight."""
        stack = [work]
        while stack and self.stopped is None:
            stack[:0] = await self._send_with_retries(stack.pop(0))

    async def _send_with_retries(self, work: Batch, *, has_place: bool = False) -> Iterable[Batch]:
        """Ask until answered, refused for good, or to be split. Returns the parts still to be asked."""
        while self.stopped is None:
            if not has_place:
                await self._acquire_slot()
            has_place = False
            if len(work.positions) > 1 and not can_batch(self._task, self._profile):  # lost since this was packed
                self._deps.limiter.release(None)
                return [Batch([position]) for position in work.positions]
            work.attempts += 1
            self._in_flight += 1
            result = await self._send(work.positions)
            outcome: Failure | list[Batch] | None
            if isinstance(result, RequestResult):
                outcome = result.failure or await self._record_response(work.positions, result.answer)
            else:
                outcome = result
            self._in_flight -= 1
            if self.stopped is not None:
                self._changed.set()
            if not isinstance(outcome, Failure):
                return outcome or ()
            if outcome.is_unreachable and not self._profile.has_answered:
                outcome = replace(outcome, kind=FailureKind.FATAL)
            if outcome.kind is FailureKind.RATE_LIMITED:
                work.attempts -= 1
                self._receipt.waits += 1
                if (why := self._breaker.on_rate_limited(outcome, self._deps.clock())) is not None:
                    self.stop(why)
                continue
            if outcome.kind is FailureKind.TRANSIENT and work.attempts < self._allowed(work):
                self._receipt.retries += 1
                await self._deps.sleep(
                    min(_FIRST_BACKOFF * 2 ** (work.attempts - 1), _LONGEST_BACKOFF) * random.uniform(0.5, 1.0)
                )
                continue
            return self._failed(work, replace(outcome, attempts=work.attempts))
        return ()

    def _allowed(self, work: Batch) -> int:
        # One bad input can fail a batch in passing ways too, so a batch is halved before its attempts are used up.
        return ATTEMPTS if len(work.positions) == 1 else 2

    async def _send(self, positions: Sequence[int]) -> RequestResult | Failure | None:
        """What came of a request, in a place that was acquired.

        A failure where it cannot be made, None where the query has ended.
        """
        deps, usage = self._deps, self._receipt
        outcome: Outcome | None = None
        try:
            try:
                request, provider_request = build_request(
                    self._route, self._model, [self._queue.item(each) for each in positions]
                )
            except (TypeError, ValueError) as error:
                kind = rejection_kind(len(positions))
                return Failure(kind, f"the input cannot be sent ({error})")
            if self.stopped is not None or (self._has_budget and await self._over_budget()):
                return None
            usage.record_request(len(positions), len(request.body))
            started = deps.clock()
            result = await send_request(
                deps.post, self._route, self._model, request, provider_request, len(positions), self._timeout
            )
            outcome = _outcome(deps.clock() - started, result, len(positions))
        finally:
            deps.limiter.release(outcome)
        usage.record_response(outcome.seconds, result.bytes_received, result.headers, result.answer)
        if result.failure is None and len(positions) > 1:
            self._profile.batch_size.on_success(len(positions), outcome.seconds)
        return result

    async def _record_response(self, positions: Sequence[int], answer: Any) -> Failure | list[Batch]:
        """Read an answer into ``results``; what it leaves in doubt is asked again, whole or by row."""
        try:
            parts = self._task.split(answer, len(positions))
        except UnreadableAnswer as error:
            if len(positions) > 1:
                self._profile.on_ambiguous()
                return Failure(FailureKind.TRANSIENT, str(error), 200)
            self._refuse(positions[0], Failure(FailureKind.INPUT_REJECTED, str(error), 200))
            return []
        self._profile.has_answered = True
        if len(positions) > 1:
            self._profile.on_unambiguous()
        task, again = self._task, []
        for position, part in zip(positions, parts, strict=True):
            try:
                prediction = task.read(part, self._inputs[position], self._model)
                self.results.put(position, await self._saved(prediction) if task.makes_media else prediction)
            except (UnreadableAnswer, MediaError) as error:
                if self._repaired(position, part, error) or len(positions) > 1:
                    again.append(Batch([position]))
                else:
                    self._refuse(position, Failure(FailureKind.INPUT_REJECTED, str(error), 200))
                continue
            self._queue.answered(position, part)
            self.done += 1
        if len(again) < len(positions):
            self._breaker.on_response()
        return again

    async def _from_store(self, position: int, part: Any) -> bool:
        """Whether a stored answer serves; one that cannot be read any more does not."""
        task = self._task
        try:
            prediction = task.read(part, self._inputs[position], self._model)
            self.results.put(position, await self._saved(prediction) if task.makes_media else prediction)
        except (UnreadableAnswer, MediaError):
            return False
        self._receipt.stored += 1
        self.done += 1
        return True

    def _repaired(self, position: int, part: Any, error: Exception) -> bool:
        """Whether one more request, which says what did not fit, may bring an answer that does."""
        if self._task.repair is None or not isinstance(error, UnreadableAnswer):
            return False
        item = self._task.repair(self._inputs[position], part, error, self._model)
        if item is not None:
            self._receipt.repairs += 1
            self._queue.replace_input(position, item)
        return item is not None

    async def _saved(self, prediction: Prediction) -> Prediction:
        value, save = prediction.value, self._deps.save
        saved = [await save(media) for media in value] if isinstance(value, list) else await save(value)
        return prediction._replace(value=saved)

    def _failed(self, work: Batch, failure: Failure) -> Iterable[Batch]:
        """What a failure that more attempts will not cure leaves to do."""
        positions = work.positions
        if failure.kind is FailureKind.FATAL:
            self.stop(failure)
            return ()
        if len(positions) == 1:
            self._refuse(positions[0], failure)
            return ()
        if failure.kind is FailureKind.BATCH_UNSUPPORTED:
            self._profile.accepts_batches = False
            return [Batch([position]) for position in positions]
        sizes, together = self._profile.batch_size, (len(positions) + 1) // 2
        if failure.status == 413 or "batch size" in failure.message.lower():
            told = _MOST_TAKEN.search(failure.message)
            if sizes.on_reject(len(positions), int(told.group(1)) if told else None):
                together = sizes.best
        elif failure.kind is FailureKind.TRANSIENT and len(positions) > sizes.best and sizes.on_reject(len(positions)):
            together = sizes.best
        parts = [positions[start : start + together] for start in range(0, len(positions), together)]
        # A batch that used up its attempts does not get them anew in each part.
        return [Batch(part, work.attempts - 1 if len(part) > 1 else 0) for part in parts]

    def _refuse(self, position: int, failure: Failure) -> None:
        self.results.fail(position, failure)
        self._queue.drop(position)
        self.done += 1
        if self._model.on_error == "raise":
            self.stop(failure)
        elif (why := self._breaker.on_rejected(failure)) is not None:
            self.stop(why)

    async def _over_budget(self) -> bool:
        most, quota = self._model.max_requests, self._deps.quota
        spent = await quota.take()
        if spent is None:
            if self.stopped is None and (most is None or self._receipt.requests < most):
                return False
            quota.refund()
        self._spent(spent or Failure(FailureKind.NOT_SENT, f"max_requests = {most} was reached before this row"))
        return True

    async def _ask_single(self, positions: Sequence[int]) -> list[Prediction]:
        """Settle inputs one by one, and give the answers of those that got one."""
        unsettled = [position for position in positions if self.results[position] is None]
        await asyncio.gather(*(self._finish(Batch([position])) for position in unsettled))
        return [result for position in positions if isinstance(result := self.results[position], Prediction)]

    async def _ask_batched(self, probed: Sequence[int]) -> list[Prediction] | Failure:
        """Answers to a list, which are not yet to be trusted."""
        await self._acquire_slot()
        result = await self._send(probed)
        if not isinstance(result, RequestResult):
            return result or Failure(FailureKind.NOT_SENT, "the query has ended")
        if result.failure is not None:
            return result.failure
        try:
            parts = self._task.split(result.answer, len(probed))
            return [
                self._task.read(part, self._inputs[position], self._model)
                for position, part in zip(probed, parts, strict=True)
            ]
        except UnreadableAnswer as error:
            return Failure(FailureKind.TRANSIENT, str(error), 200)


def _outcome(seconds: float, result: RequestResult, inputs: int) -> Outcome:
    failure = result.failure
    if failure is None or failure.kind is not FailureKind.RATE_LIMITED:
        return Outcome(seconds, answered=failure is None, rate_limit=result.rate_limit, inputs=inputs)
    return Outcome(seconds, False, True, failure.retry_after_s, failure.is_estimated)
