"""Distinct inputs in, one prediction or one reason for each out: batches, requests, and what to do when they fail."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..failures import (
    Failure,
    Kind,
    MediaError,
    UnreadableAnswer,
    classify_exception,
    classify_response,
    error_in_answer,
)
from ..settings import ModelSettings
from ..tasks import Input, Lists, Media, Prediction, Reference
from . import wire
from .batches import pack, probes, takes_lists
from .learned import Learned, same_answers
from .limiter import Outcome
from .route import Route
from .transport import AnswerTooLarge, Response
from .usage import Receipt

logger = logging.getLogger(__name__)

ATTEMPTS = 5
PATIENCE = 300.0
"""Seconds without any answer, while told to wait, after which a query gives up."""

_FEWEST_FOR_LISTS = 8  # qualifying costs up to three requests, which fewer inputs would not win back
_SAME_REFUSALS = 3
_TRIALS = 4
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.5, 20.0

Post = Callable[[str, bytes, "dict[str, str]", float], Awaitable[Response]]
Load = Callable[[Reference], Awaitable[Media]]
Save = Callable[[Media], Awaitable[str]]
Result = Prediction | Failure | None


class Places(Protocol):
    """The two methods of a limiter (see ``limiter.Limiter``)."""

    async def acquire(self) -> float: ...
    def release(self, outcome: Outcome) -> None: ...


@dataclass(frozen=True)
class Surroundings:
    """What a query uses and tests replace."""

    post: Post
    limiter: Places
    learned: Learned
    load: Load
    save: Save
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic


@dataclass
class Work:
    """Positions of inputs that go in one request, and how often it failed in passing."""

    positions: Sequence[int]
    attempts: int = 0


class Sender:
    """One query on one route. ``results`` fills as answers land; ``stopped`` says why it ended before its time."""

    def __init__(
        self,
        model: ModelSettings,
        route: Route,
        timeout: float,
        receipt: Receipt,
        around: Surroundings,
        inputs: Sequence[Input],
    ) -> None:
        self.results: list[Result] = [None] * len(inputs)
        self.stopped: Failure | None = None
        self.done = 0
        self._model, self._task, self._inputs = model, model.definition, list(inputs)
        self._route, self._timeout, self._receipt = route, timeout, receipt
        self._around, self._learned = around, around.learned
        self._refusals: Counter[str] = Counter()
        self._answered = 0
        self._patience_from: float | None = None
        self._loaded: dict[int, Any] = {}
        self._queue: asyncio.Queue[Work] = asyncio.Queue()
        self._end = asyncio.Event()

    async def run(self, workers: int) -> None:
        """Ask for everything, ``workers`` requests at a time at most, until done or stopped."""
        batches = deque(pack(self._task, self._inputs, range(len(self._inputs)), self._learned))
        # On a route that has not answered yet the first request goes alone: what dooms it dooms every row.
        while batches and not self._learned.answered and self.stopped is None:
            await self._finish(Work(batches.popleft()))
        if self.stopped is None and self._may_try_lists(len(batches)):
            waiting = await self._qualify([position for batch in batches for position in batch])
            batches = deque(pack(self._task, self._inputs, waiting, self._learned))
        if self.stopped is not None or not batches:
            return
        for positions in batches:
            self._queue.put_nowait(Work(positions))
        await self._work_off(min(workers, self._queue.qsize()))

    def stop(self, failure: Failure) -> None:
        """End the query: what has not been answered gets ``failure`` for a reason."""
        if self.stopped is None:
            self.stopped = failure
            self._end.set()

    async def _work_off(self, workers: int) -> None:
        crew = [asyncio.create_task(self._worker()) for _ in range(workers)]
        ends = [asyncio.create_task(self._queue.join()), asyncio.create_task(self._end.wait())]
        try:
            await asyncio.wait([*ends, *crew], return_when=asyncio.FIRST_COMPLETED)
            for worker in crew:
                if worker.done() and not worker.cancelled():
                    worker.result()  # workers never end by themselves, except by a defect, which must show
        finally:
            for running in (*crew, *ends):
                running.cancel()
            await asyncio.gather(*crew, *ends, return_exceptions=True)

    async def _worker(self) -> None:
        while True:
            work = await self._queue.get()
            for part in await self._attempts(work):
                self._queue.put_nowait(part)
            self._queue.task_done()

    async def _finish(self, work: Work) -> None:
        """Work one item off to its end, parts of it included, with nothing else in flight."""
        stack = [work]
        while stack and self.stopped is None:
            stack[:0] = await self._attempts(stack.pop(0))

    async def _attempts(self, work: Work) -> Iterable[Work]:
        """Ask until answered, refused for good, or to be split. Returns the parts still to be asked."""
        while self.stopped is None:
            if len(work.positions) > 1 and not takes_lists(self._task, self._learned):  # lost since this was packed
                return [Work([position]) for position in work.positions]
            work.attempts += 1
            outcome = await self._ask(work.positions)
            if not isinstance(outcome, Failure):
                return outcome
            if outcome.unreachable and not self._learned.answered:
                outcome = replace(outcome, kind=Kind.STOP)
            if outcome.kind is Kind.WAIT:
                work.attempts -= 1
                self._receipt.waits += 1
                if self._out_of_patience(outcome):
                    break
                continue
            if outcome.kind is Kind.AGAIN and work.attempts < self._allowed(work):
                self._receipt.retries += 1
                await self._around.sleep(
                    min(_FIRST_BACKOFF * 2 ** (work.attempts - 1), _LONGEST_BACKOFF) * random.uniform(0.5, 1.0)
                )
                continue
            return self._failed(work, replace(outcome, attempts=work.attempts))
        return ()

    def _allowed(self, work: Work) -> int:
        # One bad input can fail a batch in passing ways too, so a batch is halved before its attempts are used up.
        return ATTEMPTS if len(work.positions) == 1 else 2

    async def _ask(self, positions: Sequence[int]) -> Failure | list[Work]:
        """One request. Places what it answers; returns the failure, or the parts to ask again one by one."""
        try:
            inputs = [await self._loaded_input(position) for position in positions]
        except MediaError as error:
            return Failure(Kind.ROW if len(positions) == 1 else Kind.SMALLER, str(error))
        try:
            request, asked = self._encoded(inputs)
        except (TypeError, ValueError) as error:
            return Failure(Kind.ROW if len(positions) == 1 else Kind.SMALLER, f"the input cannot be sent ({error})")
        receipt = self._receipt
        receipt.seconds_waited += await self._around.limiter.acquire()
        if self.stopped is not None or self._over_budget():
            self._around.limiter.release(Outcome(0.0, answered=False))
            return []
        started = self._around.clock()
        answer: Any = None
        failure: Failure | None
        outcome = Outcome(0.0, answered=False)
        try:
            receipt.requests += 1
            receipt.batches += len(positions) > 1
            receipt.bytes_sent += len(request.body)
            answer, failure = await self._exchange(request, asked, len(positions))
            seconds = self._around.clock() - started
            receipt.latencies.append(seconds)
            told = failure is not None and failure.kind is Kind.WAIT
            outcome = Outcome(
                seconds,
                failure is None,
                told,
                failure.retry_after if failure else None,
                bool(failure and failure.estimated),
            )
        finally:
            self._around.limiter.release(outcome)
        return failure if failure is not None else await self._place(positions, answer)

    async def _loaded_input(self, position: int) -> Any:
        """The input with its media loaded, once for all attempts."""
        item = self._inputs[position]
        if not isinstance(item, (Reference, tuple)):
            return item
        if position not in self._loaded:
            parts = item if isinstance(item, tuple) else (item,)
            loaded = [await self._around.load(part) if isinstance(part, Reference) else part for part in parts]
            self._loaded[position] = tuple(loaded) if isinstance(item, tuple) else loaded[0]
        return self._loaded[position]

    def _encoded(self, inputs: Sequence[Any]) -> tuple[wire.Request, Any]:
        route = self._route
        if route.provider is not None:
            return route.provider.request(self._task, inputs, self._model)
        return wire.encode(route.url, route.headers, (route.body or self._task.body)(inputs, self._model)), None

    async def _exchange(self, request: wire.Request, asked: Any, batch: int) -> tuple[Any, Failure | None]:
        try:
            response = await self._around.post(request.url, request.body, request.headers, self._timeout)
        except AnswerTooLarge:
            return None, Failure(Kind.SMALLER if batch > 1 else Kind.ROW, "the answer is too large to read")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            return None, classify_exception(error, host=self._route.host)
        self._receipt.bytes_received += len(response.body)
        if response.status != 200:
            failure = classify_response(
                response.status,
                response.headers,
                response.body,
                batch=batch,
                wait_for_model=self._model.options.wait_for_model,
            )
            return None, failure
        self._receipt.read_headers(response.headers)
        try:
            if self._route.provider is not None:
                answer = await self._route.provider.answer(self._task, asked, response.headers, response.body)
            else:
                answer = wire.decode(self._task, response.headers, response.body)
        except ValueError:
            return None, Failure(Kind.AGAIN, "the answer is not JSON, or was cut off", 200)
        except Exception as error:  # a provider's helper polls and fetches, so anything of HTTP can come of it
            return None, classify_exception(error, host=self._route.host)
        return answer, error_in_answer(answer, batch=batch)

    async def _place(self, positions: Sequence[int], answer: Any) -> Failure | list[Work]:
        """Read an answer into ``results``; what it leaves in doubt is asked again, whole or by row."""
        try:
            parts = self._task.split(answer, len(positions))
        except UnreadableAnswer as error:
            if len(positions) > 1:
                self._learned.ambiguous()
                return Failure(Kind.AGAIN, str(error), 200)
            self._refuse(positions[0], Failure(Kind.ROW, str(error), 200))
            return []
        self._learned.answered = True
        if len(positions) > 1:
            self._learned.unambiguous()
        again = []
        for position, part in zip(positions, parts, strict=True):
            try:
                prediction = self._task.read(part, self._inputs[position], self._model)
                if self._task.makes_media:
                    prediction = prediction._replace(value=await self._saved(prediction.value))
            except (UnreadableAnswer, MediaError) as error:
                if self._repaired(position, part, error) or len(positions) > 1:
                    again.append(Work([position]))
                else:
                    self._refuse(position, Failure(Kind.ROW, str(error), 200))
                continue
            self.results[position] = prediction
            self._loaded.pop(position, None)
            self._answered += 1
            self.done += 1
            self._patience_from = None
        return again

    def _repaired(self, position: int, part: Any, error: Exception) -> bool:
        """Whether one more request, which says what did not fit, may bring an answer that does."""
        if self._task.repair is None or not isinstance(error, UnreadableAnswer):
            return False
        item = self._task.repair(self._inputs[position], part, error, self._model)
        if item is not None:
            self._receipt.repairs += 1
            self._inputs[position] = item
        return item is not None

    async def _saved(self, value: Any) -> Any:
        if isinstance(value, list):
            return [await self._around.save(media) for media in value]
        return await self._around.save(value)

    def _failed(self, work: Work, failure: Failure) -> Iterable[Work]:
        """What a failure that more attempts will not cure leaves to do."""
        positions = work.positions
        if failure.kind is Kind.STOP:
            self.stop(failure)
            return ()
        if len(positions) == 1:
            self._refuse(positions[0], failure)
            return ()
        if failure.kind is Kind.SINGLE:
            self._learned.lists = False
            return [Work([position]) for position in positions]
        if failure.status == 413 or "batch size" in failure.message.lower():
            self._learned.refused_size(len(positions))
        middle = len(positions) // 2
        return [Work(positions[:middle]), Work(positions[middle:])]

    def _refuse(self, position: int, failure: Failure) -> None:
        self.results[position] = failure
        self._loaded.pop(position, None)
        self.done += 1
        if self._model.on_error == "raise":
            self.stop(failure)
        # Only what the service refused speaks of the request: a cell refused here, before any request, is its row's.
        if self._answered == 0 and failure.kind is Kind.ROW and failure.status is not None:
            self._refusals[failure.message] += 1
            if self._refusals[failure.message] >= _SAME_REFUSALS:
                self.stop(Failure(Kind.STOP, self._request_at_fault(failure), failure.status))

    def _request_at_fault(self, failure: Failure) -> str:
        given = ", ".join(sorted(self._model.parameters)) or "none"
        return (
            f"{failure.message} (the same for {_SAME_REFUSALS} different rows and no row answered, so the request is "
            f"at fault: check the model, its task, and the parameters sent: {given})"
        )

    def _over_budget(self) -> bool:
        if self._model.max_requests is not None and self._receipt.requests >= self._model.max_requests:
            self.stop(Failure(Kind.UNASKED, f"max_requests = {self._model.max_requests} was reached before this row"))
        return self.stopped is not None

    def _out_of_patience(self, failure: Failure) -> bool:
        now = self._around.clock()
        if self._patience_from is None:
            self._patience_from = now
        announced = failure.retry_after or 0.0
        if now + (0.0 if failure.estimated else announced) - self._patience_from <= PATIENCE:
            return False
        wait = f"it asks to wait {announced:.0f} s" if announced else f"no answer for {now - self._patience_from:.0f} s"
        self.stop(
            Failure(
                Kind.STOP,
                f"{failure.message} ({wait}). Try again later: what is answered is not asked again",
                failure.status,
            )
        )
        return True

    def _may_try_lists(self, waiting: int) -> bool:
        untried = self._task.lists is Lists.IF_QUALIFIED and self._learned.lists is None
        return untried and waiting >= _FEWEST_FOR_LISTS

    async def _qualify(self, waiting: list[int]) -> list[int]:
        """Ask a few inputs one by one, then together, and note whether the answers are the same. Returns those left.

        One fault in passing must not cost the route its lists, so where it stays in doubt other inputs are tried.
        """
        for trial in range(_TRIALS):
            probed = probes(self._task, self._inputs, waiting, trial)
            await asyncio.gather(*(self._finish(Work([position])) for position in probed))
            if not probed or self.stopped is not None:
                break
            alone = [result for position in probed if isinstance(result := self.results[position], Prediction)]
            if len(alone) == len(probed):
                self._learned.lists = await self._together(probed, alone, last=trial == _TRIALS - 1)
            if self._learned.lists is not None:
                break
        return [position for position in waiting if self.results[position] is None]

    async def _together(self, probed: Sequence[int], alone: Sequence[Prediction], *, last: bool) -> bool | None:
        done, answered = self.done, self._answered
        for _ in range(_TRIALS):
            outcome = await self._ask(probed)
            if not (isinstance(outcome, Failure) and outcome.kind is Kind.WAIT):
                break
        together = [self.results[position] for position in probed]
        for position, prediction in zip(probed, alone, strict=True):
            self.results[position] = prediction
        self.done, self._answered = done, answered
        kind = outcome.kind if isinstance(outcome, Failure) else None
        if self.stopped is not None or kind is Kind.WAIT:
            return None
        if outcome:  # refused, broken off, or answered in a shape that proves nothing: which may be for this once
            return False if last or kind is Kind.SINGLE else None
        return same_answers(alone, [result for result in together if isinstance(result, Prediction)])
