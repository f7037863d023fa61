"""Single requests that find out whether the service is there, and whether it still takes the key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence

from ...errors import MediaError
from ...tasks import Input, MediaRef
from ...tasks.input_types import media_in, with_media
from ..failures import Failure, FailureKind
from ..flow_control.circuit_breaker import CircuitBreaker
from ..flow_control.retry import Batch
from ..protocols.request import RequestResult
from ..protocols.routing import Route
from .context import Dependencies
from .input_queue import InputQueue
from .request_sender import RequestSender
from .response_handler import ResponseHandler

_NO_INDEX = -1  # of an input that was answered, which is not to be counted among those that fail


class ServiceCheck:
    """Asks for inputs that were answered before, since a new one may itself be at fault.

    Args:
        queue: the inputs that are still to be asked.
        sender: sends the requests.
        handler: knows what was answered.
        breaker: judges what comes of them.
        dependencies: the clock, and how to wait.
        ask: asks for a batch until it is done.
        stop: ends the query.
        on_change: is called once a trial has ended.
        start: runs a task beside the query's others.
    """

    def __init__(
        self,
        queue: InputQueue,
        sender: RequestSender,
        handler: ResponseHandler,
        breaker: CircuitBreaker,
        dependencies: Dependencies,
        ask: Callable[[Batch], Awaitable[None]],
        stop: Callable[[Failure], None],
        on_change: Callable[[], None],
        start: Callable[[Coroutine[None, None, None]], object],
    ) -> None:
        self._queue, self._sender, self._handler, self._breaker = queue, sender, handler, breaker
        self._deps, self._ask, self._stop, self._on_change = dependencies, ask, stop, on_change
        self._start = start

    async def check_route(self, doubt: Failure) -> None:
        """End the query where what was answered is refused now, or hangs as the last inputs did: so would all else.

        Args:
            doubt: the last of many failures in a row.
        """
        item = await self._answered_input()
        failure = await self._ask_again(item) if item is not None else None
        if failure is not None and failure.kind is FailureKind.FATAL:
            self._stop(failure)
        elif failure is not None and failure.is_timeout and doubt.is_timeout:
            message = f"{failure.message} (the last rows got none, nor did one that was answered before: it hangs)"
            self._stop(Failure(FailureKind.FATAL, message))

    def blame_request(self, reason: Failure) -> None:
        """End the query where every request would be refused as the first ones were.

        Where answers were stored, those that are left may be just the rows that are refused: so one whose answer is
        stored is asked once more.

        Args:
            reason: what to say then.
        """
        if self._handler.last_stored is None:
            self._stop(reason)
        elif not self._breaker.is_checking:
            self._breaker.is_checking = True
            self._start(self._check_request(self._handler.last_stored, reason))

    async def _check_request(self, stored: Input, reason: Failure) -> None:
        item = await self._with_media(stored)
        failure = reason if item is None else await self._ask_again(item)
        if failure is None:
            self._breaker.on_response()
        elif failure.kind in (FailureKind.INPUT_REJECTED, FailureKind.FATAL):
            self._stop(reason)
        self._breaker.is_checking = False
        self._on_change()

    async def puts_off(self, batch: Batch, failure: Failure, sent_to: Route) -> bool:
        """Put a batch off where it failed for the service's sake. It is no attempt of its inputs.

        That is where the service is away, or has started meanwhile and speaks something else than it was taken to.
        Ends the query where the service has been away for too long.

        Args:
            batch: that failed.
            failure: of its request.
            sent_to: where that went.

        Returns:
            Whether it was put off.
        """
        if not self._is_away(failure, batch.indexes[0]) and not await self._is_other_server(failure, sent_to):
            return False
        self.put_off(batch)
        return True

    def ask_alone_or_stop(self, batch: Batch, failure: Failure) -> Sequence[Batch]:
        """End the query where every request would fail so, which one of several inputs cannot show.

        Args:
            batch: that failed.
            failure: of its request.

        Returns:
            One ordinary input of the batch, to be asked alone, where the refusal may be of another one and nothing was
            answered yet. Else nothing.
        """
        if failure.input_message is None or len(batch.indexes) == 1 or self._breaker.has_answer:
            self._stop(failure)
            return ()
        self._queue.put_first(batch.indexes)
        self._breaker.note_ordinary(self._queue.bring_forward(1))
        return [self._take_one()]

    def put_off(self, batch: Batch) -> None:
        """Ask for a batch again once the service is back.

        Args:
            batch: of which the last attempt does not count.
        """
        batch.attempts -= 1
        if self._breaker.has_answer:
            self._queue.put_back([batch])
        else:  # another is tried next, since this one may be why
            self._queue.put_off(batch)

    def trial(self) -> Coroutine[None, None, None]:
        """Try a service that is away once more, after a pause. From now on until it has ended, all others wait.

        Returns:
            The trial, which is to be awaited. Before the first answer each asks for another input.
        """
        self._breaker.outage.is_tried = True
        return self._try()

    async def _try(self) -> None:
        outage = self._breaker.outage
        await self._deps.sleep(outage.pause_s())
        if (item := await self._answered_input()) is not None:
            failure = await self._ask_again(item)
            if failure is None:
                outage.on_trial_answered()
            elif failure.kind is FailureKind.FATAL:
                self._stop(failure)
            else:
                self._is_away(failure, _NO_INDEX)
        elif self._queue.ready():
            await self._ask(self._take_one())
        outage.is_tried = False
        self._on_change()

    async def _is_other_server(self, failure: Failure, sent_to: Route) -> bool:
        """Ask the server again what it speaks, which it may not have told while it started."""
        sender, queue, detect = self._sender, self._queue, self._deps.detect
        if sent_to is not sender.route:  # that was found out for another request, which was out at the same time
            return True
        if detect is None or self._breaker.has_answer or failure.is_unreachable:
            return False
        route = self._deps.profile.in_known_form(await detect(failure))
        if route != sender.route:
            sender.route = route
            queue.batching = route.protocol.batching(queue.task)
            self._deps.profile.limit_batch_size(route.protocol.max_batch_size)
        return sender.route is not sent_to

    def _take_one(self) -> Batch:
        """One input of the next batch: in a batch that fails it would not show which of them is why."""
        batch, queue = self._queue.take(), self._queue
        queue.put_first([*batch.indexes[1:], *batch.rest])
        return Batch(batch.indexes[:1], batch.attempts if len(batch.indexes) == 1 else 0)

    async def _answered_input(self) -> Input | None:
        """The last input that was answered, perhaps in a frame that was given back."""
        item = self._handler.last_answered
        return None if item is None else await self._with_media(item)

    async def _with_media(self, item: Input) -> Input | None:
        """An input with its media loaded anew; None where it cannot be had."""
        reference = media_in(item)
        if not isinstance(reference, MediaRef):
            return item
        try:
            return with_media(item, await self._deps.load(reference))
        except MediaError:
            return None

    async def _ask_again(self, item: Input) -> Failure | None:
        await self._sender.acquire_slot()
        result = await self._sender.send([item])
        return result.failure if isinstance(result, RequestResult) else result

    def _is_away(self, failure: Failure, index: int) -> bool:
        outage, now, has_answer = self._breaker.outage, self._deps.clock(), self._breaker.has_answer
        count = self._queue.open_inputs(self._handler.done)
        if not outage.is_cause(failure, index, now, has_answer=has_answer, open_inputs=count):
            return False
        self._sender.note_pause(failure, 1)
        if (reason := outage.reason_to_stop(failure, now, has_answer=has_answer)) is not None:
            self._stop(reason)
        return True
