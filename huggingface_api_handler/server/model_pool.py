"""Models load on first request, in the background; each then has one thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from .model_card import Card, Model
from .protocol.errors import Refusal

# What hf-inference says before it knows better.
ESTIMATED_SECONDS = 20.0


class Loaded:
    """A loaded model and the thread it answers in."""

    def __init__(self, model: Model, name: str) -> None:
        self._model = model
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def answer(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """Model.answer off the event loop, after the calls that came before it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._model.answer, inputs, parameters)

    def close(self) -> None:
        """Let the thread end after the call it is in."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class Shelf:
    """The models of one server, by card."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[tuple[str, str], Future[Loaded]] = {}

    async def get(self, card: Card, model_id: str, wait: bool) -> Loaded:
        """The loaded model. Raises Refusal 503 while it loads, unless `wait`, and 500 when it cannot be loaded.

        A load that failed is tried again by the next request, so that a repair needs no restart.
        """
        future = self._begun(card)
        if not wait and not future.done():
            raise Refusal(503, f"Model {model_id} is currently loading", estimated_time=ESTIMATED_SECONDS)
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except Exception as error:
            with self._lock:
                if self._futures.get(_key(card)) is future:
                    del self._futures[_key(card)]
            raise Refusal(500, f"Model {model_id} could not be loaded: {error}") from error

    def close(self) -> None:
        """End the threads of all models."""
        with self._lock:
            futures, self._futures = list(self._futures.values()), {}
        for future in futures:
            if future.done() and future.exception() is None:
                future.result().close()

    def _begun(self, card: Card) -> Future[Loaded]:
        with self._lock:
            future = self._futures.get(_key(card))
            if future is None:
                future = self._futures[_key(card)] = Future()
                arguments = (card, future)
                threading.Thread(target=_load, args=arguments, name=f"load {card.name}", daemon=True).start()
            return future


def _key(card: Card) -> tuple[str, str]:
    return card.name, card.task


def _load(card: Card, future: Future[Loaded]) -> None:
    try:
        future.set_result(Loaded(card.load(), card.name))
    except Exception as error:
        future.set_exception(error)
