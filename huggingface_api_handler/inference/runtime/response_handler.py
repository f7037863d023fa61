"""Answers in, results out: which part of an answer is whose, and what a part says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ...config.settings import ModelSettings
from ...errors import MediaError, UnreadableAnswer
from ...pieces import LARGE_BYTES
from ...tasks import Input, Prediction
from ..failures import Failure, FailureKind
from ..flow_control.circuit_breaker import MIN_WAITING_INPUTS, CircuitBreaker
from ..flow_control.retry import Batch
from ..protocols.request import RequestResult
from ..telemetry.usage import Usage
from ..transport.large_bodies import off_loop
from .chunked_text import is_plan
from .context import Dependencies, save_media
from .input_queue import InputQueue
from .input_stream import InputStream
from .long_texts import LongTexts
from .results import Result

logger = logging.getLogger(__name__)

_ORDINARY_INPUTS = 3  # as many as end a query where none is answered
_MAX_NUMBERS_ON_LOOP = 50_000
"""Numbers, or lists and objects, of a stored answer that is read on the event loop, within some milliseconds."""


class ResponseHandler:
    """Reads the answers of one query.

    Args:
        model: the checked arguments of the model.
        source: the distinct inputs by their index, with the place for their results.
        usage: counts what stored answers spared, and repairs.
        dependencies: the route's profile, and how media is saved.
        breaker: is told of answers.
        on_rejected: is given the index of an input whose answer cannot be read, and why.
        on_long_texts: is called where there are texts to cut.

    Attributes:
        results: the predictions and failures, which fill as answers land.
        done: inputs that have their prediction or their failure.
        long_texts: the texts that are asked in parts.
        last_answered: the last input that got a prediction, its media not loaded; None before the first one.
        last_stored: the last one that a stored answer served, likewise.
    """

    def __init__(
        self,
        model: ModelSettings,
        source: InputStream,
        usage: Usage,
        dependencies: Dependencies,
        breaker: CircuitBreaker,
        on_rejected: Callable[[int, Failure], None],
        on_long_texts: Callable[[], object],
    ) -> None:
        self.results = source.results
        self.done = source.results.done
        self.last_answered: Input | None = None
        self.last_stored: Input | None = None
        self._model, self._task, self._inputs = model, model.definition, source.inputs
        self._makes_media = self._task.makes_media
        self._usage, self._deps, self._breaker, self._on_rejected = usage, dependencies, breaker, on_rejected
        self.long_texts = LongTexts(
            model, source, usage, dependencies, self._read, self._put_merged, on_rejected, on_long_texts
        )

    async def record(
        self, queue: InputQueue, indexes: Sequence[int], result: RequestResult
    ) -> Failure | Sequence[Batch]:
        """Read an answer into ``results``. What it leaves in doubt is asked again, whole or by input.

        Args:
            queue: stores the answers, and takes what a repair asks instead.
            indexes: of the inputs that the request carried.
            result: the answer to them, which may be unreadable.

        Returns:
            The parts still to be asked, or why the whole is to be asked again.
        """
        profile = self._deps.profile
        if result.unreadable is not None:
            if len(indexes) > 1:
                profile.on_ambiguous()
                return Failure(FailureKind.TRANSIENT, str(result.unreadable), 200)
            self._on_rejected(indexes[0], Failure(FailureKind.INPUT_REJECTED, str(result.unreadable), 200))
            return ()
        profile.has_answered = True
        again, answered = [], None
        items = [self._inputs[index] for index in indexes]
        is_large = result.bytes_received > LARGE_BYTES
        for index, item, part in zip(indexes, items, result.parts, strict=True):
            try:
                prediction = await off_loop(self._read, part, item) if is_large else self._read(part, item)
                if self._makes_media:
                    prediction = await save_media(prediction, self._deps.save)
            except (UnreadableAnswer, MediaError) as error:
                if self._repaired(queue, index, part, error) or len(indexes) > 1:
                    again.append(Batch([index]))
                else:
                    self._on_rejected(index, Failure(FailureKind.INPUT_REJECTED, str(error), 200))
                continue
            if index < 0:
                self.long_texts.answered(index, part, prediction)
            else:  # as ``_put_row``, whose call for each row of a batch is a tenth of a microsecond
                self.results.put(index, prediction)
                self.done += 1
            if is_large:
                await queue.store_large(index, part)
            queue.answered(index, part)
            answered = item
        if len(again) == len(indexes) > 1 and self._breaker.has_answer:
            # Where others could be read it is rather this answer than each of its inputs.
            profile.on_ambiguous()
            return Failure(FailureKind.TRANSIENT, "no part of the answer to a batch could be read", 200)
        if len(indexes) > 1:
            profile.on_unambiguous()
        if answered is not None:  # an answer that cannot be read is none
            self.last_answered = answered
            if self.long_texts.is_on:
                self.long_texts.search.on_answered(items, result.usage.tokens if result.usage is not None else 0)
                self.long_texts.wake()
            self._breaker.on_response()
            self.results.notify()
        elif not self._breaker.has_answer and len(indexes) - _ORDINARY_INPUTS >= MIN_WAITING_INPUTS:
            # Nothing of many could be read: a few alone show whether anything can, before all are asked alone.
            self._breaker.note_ordinary(self.long_texts.rows(indexes[:_ORDINARY_INPUTS]))
            queue.put_first(indexes[_ORDINARY_INPUTS:])
            return again[:_ORDINARY_INPUTS]
        return again

    async def on_cached(self, index: int, part: object) -> bool:
        """Read a stored answer into ``results``.

        Args:
            index: of the input.
            part: its part of the answer that was stored.

        Returns:
            Whether it serves; one that cannot be read any more does not.
        """
        if is_plan(part):
            return self.long_texts.restore(index, part)
        try:
            item = self._inputs[index]
            prediction = await off_loop(self._read, part, item) if _is_large(part) else self._read(part, item)
            if self._makes_media:
                prediction = await save_media(prediction, self._deps.save)
        except (UnreadableAnswer, MediaError):
            return False
        self._put(index, part, prediction)
        if index >= 0:
            self.last_stored = item
        self._usage.cache_hits += 1
        self.results.notify()
        return True

    def fail(self, index: int, failure: Failure) -> None:
        """Record that an input failed for good.

        Args:
            index: of the input.
            failure: its reason.
        """
        if index < 0:
            self.long_texts.failed(index, failure)
            return
        self.results.fail(index, failure)
        self.results.notify()
        self.done += 1

    def result(self, index: int) -> Result:
        """What became of an input.

        Args:
            index: of the input.

        Returns:
            Its prediction or its failure; None where there is neither, or it was forgotten.
        """
        if index < 0:
            return self.long_texts.result(index)
        result: Result = self.results[index] if index >= self.results.start else None
        return result

    async def predictions(self, items: Sequence[Input], result: RequestResult) -> list[Prediction]:
        """Read an answer that is not yet to be trusted. Nothing is recorded.

        Args:
            items: the inputs that the request carried.
            result: the answer to them, which may be unreadable.

        Returns:
            A prediction for each input.

        Raises:
            UnreadableAnswer: of some input there is none, or it cannot be told which is whose.
        """
        if result.unreadable is not None:
            raise result.unreadable
        pairs = zip(result.parts, items, strict=True)
        if result.bytes_received > LARGE_BYTES:
            return [await off_loop(self._read, part, item) for part, item in pairs]
        return [self._read(part, item) for part, item in pairs]

    def _put(self, index: int, part: object, prediction: Prediction) -> None:
        if index < 0:
            self.long_texts.answered(index, part, prediction)
        else:
            self._put_row(index, prediction)

    def _put_row(self, index: int, prediction: Prediction) -> None:
        self.results.put(index, prediction)
        self.done += 1

    def _put_merged(self, index: int, prediction: Prediction) -> None:
        """Put what the answers to parts made, which may be there before any request is answered."""
        self._put_row(index, prediction)
        self.results.notify()

    def _read(self, part: object, item: Input) -> Prediction:
        """What a part says. Whatever a reader raises is its row's reason, and never the query's end."""
        try:
            return self._task.read(part, item, self._model)
        except UnreadableAnswer:
            raise
        except Exception as error:
            logger.debug("an answer to %s could not be read", self._task.name, exc_info=True)
            kind = type(error).__name__
            raise UnreadableAnswer(f"the server's answer to {self._task.name} cannot be read ({kind})") from None

    def _repaired(self, queue: InputQueue, index: int, part: object, error: Exception) -> bool:
        """Whether one more request, which says what did not fit, may bring an answer that does."""
        if self._task.repair is None or not isinstance(error, UnreadableAnswer):
            return False
        item = self._task.repair(self._inputs[index], part, error, self._model)
        if item is None:
            return False
        self._usage.repairs += 1
        queue.replace_input(index, item)
        return True


def _is_large(part: object) -> bool:
    """Whether a stored part takes long to read: it has a file in base64, or very many numbers."""
    while isinstance(part, list) and len(part) == 1:
        part = part[0]
    if isinstance(part, dict):
        return any(isinstance(value, str) and len(value) > LARGE_BYTES for value in part.values())
    if isinstance(part, list) and part:
        return len(part) * (len(part[0]) if isinstance(part[0], list) else 1) > _MAX_NUMBERS_ON_LOOP
    return False
