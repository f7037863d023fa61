"""Answers to batches that may have been read wrongly: neither shown nor stored before a check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...errors import UnreadableAnswer
from ...pieces import LARGE_BYTES
from ...tasks import Input, Prediction
from ..failures import Failure
from ..flow_control import retry
from ..flow_control.batch_evidence import BatchEvidence
from ..flow_control.retry import Batch
from ..protocols.request import RequestResult
from ..transport.large_bodies import off_loop
from .input_queue import InputQueue
from .response_handler import ResponseHandler


class HeldBatch(NamedTuple):
    """The answer to one batch.

    Attributes:
        indexes: of its inputs.
        items: its inputs.
        predictions: what the answer says of each.
        result: the answer.
        different: the place of an input whose answer differs from the others, None where all are alike.
    """

    indexes: Sequence[int]
    items: Sequence[Input]
    predictions: Sequence[Prediction]
    result: RequestResult
    different: int | None


class HeldBatches:
    """The batches of one query that wait for a check.

    Args:
        queue: where inputs are put back that are to be asked again.
        handler: records the answers that can be trusted.

    Attributes:
        batches: in the order in which they were answered.
    """

    def __init__(self, queue: InputQueue, handler: ResponseHandler) -> None:
        self.batches: list[HeldBatch] = []
        self._queue, self._handler = queue, handler

    @property
    def last(self) -> HeldBatch | None:
        """The batch that was answered last."""
        return self.batches[-1] if self.batches else None

    def find_different(self) -> HeldBatch | None:
        """Look for an answer that differs from the others.

        Returns:
            The first batch with one; None where all are alike.
        """
        return next((held for held in self.batches if held.different is not None), None)

    async def add(
        self, indexes: Sequence[int], result: RequestResult, evidence: BatchEvidence
    ) -> Sequence[Prediction] | None:
        """Hold the answer to a batch.

        Args:
            indexes: of its inputs.
            result: the answer, with a part for each.
            evidence: what inputs that were asked alone got.

        Returns:
            What the answer says of each input; None where a part cannot be read, and nothing is held.
        """
        items = self._queue.items(indexes)
        try:
            predictions = await self._handler.predictions(items, result)
        except UnreadableAnswer:
            return None
        if result.bytes_received > LARGE_BYTES:
            different = await off_loop(evidence.find_different, items, predictions)
        else:
            different = evidence.find_different(items, predictions)
        self.batches.append(HeldBatch(indexes, items, predictions, result, different))
        return predictions

    async def release(self) -> None:
        """Record all that are held."""
        batches, self.batches = self.batches, []
        for held in batches:
            outcome = await self._handler.record(self._queue, held.indexes, held.result)
            if not isinstance(outcome, Failure):
                self._queue.put_back(outcome)

    def put_back(self) -> None:
        """Ask again for the inputs of all that are held, each alone."""
        batches, self.batches = self.batches, []
        for held in batches:
            self._queue.put_back(retry.singles(Batch(held.indexes)))
