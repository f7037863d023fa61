"""Transformers pipelines as models of this server: `serve --model NAME=ID_OR_FOLDER[:TASK]`.

Needs the extra `transformers`. Models with code of their own are not run: transformers would have to trust it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import weights
from ..model_card import ModelCard
from ..protocol.errors import HTTPError
from . import embeddings, model_argument, supported_tasks
from .supported_tasks import PipelineTask

EXTRA = "transformers"
_NEEDED = ("torch", "transformers")
_REFUSALS = (ValueError, TypeError, KeyError, IndexError, RuntimeError, ImportError)
_WEIGHTS = ("*.safetensors", "*.bin", "config.json")


@dataclass(frozen=True)
class LoadedPipeline:
    """A pipeline, and what else is known of its model once it is there."""

    pipeline: Any
    pooling: embeddings.Pooling
    digest: str


class SharedPipeline:
    """A model's pipeline, loaded once for all the tasks it is served for."""

    def __init__(self, reference: str, task: str) -> None:
        self._reference = reference
        self._task = task
        self._loaded: LoadedPipeline | None = None
        self.lock = threading.Lock()
        """Held for loading and for each call: a tokenizer must not be set up by one call while another uses it."""

    def load(self) -> LoadedPipeline:
        """The loaded pipeline. Raises RuntimeError with the way to repair it."""
        with self.lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def sha(self) -> str:
        """The commit of a model of the Hub, SHA-256 over the files of a folder; empty before the model is loaded."""
        return self._loaded.digest if self._loaded else ""

    def _load(self) -> LoadedPipeline:
        transformers: Any = importlib.import_module("transformers")
        if message := supported_tasks.removal_notice(self._task, transformers.__version__):
            raise RuntimeError(message)
        folder = Path(self._reference) if Path(self._reference).is_dir() else None
        try:
            pipeline = transformers.pipeline(self._task, model=self._reference, trust_remote_code=False)
            pooled = self._task == "feature-extraction"
            pooling = embeddings.read_pooling(self._reference) if pooled else embeddings.Pooling()
        except Exception as error:
            raise RuntimeError(self._why(error)) from error
        _only_tensors_the_model_takes(pipeline)
        commit = str(getattr(pipeline.model.config, "_commit_hash", None) or "")
        return LoadedPipeline(pipeline, pooling, _digest(folder) if folder else commit)

    def _why(self, error: Exception) -> str:
        text = " ".join(str(error).split())
        if "gated repo" in text or "private repository" in text:
            return model_argument.unreachable_message(self._reference, error)
        return f"transformers cannot load {self._reference} for {self._task}: {type(error).__name__}: {text:.600}"


class PipelineModel:
    """One task of a loaded pipeline. ModelInputs go one by one, so that no answer depends on its neighbours."""

    def __init__(self, source: SharedPipeline, task: PipelineTask) -> None:
        self._loaded = source.load()
        self._lock = source.lock
        self._task = task

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """One answer for each input, in the shape recorded for the task."""
        checked = self._task.validate_parameters(parameters)
        with self._lock:
            return [self._one(item, checked) for item in inputs]

    def _one(self, item: Any, parameters: dict[str, Any]) -> Any:
        pipeline, pooling = self._loaded.pipeline, self._loaded.pooling
        try:
            if self._task.name == "sentence-similarity":
                return embeddings.cosine_similarities(pipeline, pooling, *item)
            if self._task.name == "feature-extraction":
                return embeddings.embed_text(pipeline, pooling, item, parameters)
            # A copy: some pipelines change the values they are given.
            return self._task.postprocess(self._task.call(pipeline, item, dict(parameters)))
        except Exception as error:
            if not isinstance(error, _REFUSALS) and type(error).__name__ != "PipelineException":
                raise
            # What a pipeline refuses is the input or a parameter's value, as far as these exceptions can tell.
            problem = " ".join(str(error).split())
            raise HTTPError(
                400, f"{self._task.name} refused this input: {type(error).__name__}: {problem:.500}"
            ) from None


def model_cards(arguments: Sequence[str]) -> tuple[ModelCard, ...]:
    """The cards of `--model` arguments.

    Raises ValueError for an argument that cannot be served (its form, a task that is unknown or has left the
    transformers installed, a name given twice for a task), and ModuleNotFoundError without the extra.
    """
    if not arguments:
        return ()
    missing = [module for module in _NEEDED if importlib.util.find_spec(module) is None]
    if missing:
        raise ModuleNotFoundError(
            f"--model needs {', '.join(missing)}, not installed here. "
            f'Install with: pip install "huggingface_api_handler[{EXTRA}]"',
            name=missing[0],
        )
    made = [card for argument in arguments for card in _cards(model_argument.parse_model_argument(argument))]
    given: set[tuple[str, str]] = set()
    for card in made:
        if (card.name, card.task) in given:
            raise ValueError(f"--model {card.name} is given twice for {card.task}. Give the second another name")
        given.add((card.name, card.task))
    return tuple(made)


def _cards(spec: model_argument.ModelArgument) -> list[ModelCard]:
    asked = spec.task or model_argument.detect_task(spec)
    tasks = supported_tasks.resolve_tasks(asked)
    version = importlib.metadata.version("transformers")
    if message := supported_tasks.removal_notice(tasks[0].pipeline_name, version):
        raise ValueError(f"--model {spec.name}: {message}")
    # translation_en_to_de and its like name languages that the pipeline reads from the task.
    own_name = asked if asked.startswith("translation_") else tasks[0].pipeline_name
    source = SharedPipeline(spec.reference, own_name)
    # What was asked for comes first: it answers where the URL names no task.
    ordered = sorted(tasks, key=lambda task: task.name != asked)
    return [_card(spec, task, source, version) for task in ordered]


def _card(spec: model_argument.ModelArgument, task: PipelineTask, source: SharedPipeline, version: str) -> ModelCard:
    where = "the folder" if spec.is_local else "the Hub's model"
    return ModelCard(
        name=spec.name,
        task=task.name,
        load=lambda: PipelineModel(source, task),
        parse_inputs=task.parse_inputs,
        package="transformers",
        version=version,
        license="the model's own, see its model card",
        quality=f"That of {where} {spec.reference}, run as it is by a transformers pipeline; nothing measured here.",
        sha=source.sha,
        hub_alias=None,
        wrap_single=task.wrap_single,
        required_modules=task.required_modules,
        extra=EXTRA,
    )


def _only_tensors_the_model_takes(pipeline: Any) -> None:
    """CLIP's tokenizers of some folders make token types, which its text model does not take."""
    tokenizer = getattr(pipeline, "tokenizer", None)
    if tokenizer is not None and pipeline.model.config.model_type in ("clip", "owlvit", "owlv2", "siglip", "vits"):
        kept = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
        tokenizer.model_input_names = kept


def _digest(folder: Path) -> str:
    files = sorted({path for pattern in _WEIGHTS for path in folder.glob(pattern)})
    return weights.combined_sha256(weights.file_sha256(path) for path in files)
