"""Models load on first request, in the background; each then has one thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from .model_card import Model, ModelCard
from .protocol.errors import HTTPError

# What hf-inference says before it knows better.
ESTIMATED_LOAD_TIME_S = 20.0


class ModelWorker:
    """A loaded model and the thread it answers in."""

    def __init__(self, model: Model, name: str) -> None:
        self._model = model
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """Model.predict off the event loop, after the calls that came before it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._model.predict, inputs, parameters)

    def close(self) -> None:
        """Let the thread end after the call it is in."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class ModelPool:
    """The models of one server, by card."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[tuple[str, str], Future[ModelWorker]] = {}

    async def get(self, card: ModelCard, model_id: str, wait: bool) -> ModelWorker:
        """The loaded model. Raises HTTPError 503 while it loads, unless `wait`, and 500 when it cannot be loaded.

        A load that failed is tried again by the next request, so that a repair needs no restart.
        """
        future = self._begun(card)
        if not wait and not future.done():
            raise HTTPError(503, f"Model {model_id} is currently loading", estimated_time=ESTIMATED_LOAD_TIME_S)
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except Exception as error:
            with self._lock:
                if self._futures.get(_key(card)) is future:
                    del self._futures[_key(card)]
            raise HTTPError(500, f"Model {model_id} could not be loaded: {error}") from error

    def close(self) -> None:
        """End the threads of all models."""
        with self._lock:
            futures, self._futures = list(self._futures.values()), {}
        for future in futures:
            if future.done() and future.exception() is None:
                future.result().close()

    def _begun(self, card: ModelCard) -> Future[ModelWorker]:
        with self._lock:
            future = self._futures.get(_key(card))
            if future is None:
                future = self._futures[_key(card)] = Future()
                arguments = (card, future)
                threading.Thread(target=_load, args=arguments, name=f"load {card.name}", daemon=True).start()
            return future


def _key(card: ModelCard) -> tuple[str, str]:
    return card.name, card.task


def _load(card: ModelCard, future: Future[ModelWorker]) -> None:
    try:
        future.set_result(ModelWorker(card.load(), card.name))
    except Exception as error:
        future.set_exception(error)
