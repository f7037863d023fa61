"""Whether a route's batches can be trusted: a probe, and batches that wait for their check where all answers are alike.

``docs/explanation/flow_control.md`` says why, under "Never trust a batch".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import NamedTuple

from ...errors import UnreadableAnswer
from ...pieces import LARGE_BYTES
from ...tasks import Input, Prediction
from ...tasks.input_types import text_length
from ..failures import Failure, FailureKind
from ..flow_control import retry
from ..flow_control.batch_evidence import Answered, BatchEvidence
from ..flow_control.batch_probe import (
    MIN_INPUTS,
    SCORE_TOLERANCE,
    answers_match,
    choose_probes,
    distance,
    sorted_orders,
    would_show_sorting,
)
from ..flow_control.retry import Batch
from ..protocols.base import Batching
from ..protocols.request import RequestResult
from .context import Dependencies
from .held_batches import HeldBatches
from .input_queue import InputQueue
from .response_handler import ResponseHandler
from .results import Result

_MAX_PROBES = 4  # batches in one turn: where faults in passing met all of them, singles go on and the next turn follows
_MAX_TURNS = 8  # of asking more inputs alone, or probing with those that were
_MAX_REFUSALS = 4
_SHORT_CHARS = 64  # no server refuses three inputs together for their length where none is longer
_ANY_LENGTH = 1 << 60
_CANDIDATES = 1000  # inputs among which those of a probe are chosen
_BATCHES_IN_DOUBT = 3  # at once, of which none is shown before the check
_MAX_ROUNDS_UNCHECKED = 4  # of so many batches: a kill may lose the answers of all of them
_MAX_ATTEMPTS = 5  # of each request of a check, which may fail in passing

Answer = list[Prediction] | Failure | UnreadableAnswer


class Requests(NamedTuple):
    """How a trial asks.

    Attributes:
        unrecorded: sends inputs in one request. Nothing of the answer is recorded.
        finish: asks for a batch until it is done.
        send: asks for a batch, and gives the parts of it that are still to be asked.
        is_stopped: whether the query has ended.
        is_away: whether the service is away, so that nothing is to be sent but what tries it.
    """

    unrecorded: Callable[[Sequence[Input]], Awaitable[Answer]]
    finish: Callable[[Batch], Awaitable[None]]
    send: Callable[[Batch], Awaitable[Sequence[Batch]]]
    is_stopped: Callable[[], bool]
    is_away: Callable[[], bool]


class BatchTrial:
    """Finds out for one query whether its route's batches can be trusted.

    Args:
        queue: the inputs that wait.
        handler: reads answers, and records those that can be trusted.
        dependencies: the route's profile, in which the outcome is kept.
        requests: how to ask.

    Attributes:
        is_open: whether it is not known yet.
        is_running: whether ``run`` was claimed, and has not ended.
    """

    def __init__(
        self,
        queue: InputQueue,
        handler: ResponseHandler,
        dependencies: Dependencies,
        requests: Requests,
    ) -> None:
        self.is_open = dependencies.profile.accepts_batches is None
        self._queue, self._handler, self._requests = queue, handler, requests
        self._deps = dependencies
        self._evidence = BatchEvidence(queue.task)
        self._held = HeldBatches(queue, handler)
        self.is_running = self._is_checking = self._is_matched = False
        self._next_at = self._refusals = self._probes_left = 0
        self._inconclusive_at = -1
        self._max_chars = _ANY_LENGTH

    async def record(
        self, queue: InputQueue, indexes: Sequence[int], result: RequestResult
    ) -> Failure | Sequence[Batch]:
        """Record an answer as ``ResponseHandler.record`` does, and keep what it shows.

        An answer to a batch that may have been read wrongly is held until a check.

        Args:
            queue: stores the answers.
            indexes: of the inputs that the request carried.
            result: the answer to them, which may be unreadable.

        Returns:
            The parts still to be asked, or why the whole is to be asked again.
        """
        if len(indexes) == 1:
            item = queue.inputs[indexes[0]]
            outcome = await self._handler.record(queue, indexes, result)
            answer = self._handler.result(indexes[0])
            if isinstance(answer, Prediction) and result.bytes_received <= LARGE_BYTES:
                self._evidence.add(item, answer)
            elif isinstance(answer, Prediction):  # to compare these takes seconds, and few fit into a batch
                self._evidence.count += 1
            return outcome
        is_known = queue.batching is not Batching.PROBE or self._deps.profile.accepts_batches is True
        if result.unreadable is not None or is_known:
            return await self._handler.record(queue, indexes, result)
        if not queue.is_provisional:  # no more, since it was sent
            return retry.singles(Batch(indexes))
        predictions = await self._held.add(indexes, result, self._evidence)
        if predictions is None:
            return retry.singles(Batch(indexes))
        self._deps.profile.on_unambiguous()
        if self._is_matched and would_show_sorting(predictions, self._evidence.targets):
            self._conclude(accepts=True)
            await self._held.release()
        elif not self._is_checking and (self._is_matched or not self.is_running):  # else ``run`` checks it
            self._is_checking = True
            await self._check()
            self._is_checking = False
        return ()

    @property
    def goes_first(self) -> bool:
        """Whether the batches that ``run`` sends are the only requests for now."""
        return self._queue.is_provisional and not self._is_matched

    @property
    def is_due(self) -> bool:
        """Whether ``run`` can find out more than it did."""
        queue = self._queue
        if queue.batching is not Batching.PROBE or self._deps.profile.accepts_batches is not None:
            return False
        if queue.is_provisional:
            return not (self._is_matched or self._requests.is_away())
        has_more = self._evidence.count >= self._next_at and len(queue.waiting) >= MIN_INPUTS
        return has_more and not (queue.has_parts or self._is_refused or self._requests.is_stopped())

    def claim(self) -> bool:
        """Whether to call ``run`` now, which nobody else does until it has ended.

        Returns:
            Whether it is due, and not under way.
        """
        is_known = self._queue.batching is not Batching.PROBE or self._deps.profile.accepts_batches is not None
        if is_known and not (self.is_running or self._held.batches):
            self.is_open = self._is_matched and self._deps.profile.accepts_batches is False
            self._queue.is_provisional = False  # another query of the route has found out
        if self.is_running or not self.is_due:
            return False
        self.is_running = True
        return True

    def claim_held(self) -> bool:
        """Whether to call ``run`` now, where no inputs wait that would bring about the check of those that are held."""
        is_due = self.goes_first and bool(self._held.batches) and not self.is_running
        self.is_running |= is_due
        return is_due

    async def run(self, canary: int | None = None) -> None:
        """Find out as much as the inputs that wait allow.

        Args:
            canary: the index of an input that was asked already.
        """
        try:
            if not self._queue.is_provisional:
                await self._probe(canary)
            if self.goes_first:
                await self._send_provisionally()
        finally:
            self.is_running = False
            self._next_at = 2 * max(self._evidence.count, MIN_INPUTS)

    async def _probe(self, canary: int | None) -> None:
        """Probe until a probe is clear, or all answers are alike. Faults in passing do not count."""
        evidence, self._probes_left = self._evidence, _MAX_PROBES
        if evidence.count < 3:
            self._probes_left -= 1
            await self._probe_first(canary)
        for turn in range(_MAX_TURNS):
            is_over = self._queue.is_provisional or not self.is_open or self._requests.is_stopped()
            if is_over or self._is_refused or len(self._queue.waiting) < MIN_INPUTS:
                return
            chosen = evidence.choose(self._max_chars) if evidence.count > self._inconclusive_at else ()
            if chosen:
                if self._probes_left <= 0:
                    return
                self._probes_left -= 1
                await self._probe_with(chosen)
            elif evidence.is_alike:
                self._queue.is_provisional = True
            elif not await self._ask_more(turn):
                return

    async def _probe_first(self, canary: int | None) -> None:
        """Send a batch of inputs before they are asked alone: of a route that takes none, it costs one request."""
        queue = self._queue
        if canary is not None and (
            canary not in queue.inputs or not isinstance(self._handler.result(canary), Prediction)
        ):
            canary = None
        canary_answer = None if canary is None else self._handler.result(canary)
        indexes = self._choose(0, canary)
        if not indexes:
            return
        claimed = [index for index in indexes if index != canary]
        for index in claimed:
            queue.waiting.remove(index)
        items = queue.items(indexes)
        batched = await self._requests.unrecorded(items)
        if isinstance(batched, Failure | UnreadableAnswer):
            queue.waiting.extendleft(reversed(claimed))
            self._heed_failure(items, batched)
            return
        answers = dict(zip(claimed, await asyncio.gather(*map(self._ask_alone, claimed)), strict=True))
        single = [canary_answer if index == canary else answers[index] for index in indexes]
        predictions = [answer for answer in single if isinstance(answer, Prediction)]
        if len(predictions) == len(items):
            self._compare(items, predictions, batched)

    async def _probe_with(self, chosen: Sequence[Answered]) -> bool | None:
        """Probe with inputs that were answered alone: whether each got its own answer, None where that is not clear."""
        items = [each.item for each in chosen]
        batched = await self._requests.unrecorded(items)
        if isinstance(batched, Failure | UnreadableAnswer):
            self._heed_failure(items, batched)
            return None
        match = self._compare(items, [each.prediction for each in chosen], batched)
        if match is None:
            self._inconclusive_at = self._evidence.count
        return match

    def _compare(
        self, items: Sequence[Input], single: Sequence[Prediction], batched: Sequence[Prediction]
    ) -> bool | None:
        """Keep what a probe has shown. Where it leaves open whether answers are sorted, the next batches will show."""
        self._refusals = 0
        match = answers_match(single, batched, sorted_orders(items))
        if match is False or (match and would_show_sorting(batched, self._evidence.targets)):
            self._conclude(accepts=match)
        elif match:
            self._is_matched = self._queue.is_provisional = True
            self._deps.profile.on_unambiguous()
        return match

    def _conclude(self, *, accepts: bool) -> None:
        self._deps.profile.accepts_batches = accepts
        self._queue.is_provisional = False
        self.is_open = self._is_matched and not accepts  # then batches may be on their way that are not to be trusted
        if accepts:
            self._deps.profile.on_unambiguous()

    @property
    def _is_refused(self) -> bool:
        """Whether this query does without batches. With other inputs, the route may take them."""
        return self._refusals >= _MAX_REFUSALS

    def _heed_failure(self, items: Sequence[Input], failure: Failure | UnreadableAnswer) -> None:
        """Note a probe that was refused or misread as a whole, perhaps for one of its inputs. The next are shorter."""
        is_of_route = True
        if isinstance(failure, Failure):
            if failure.is_timeout:  # counts twice, since others would take as long
                self._probes_left -= 1
                return
            if failure.kind in (FailureKind.TRANSIENT, FailureKind.RATE_LIMITED, FailureKind.NOT_SENT):
                return
            if failure.kind is FailureKind.BATCH_UNSUPPORTED:
                self._conclude(accepts=False)
            is_of_route = max(map(text_length, items)) <= _SHORT_CHARS
        self._refusals += 1
        inputs = self._queue.inputs
        lengths = sorted(text_length(inputs[index]) for index in islice(self._queue.waiting, _CANDIDATES))
        if lengths:
            self._max_chars = lengths[(len(lengths) - 1) >> self._refusals]
        if not self._is_refused:
            return
        if self._evidence.has_failures:  # so it is not only lists that fail, and later ones may not
            self._refusals = 0
        elif is_of_route:
            self._conclude(accepts=False)

    def _choose(self, trial: int, canary: int | None = None) -> Sequence[int]:
        queue = self._queue
        candidates = islice(queue.waiting, _CANDIDATES)
        fitting = [index for index in candidates if text_length(queue.inputs[index]) <= self._max_chars]
        return choose_probes(self._queue.task, queue.inputs, fitting, trial, canary) if fitting else ()

    async def _ask_more(self, turn: int) -> bool:
        """Ask some of the inputs that wait, each alone. False where none was answered."""
        indexes = self._choose(turn)
        for index in indexes:
            self._queue.waiting.remove(index)
        answers = await asyncio.gather(*map(self._ask_alone, indexes))
        return any(isinstance(answer, Prediction) for answer in answers)

    async def _ask_alone(self, index: int) -> Result:
        await self._requests.finish(Batch([index]))
        answer = self._handler.result(index)  # at once: while others are out, it may be forgotten
        self._evidence.has_failures |= isinstance(answer, Failure)
        return answer

    async def _send_provisionally(self) -> None:
        """Send batches, a few at a time, of which none is shown before it was checked, as long as inputs wait."""
        queue, rounds, limit = self._queue, 0, 1
        try:
            while queue.is_provisional:
                if self._requests.is_stopped():
                    return await self._release_if_alike()
                if not queue.ready():
                    return await self._check() if self._held.batches else None
                if self._requests.is_away():
                    return None
                await self._deps.answers.wait_for_backlog()
                batches: list[Batch] = []
                while len(batches) < _BATCHES_IN_DOUBT and queue.ready():
                    batches.append(queue.take())
                for parts in await asyncio.gather(*map(self._requests.send, batches)):
                    queue.put_back(parts)
                rounds += 1
                is_alike = self._held.find_different() is None and not self._evidence.is_varied
                is_due = rounds >= limit or not queue.ready() or self._deps.profile.accepts_batches is not None
                if is_due or not is_alike:
                    await self._check()
                    rounds, limit = 0, min(2 * limit, _MAX_ROUNDS_UNCHECKED)
        except asyncio.CancelledError:
            await self._release_if_alike()
            raise

    async def _release_if_alike(self) -> None:
        """Record what was answered where the query has ended and nothing speaks against it."""
        if self._held.find_different() is None and self._deps.profile.accepts_batches is not False:
            await self._held.release()

    async def _check(self) -> None:
        """Check the batches held: record them where nothing speaks against them, else ask for their inputs alone."""
        passed, checked = self._deps.profile.accepts_batches, -1
        while passed is not False and self._deps.profile.accepts_batches is None and checked != len(self._held.batches):
            checked = len(self._held.batches)  # others may come meanwhile
            passed = await self._passes()
        if passed:
            await self._held.release()
        elif self._requests.is_stopped():
            await self._release_if_alike()
        else:
            if passed is False:
                self._conclude(accepts=False)
            self._queue.is_provisional = False
            self._held.put_back()

    async def _passes(self) -> bool | None:
        """Whether the batches held pass a check; None where its requests failed."""
        if (held := self._held.find_different() or self._held.last) is not None:
            last = len(held.items) - 1
            asked = {last} if held.different is None else {held.different, 0, last // 2, last}
            alone = await asyncio.gather(*(self._ask_again(held.items[place]) for place in asked))
            for place, answer in zip(asked, alone, strict=True):
                if answer is None:
                    return None
                if distance(answer, held.predictions[place]) > SCORE_TOLERANCE:
                    return False
                self._evidence.add(held.items[place], answer)
        if not self._evidence.is_varied:
            return True
        for _ in range(_MAX_ATTEMPTS):
            chosen = self._evidence.choose(self._max_chars)
            match = await self._probe_with(chosen) if chosen else None
            if match is not None:
                return match
        return None

    async def _ask_again(self, item: Input) -> Prediction | None:
        """The answer to an input alone that a batch held brings already; None where requests fail."""
        for _ in range(_MAX_ATTEMPTS):
            answer = await self._requests.unrecorded([item])
            if not isinstance(answer, Failure | UnreadableAnswer):
                return answer[0]
        return None
