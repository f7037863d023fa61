"""What the registry knows about a model before it is loaded, and what a loaded model can do."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from .protocol.inputs import InputT, ModelInputs
from .protocol.json_types import JSON, Parameters
from .protocol.outputs import Output
from .weights import WeightsPackage

OutputT = TypeVar("OutputT", bound="Output")
OutputT_co = TypeVar("OutputT_co", bound="Output", covariant=True)


class Model(Protocol[InputT, OutputT_co]):
    """A loaded model."""

    def predict(self, inputs: list[InputT], parameters: Parameters) -> Sequence[OutputT_co]:
        """Run the model. Calls come from a thread of the model's own, one at a time.

        Args:
            inputs: What the card's `parse_inputs` made of the request.
            parameters: The request's parameters, unchecked.

        Returns:
            One output for each input, in order.

        Raises:
            HTTPError: A parameter or an input that the model does not take.
        """


class Token(NamedTuple):
    """A piece of a text that is being generated: as a rule one token.

    `id` and `logprob` are there where they are known, `logprobs` (in OpenAI's form) where they were asked for.
    """

    text: str
    id: int | None = None
    logprob: float | None = None
    logprobs: Sequence[JSON] = ()


@dataclass(frozen=True)
class Finished(Generic[OutputT]):
    """The end of a stream.

    Attributes:
        output: The whole output, as `Model.predict` would have given it.
    """

    output: OutputT


@runtime_checkable
class StreamingModel(Protocol):
    """A model that can show its output while it is made."""

    def stream(self, item: Any, parameters: Parameters, on_token: Callable[[Token], bool]) -> Any:
        """Run the model for one input.

        Args:
            item: As one of the inputs of `Model.predict`.
            parameters: As in `Model.predict`.
            on_token: Called for each token, in the model's thread. It returns True where no more are wanted.

        Returns:
            The output, as `Model.predict` gives it.

        Raises:
            HTTPError: As `Model.predict` does.
        """


@runtime_checkable
class TokenCounter(Protocol):
    """A model that can tell how many tokens it reads."""

    def count_tokens(self, inputs: list[Any]) -> int:
        """Count tokens.

        Args:
            inputs: As in `Model.predict`.

        Returns:
            Tokens that the model reads of all inputs together.
        """


def no_limit() -> int | None:
    """Say that an input may have any length, for `ModelCard.max_input_length`.

    Returns:
        None.
    """
    return None


@dataclass(frozen=True)
class ModelCard(Generic[InputT, OutputT]):
    """One task of one model: how to load it, how to parse its inputs, and what it is.

    Attributes:
        name: The model's own id, such as `local/sentiment`.
        task: The task, under the Inference API's name.
        load: Loads the model: slow, called once, in a thread. Raises WeightsError or ImportError that says how to
            repair it.
        parse_inputs: Checks the request's `inputs`. Raises HTTPError.
        package: The package that the weights come from, with its licences.
        quality: How good the model is, in figures where there are figures.
        sha: SHA-256 of the weights, hexadecimal, as pinned, or the commit of a model of the Hub; sent as `x-sha`.
        hub_alias: The id of the Hub's default model for the task, where there is one; this model answers under it
            too.
        wrap_single: The output for a single input is sent as a list of one (text-classification does so).
        required_modules: Modules beyond those of the extra `local`.
        extra: The extra that installs `required_modules`.
        known_parameters: Where there are any, others are ignored with a warning; else the model judges them itself.
        voices: Names of the voices that the model speaks with.
        max_input_length: The most tokens of a text, special tokens included, as Text Embeddings Inference counts. None
            where one of any length is read to its end, where inputs are no text, and as long as it is not known.
    """

    name: str
    task: str
    load: Callable[[], Model[InputT, OutputT]]
    parse_inputs: Callable[[object], ModelInputs[InputT]]
    package: WeightsPackage
    quality: str
    sha: Callable[[], str]
    hub_alias: str | None
    wrap_single: bool = False
    required_modules: tuple[str, ...] = ()
    extra: str = "local"
    known_parameters: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    max_input_length: Callable[[], int | None] = no_limit

    @property
    def ids(self) -> tuple[str, ...]:
        """Every id that the model answers under."""
        return (self.name, self.hub_alias) if self.hub_alias else (self.name,)

    def missing_requirements(self) -> str | None:
        """Find out what to install before this model can be loaded.

        Returns:
            The modules that are missing and the command that installs them, or None.
        """
        missing = [module for module in self.required_modules if importlib.util.find_spec(module) is None]
        if not missing:
            return None
        return f'{", ".join(missing)} not installed: run pip install "huggingface_api_handler[{self.extra}]"'

    def metadata(self, model_id: str) -> dict[str, JSON]:
        """Describe the model, as `GET /models/{id}` does.

        Args:
            model_id: The id that was asked for, one of `ids`.

        Returns:
            The JSON body.
        """
        facts: dict[str, JSON] = {
            "id": model_id,
            "pipeline_tag": self.task,
            "task": self.task,
            "package": self.package.name,
            "version": self.package.version,
            "license": self.package.license,
            "quality": self.quality,
            "sha": self.sha(),
            "max_input_length": self.max_input_length(),
            "local_stand_in": model_id != self.name,
        }
        if model_id != self.name:
            facts["note"] = (
                f"Local stand-in: this is not {model_id} but {self.name}, from the package "
                f"{self.package.name} {self.package.version}. Its answers differ from those of {model_id}."
            )
        if missing := self.missing_requirements():
            facts["unavailable"] = missing
        return facts


AnyModelCard: TypeAlias = ModelCard[Any, Any]
"""A card of the registry, where cards of all input and output types stand together.

Each card's `parse_inputs` makes what its own model takes.
"""
