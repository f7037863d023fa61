"""One run of a model for one request: it is loaded, waited for, counted and described in the response's headers."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from starlette.requests import Request

from .model_card import Finished, ModelCard, OutputT, Token
from .model_pool import ModelPool, ModelWorker
from .protocol.inputs import InputT, ModelInputs
from .protocol.json_types import Parameters
from .protocol.parameters import ignored_warning, split_known

if TYPE_CHECKING:
    from .metrics import Metrics

WARNING_HEADER = "x-warning"
_YES = ("true", "1")
_NO = ("false", "0")


@dataclass(frozen=True)
class RunOptions:
    """What a body says beside inputs and parameters.

    Attributes:
        wait_for_model: Whether a model that loads is waited for; None where it does not say. The header comes first.
        ignored: Names of fields that were ignored.
    """

    wait_for_model: bool | None = None
    ignored: Sequence[str] = ()


NO_OPTIONS = RunOptions()


class ModelRun(Generic[InputT, OutputT]):
    """What one request asks of a model. The model is loaded when it is first run.

    Attributes:
        headers: Headers for the response; complete once the model has run.
    """

    def __init__(
        self,
        request: Request,
        card: ModelCard[InputT, OutputT],
        parameters: Parameters,
        *,
        options: RunOptions = NO_OPTIONS,
    ) -> None:
        """Prepare a run.

        Args:
            request: The request. Its header `x-wait-for-model` says whether a model that loads is waited for.
            card: The model's card.
            parameters: The request's parameters, unchecked.
            options: What else the body says.
        """
        self._request = request
        self._card = card
        self._parameters, unknown = split_known(parameters, card.known_parameters)
        self._wait = _waits(request, options.wait_for_model)
        self._worker: ModelWorker[InputT, OutputT] | None = None
        self.headers: dict[str, str] = {}
        if warning := ignored_warning([*options.ignored, *unknown]):
            self.warn(warning)

    async def predict(self, inputs: ModelInputs[InputT]) -> Sequence[OutputT]:
        """Run the model, and add to `headers` how long that took.

        Args:
            inputs: Checked inputs.

        Returns:
            One output for each input, in order.

        Raises:
            HTTPError: As `ModelPool.get` and `Model.predict` do.
        """
        with self._counted(len(inputs.items)):
            worker = await self._load()
            started = time.perf_counter()
            outputs = await worker.predict(inputs.items, self._parameters)
        self.headers |= {
            "x-compute-time": f"{time.perf_counter() - started:.3f}",
            "x-compute-characters": str(inputs.num_characters),
        }
        return outputs

    async def stream(self, item: InputT) -> AsyncGenerator[Token | Finished[OutputT], None]:
        """Run the model for one input.

        Args:
            item: A checked input.

        Yields:
            Tokens as they come, where the model can do that, and the output last.

        Raises:
            HTTPError: As `ModelPool.get` and `Model.predict` do.
        """
        with self._counted(1):
            worker = await self._load()
            if not worker.can_stream:
                self.warn("this model's output comes as one piece")
            async with aclosing(worker.stream(item, self._parameters)) as parts:
                async for part in parts:
                    yield part

    async def count_tokens(self, inputs: list[InputT]) -> int | None:
        """Count the tokens that the model reads.

        Args:
            inputs: Checked inputs.

        Returns:
            Tokens of all inputs together, or None where the model cannot tell.

        Raises:
            HTTPError: As `ModelPool.get` does.
        """
        return await (await self._load()).count_tokens(inputs)

    def warn(self, warning: str) -> None:
        """Add a warning to the headers.

        Args:
            warning: One line of printable ASCII.
        """
        self.headers[WARNING_HEADER] = "; ".join(filter(None, (self.headers.get(WARNING_HEADER), warning)))

    def on_tokens(self, tokens: int) -> None:
        """Count tokens in the metrics, where they are installed.

        Args:
            tokens: Tokens read and generated.
        """
        metrics: Metrics | None = self._request.app.state.metrics
        if metrics is not None:
            metrics.on_tokens(self._card.task, tokens)

    async def _load(self) -> ModelWorker[InputT, OutputT]:
        if self._worker is None:
            pool: ModelPool = self._request.app.state.pool
            model_id = self._request.path_params.get("model_id", self._card.name)
            self._worker = await pool.get(self._card, model_id, self._wait)
            self.headers |= {"x-compute-type": "cpu", "x-sha": self._card.sha()}
        return self._worker

    @contextmanager
    def _counted(self, inputs: int) -> Iterator[None]:
        """Count a run in the metrics, where they are installed."""
        metrics: Metrics | None = self._request.app.state.metrics
        with nullcontext() if metrics is None else metrics.running(self._request, self._card.task, inputs):
            yield


def _waits(request: Request, wait: bool | None) -> bool:
    header = request.headers.get("x-wait-for-model", "").lower()
    if header in _YES or header in _NO:
        return header in _YES
    return wait is not False


AnyModelRun = ModelRun[Any, Any]
"""A run of a model of any input and output."""
