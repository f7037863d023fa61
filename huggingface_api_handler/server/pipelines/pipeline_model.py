"""Loads pipelines, and serves each task of them as a model.

Models with code of their own are not run: transformers would have to trust it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from .. import weights
from ..model_card import AnyModelCard, ModelCard, no_limit
from ..protocol.errors import HTTPError, input_too_long, too_many_tokens
from ..protocol.inputs import InputT, SimilarityInput
from ..protocol.json_types import Parameters
from ..protocol.outputs import Output
from ..protocol.parameters import get_bool
from ..weights import WeightsPackage
from . import embeddings, model_argument, supported_tasks, task_calls, text_length
from .model_argument import ModelArgument
from .supported_tasks import PipelineTask
from .transformers_types import Pipeline

EXTRA = "transformers"
_REQUIRED_MODULES = ("torch", "transformers")
# What a pipeline raises for an input or a parameter's value that it does not take.
_INPUT_ERRORS = (ValueError, TypeError, KeyError, IndexError, RuntimeError, ImportError)
# Of one input: a tokenizer takes 160 bytes for each.
MAX_INPUT_CHARS = 1_000_000
_WEIGHTS_PATTERNS = ("*.safetensors", "*.bin", "config.json")
_MODELS_WITHOUT_TOKEN_TYPES = ("clip", "owlvit", "owlv2", "siglip", "vits")


@dataclass(frozen=True)
class LoadedPipeline:
    """A pipeline, and what else is known of its model once it is loaded.

    Attributes:
        pipeline: The pipeline.
        pooling: How its vectors are pooled.
        sha: The commit of a model of the Hub, or SHA-256 over the files of a folder.
    """

    pipeline: Pipeline
    pooling: embeddings.Pooling
    sha: str


class SharedPipeline:
    """A model's pipeline, loaded once for all the tasks that it is served for.

    Attributes:
        lock: Held for loading and for each call: a tokenizer must not be set up by one call while another uses it.
    """

    def __init__(self, reference: str, task: str) -> None:
        """Name a pipeline without loading it.

        Args:
            reference: An id of the Hub, or a folder.
            task: The task, under transformers' name.
        """
        self._reference = reference
        self._task = task
        self._loaded: LoadedPipeline | None = None
        self.lock = threading.Lock()

    def load(self) -> LoadedPipeline:
        """Load the pipeline on the first call.

        Returns:
            The loaded pipeline.

        Raises:
            RuntimeError: It cannot be loaded; the message says why and what to do.
        """
        with self.lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def sha(self) -> str:
        """Identify the weights.

        Returns:
            The commit of a model of the Hub, or SHA-256 over the files of a folder; empty before the model is loaded.
        """
        return self._loaded.sha if self._loaded else ""

    def max_tokens(self) -> int | None:
        """Find out how long a text may be.

        Returns:
            The most tokens, as the model's files say it; None where they do not, or are not on this machine yet.
        """
        return text_length.max_tokens(self._reference, makes_vectors=self._task == "feature-extraction")

    def _load(self) -> LoadedPipeline:
        transformers: Any = importlib.import_module("transformers")
        if message := supported_tasks.removal_notice(self._task, transformers.__version__):
            raise RuntimeError(message)
        folder = Path(self._reference) if Path(self._reference).is_dir() else None
        try:
            pipeline: Pipeline = transformers.pipeline(self._task, model=self._reference, trust_remote_code=False)
            pools = self._task == "feature-extraction"
            pooling = embeddings.read_pooling(self._reference) if pools else embeddings.Pooling()
        except Exception as error:
            raise RuntimeError(self._failure_message(error)) from error
        _drop_unused_tokenizer_outputs(pipeline)
        commit = str(getattr(pipeline.model.config, "_commit_hash", None) or "")
        return LoadedPipeline(pipeline, pooling, _folder_sha256(folder) if folder else commit)

    def _failure_message(self, error: Exception) -> str:
        text = " ".join(str(error).split())
        if "gated repo" in text or "private repository" in text:
            return model_argument.unreachable_message(self._reference, error)
        return f"transformers cannot load {self._reference} for {self._task}: {type(error).__name__}: {text:.600}"


class PipelineModel(Generic[InputT]):
    """One task of a loaded pipeline. Inputs go one by one, so that no output depends on its neighbours."""

    def __init__(self, source: SharedPipeline, task: PipelineTask[InputT]) -> None:
        """Load the pipeline, unless another task has loaded it.

        Args:
            source: The pipeline.
            task: The task.

        Raises:
            RuntimeError: As `SharedPipeline.load` does.
        """
        self._loaded = source.load()
        self._lock = source.lock
        self._task = task
        self._max_tokens = source.max_tokens() if task.reads_from_the_start else None

    def predict(self, inputs: list[InputT], parameters: Parameters) -> list[Output]:
        """Run the pipeline.

        Args:
            inputs: What the task's `parse_inputs` made of the request.
            parameters: The request's parameters, unchecked.

        Returns:
            One output for each input, in the shape recorded for the task.

        Raises:
            HTTPError: 400 for a parameter or an input that the pipeline does not take, 413 for over 1,000,000
                characters, and for more tokens than the model can read where it does not cut, or `truncate` is false.
        """
        checked = self._task.validate_parameters(parameters)
        get_bool(checked, "truncate", True)
        with self._lock:
            return [self._predict_one(item, checked) for item in inputs]

    def _predict_one(self, item: InputT, parameters: dict[str, object]) -> Output:
        if (num_characters := _num_characters(item)) > MAX_INPUT_CHARS:
            raise input_too_long(f"the input has {num_characters} characters, {MAX_INPUT_CHARS} is the most")
        pipeline, pooling = self._loaded.pipeline, self._loaded.pooling
        try:
            if parameters.get("truncate") is False:
                self._reject_long(item, parameters)
            if isinstance(item, SimilarityInput):
                return embeddings.cosine_similarities(pipeline, pooling, item)
            if self._task.name == "feature-extraction" and isinstance(item, str):
                return embeddings.embed_text(pipeline, pooling, item, parameters)
            # A copy: some pipelines change the values they are given.
            own = {name: value for name, value in parameters.items() if name != "truncate"}
            return self._task.postprocess(self._task.call(pipeline, item, own))
        except Exception as error:
            if not isinstance(error, _INPUT_ERRORS) and type(error).__name__ != "PipelineException":
                raise
            if self._max_tokens is not None:
                given = text_length.tokens_beyond(pipeline, item, self._max_tokens, error)
                if given is not None:
                    raise too_many_tokens(self._max_tokens, given) from None
            # The input or a parameter's value is at fault, as far as these exceptions can tell.
            problem = " ".join(str(error).split())
            raise HTTPError(
                400, f"{self._task.name} refused this input: {type(error).__name__}: {problem:.500}"
            ) from None

    def _reject_long(self, item: InputT, parameters: dict[str, object]) -> None:
        """Refuse a text of which the model would read the beginning alone. With `stride` it reads all, in windows."""
        if self._max_tokens is None or "stride" in parameters:
            return
        beside = task_calls.hypotheses(parameters) if "candidate_labels" in self._task.parameters else ()
        tokens = text_length.longest(self._loaded.pipeline, item, beside)
        if tokens > self._max_tokens:
            raise too_many_tokens(self._max_tokens, tokens)


def _num_characters(item: object) -> int:
    """Count the characters of an input's texts, whatever its form."""
    if isinstance(item, str):
        return len(item)
    if isinstance(item, dict):
        return sum(map(_num_characters, item.values()))
    return sum(map(_num_characters, item)) if isinstance(item, (list, tuple)) else 0


def model_cards(arguments: Sequence[str]) -> tuple[AnyModelCard, ...]:
    """Make the cards of `--model` arguments.

    Args:
        arguments: NAME=ID_OR_FOLDER[:TASK] each.

    Returns:
        One card for each task of each model.

    Raises:
        ValueError: An argument cannot be served: its form, a task that is unknown or that the installed transformers
            has no more, a name given twice for a task.
        ModuleNotFoundError: The extra `transformers` is not installed.
    """
    if not arguments:
        return ()
    missing = [module for module in _REQUIRED_MODULES if importlib.util.find_spec(module) is None]
    if missing:
        raise ModuleNotFoundError(
            f"--model needs {', '.join(missing)}, not installed here. "
            f'Install with: pip install "huggingface_api_handler[{EXTRA}]"',
            name=missing[0],
        )
    cards = [card for argument in arguments for card in _cards(model_argument.parse_model_argument(argument))]
    seen: set[tuple[str, str]] = set()
    for card in cards:
        if (card.name, card.task) in seen:
            raise ValueError(f"--model {card.name} is given twice for {card.task}. Give the second another name")
        seen.add((card.name, card.task))
    return tuple(cards)


def _cards(argument: ModelArgument) -> list[AnyModelCard]:
    requested = argument.task or model_argument.detect_task(argument)
    tasks = supported_tasks.resolve_tasks(requested)
    version = importlib.metadata.version("transformers")
    if message := supported_tasks.removal_notice(tasks[0].pipeline_name, version):
        raise ValueError(f"--model {argument.name}: {message}")
    # translation_en_to_de and its like name languages that the pipeline reads from the task.
    pipeline_name = requested if requested.startswith("translation_") else tasks[0].pipeline_name
    source = SharedPipeline(argument.reference, pipeline_name)
    # What was asked for comes first: it answers where the URL names no task.
    ordered = sorted(tasks, key=lambda task: task.name != requested)
    return [_card(argument, task, source, version) for task in ordered]


def _card(
    argument: ModelArgument, task: PipelineTask[InputT], source: SharedPipeline, version: str
) -> ModelCard[InputT, Output]:
    where = "the folder" if argument.is_local else "the Hub's model"
    return ModelCard(
        name=argument.name,
        task=task.name,
        load=lambda: PipelineModel(source, task),
        parse_inputs=task.parse_inputs,
        package=WeightsPackage("transformers", version, "the model's own, see its model card"),
        quality=(
            f"That of {where} {argument.reference}, run as it is by a transformers pipeline; nothing measured here."
        ),
        sha=source.sha,
        hub_alias=None,
        wrap_single=task.wrap_single,
        required_modules=task.required_modules,
        extra=EXTRA,
        known_parameters=task.known_parameters,
        max_input_length=source.max_tokens if task.reads_from_the_start else no_limit,
    )


def _drop_unused_tokenizer_outputs(pipeline: Pipeline) -> None:
    """Drop token types, which CLIP's tokenizers of some folders make and its text model does not take."""
    tokenizer = getattr(pipeline, "tokenizer", None)
    if tokenizer is not None and pipeline.model.config.model_type in _MODELS_WITHOUT_TOKEN_TYPES:
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]


def _folder_sha256(folder: Path) -> str:
    files = sorted({path for pattern in _WEIGHTS_PATTERNS for path in folder.glob(pattern)})
    return weights.combined_sha256(weights.file_sha256(path) for path in files)
