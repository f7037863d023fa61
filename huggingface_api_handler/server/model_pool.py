"""The loaded models of one server: each loads on first request, in the background, and has one thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic

from .model_card import AnyModelCard, Finished, Model, ModelCard, OutputT, StreamingModel, Token, TokenCounter
from .protocol.errors import HTTPError
from .protocol.inputs import InputT
from .protocol.json_types import Parameters

# What hf-inference says before it knows better.
ESTIMATED_LOAD_TIME_S = 20.0
# Less than the 120 s after which many clients give up. A model that takes longer is a 503, which they can ask again.
MAX_LOAD_WAIT_S = 100.0


class ModelWorker(Generic[InputT, OutputT]):
    """A loaded model, and the thread that it runs in."""

    def __init__(self, model: Model[InputT, OutputT], name: str) -> None:
        """Give a model its thread.

        Args:
            model: The loaded model.
            name: Name of the thread.
        """
        self._model = model
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    @property
    def can_stream(self) -> bool:
        """Whether the model shows its output while it is made."""
        return isinstance(self._model, StreamingModel)

    async def predict(self, inputs: list[InputT], parameters: Parameters) -> Sequence[OutputT]:
        """Run the model off the event loop, after the calls that came before.

        Args:
            inputs: As in `Model.predict`.
            parameters: As in `Model.predict`.

        Returns:
            One output for each input, in order.

        Raises:
            HTTPError: As `Model.predict` does.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._model.predict, inputs, parameters)

    async def stream(self, item: InputT, parameters: Parameters) -> AsyncGenerator[Token | Finished[OutputT], None]:
        """Run the model off the event loop, and give what it says as it comes.

        Whoever closes the stream ends the run with its next token.

        Args:
            item: As in `StreamingModel.stream`.
            parameters: As in `Model.predict`.

        Yields:
            Tokens, none of them where the model cannot stream, and the output last.

        Raises:
            HTTPError: As `Model.predict` does.
        """
        if not isinstance(self._model, StreamingModel):
            yield Finished((await self.predict([item], parameters))[0])
            return
        loop = asyncio.get_running_loop()
        tokens: asyncio.Queue[Token | None] = asyncio.Queue()
        closed = threading.Event()

        def on_token(token: Token) -> bool:
            """Hand a token over to the event loop."""
            if not closed.is_set():
                loop.call_soon_threadsafe(tokens.put_nowait, token)
            return closed.is_set()

        future = loop.run_in_executor(self._executor, self._model.stream, item, parameters, on_token)
        future.add_done_callback(lambda _: tokens.put_nowait(None))
        try:
            while (token := await tokens.get()) is not None:
                yield token
            yield Finished(await future)
        finally:
            closed.set()
            # Where it has not begun, it never will.
            future.cancel()

    async def count_tokens(self, inputs: list[InputT]) -> int | None:
        """Count the tokens that the model reads, off the event loop.

        Args:
            inputs: As in `Model.predict`.

        Returns:
            Tokens of all inputs together, or None where the model cannot tell.
        """
        if not isinstance(self._model, TokenCounter):
            return None
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._model.count_tokens, inputs)

    def close(self) -> None:
        """End the thread after the call that it is in."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class ModelPool:
    """The models of one server, by card."""

    def __init__(self) -> None:
        """Start without any model."""
        self._lock = threading.Lock()
        self._workers: dict[tuple[str, str], Future[ModelWorker[Any, Any]]] = {}

    async def get(self, card: ModelCard[InputT, OutputT], model_id: str, wait: bool) -> ModelWorker[InputT, OutputT]:
        """Get a loaded model; the first call starts to load it.

        A load that failed is tried again by the next call, so that a repair needs no restart.

        Args:
            card: The model and its task.
            model_id: The id that the request named, for messages.
            wait: Wait while the model loads, 100 s at most, instead of raising 503.

        Returns:
            The loaded model.

        Raises:
            HTTPError: 503 while the model loads, where it is not waited for or takes longer; 500 when it cannot be
                loaded.
        """
        future = self._start_loading(card)
        if wait and not future.done():
            loading = asyncio.wrap_future(future)
            # It is `future` whose exception is looked at. Without this, asyncio would log the one of `loading`.
            loading.add_done_callback(lambda done: done.cancelled() or done.exception())
            # Not cancelled with this request, since others wait for the same load.
            await asyncio.wait([loading], timeout=MAX_LOAD_WAIT_S)
        if not future.done():
            raise HTTPError(503, f"Model {model_id} is currently loading", estimated_time=ESTIMATED_LOAD_TIME_S)
        try:
            return future.result()
        except Exception as error:
            with self._lock:
                if self._workers.get(_key(card)) is future:
                    del self._workers[_key(card)]
            raise HTTPError(500, f"Model {model_id} could not be loaded: {error}") from error

    def close(self) -> None:
        """End the threads of all models."""
        with self._lock:
            futures, self._workers = list(self._workers.values()), {}
        for future in futures:
            if future.done() and future.exception() is None:
                future.result().close()

    def _start_loading(self, card: ModelCard[InputT, OutputT]) -> Future[ModelWorker[InputT, OutputT]]:
        with self._lock:
            future = self._workers.get(_key(card))
            if future is None:
                future = self._workers[_key(card)] = Future()
                arguments = (card, future)
                threading.Thread(target=_load, args=arguments, name=f"load {card.name}", daemon=True).start()
            return future


def _key(card: AnyModelCard) -> tuple[str, str]:
    return card.name, card.task


def _load(card: ModelCard[InputT, OutputT], future: Future[ModelWorker[InputT, OutputT]]) -> None:
    try:
        future.set_result(ModelWorker(card.load(), card.name))
    except Exception as error:
        future.set_exception(error)
