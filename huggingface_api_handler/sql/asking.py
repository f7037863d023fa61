"""Asks models through ``inference``: one query of each model for the whole statement, however many windows it takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from functools import partial

import pandas as pd

from ..inference.cascade.run import predict_frames
from ..inference.pricing.spending import Range
from ..inference.runtime.context import Query
from ..inference.runtime.progress import ModelProgress, Progress
from ..inference.runtime.session import Session
from .model_joins import JoinedModel


class Stream:
    """A model's query, which is given frames when they are known and gives each back before it asks for the next.

    One budget, one set of limits and one receipt hold for all of them.
    """

    def __init__(self, query: Query, progress: Progress | None) -> None:
        """Begin a query.

        Args:
            query: What is asked.
            progress: As for ``predict_frames``.
        """
        self.query = query
        self._waiting: deque[Iterator[pd.DataFrame]] = deque()
        self._is_over = False
        self._outs = predict_frames(self._frames(), query, progress=progress)

    def ask(self, frames: Iterator[pd.DataFrame], total: int) -> Iterator[pd.DataFrame]:
        """Predict some frames.

        Args:
            frames: Read as far ahead as ``predict_frames`` does.
            total: How many rows they have.

        Yields:
            The prediction of each.

        Raises:
            InferenceError: The query ended without any answer.
        """
        self._waiting.append(frames)
        given = 0
        while given < total:
            out = next(self._outs, None)
            if out is None:
                break
            given += len(out)
            yield out

    def finish(self) -> None:
        """End the query: what it used is counted.

        Raises:
            InferenceError: No row was answered, and rows failed.
        """
        self._is_over = True
        for _ in self._outs:
            pass

    def close(self) -> None:
        """Give the query up, where it was not finished."""
        if isinstance(self._outs, Generator):
            self._outs.close()

    def _frames(self) -> Iterator[pd.DataFrame | None]:
        while not self._is_over or self._waiting:
            if self._waiting:
                yield from self._waiting.popleft()
            yield None


class Asker:
    """Asks the models of one statement."""

    def __init__(self, session: Session, progress: ModelProgress | None) -> None:
        """Begin without queries.

        Args:
            session: The connections, stores and routes that are used.
            progress: As for ``predict_frames``, with a model's name before.
        """
        self._session, self._progress = session, progress
        self._streams: dict[JoinedModel, Stream] = {}

    def ask(self, model: JoinedModel, frames: Iterator[pd.DataFrame], total: int) -> Iterator[pd.DataFrame]:
        """Predict some frames of a model's inputs.

        Args:
            model: The model.
            frames: Of its inputs.
            total: How many rows they have.

        Yields:
            The prediction of each frame.
        """
        yield from self._stream(model).ask(frames, total)

    def expect(self, model: JoinedModel, usd: Range | None) -> None:
        """Note what frames that are to be asked were estimated to cost, so that it stands beside what they do cost.

        Args:
            model: The model.
            usd: The dollars; None where nobody can know them.
        """
        spending = self._stream(model).query.usage.spending
        if usd is not None:
            spending.estimated = usd if spending.estimated is None else spending.estimated.plus(usd)

    def finish(self) -> None:
        """End all queries, as ``Stream.finish`` does."""
        for stream in self._streams.values():
            stream.finish()

    def close(self) -> None:
        """Give up all queries that were not finished."""
        for stream in self._streams.values():
            stream.close()

    def queries(self) -> Sequence[tuple[str, Query]]:
        """The queries by the names of their models."""
        return [(model.name, stream.query) for model, stream in self._streams.items()]

    def _stream(self, model: JoinedModel) -> Stream:
        if model not in self._streams:
            progress = None if self._progress is None else partial(self._progress, model.name)
            self._streams[model] = Stream(model.query(self._session), progress)
        return self._streams[model]
