"""`--model NAME=ID_OR_FOLDER[:TASK]`: what a person asks to be served, and the task where none is given."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TASK_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]*")
_PIPELINE_TAG_PATTERN = re.compile(r"^pipeline_tag:\s*['\"]?([a-z0-9-]+)", re.MULTILINE)

_MAX_CARD_CHARS = 20_000
_HUB_TIMEOUT_S = 20

# First match counts. The classes are those that a model's config.json names under `architectures`.
_TASK_BY_CLASS = (
    (r"LayoutLM\w*ForQuestionAnswering", "document-question-answering"),
    (r"TapasForQuestionAnswering", "table-question-answering"),
    (r"ViltForQuestionAnswering", "visual-question-answering"),
    (
        r"(Wav2Vec2|Hubert|WavLM|UniSpeech|SEW|Data2VecAudio|Whisper)\w*ForSequenceClassification",
        "audio-classification",
    ),
    (r"WhisperForAudioClassification|\w*ForAudioClassification", "audio-classification"),
    (r"\w*ForCTC|WhisperForConditionalGeneration|\w*ForSpeechSeq2Seq", "automatic-speech-recognition"),
    (r"(Owl|GroundingDino|MMGroundingDino|OmDet)\w*ForObjectDetection", "zero-shot-object-detection"),
    (r"(CLIP|ChineseCLIP|Siglip|Siglip2|Align|AltCLIP)Model", "zero-shot-image-classification"),
    (r"VitsModel|SpeechT5ForTextToSpeech|BarkModel|MusicgenForConditionalGeneration", "text-to-speech"),
    (r"VisionEncoderDecoderModel|Blip\w*ForConditionalGeneration|GitForCausalLM", "image-to-text"),
    (r"MarianMTModel|(MBart|M2M100)ForConditionalGeneration", "translation"),
    (r"(T5|MT5|UMT5|LongT5|Bart|Pegasus|LED|Blenderbot\w*)ForConditionalGeneration", "text2text-generation"),
    (r"\w*ForSequenceClassification", "text-classification"),
    (r"\w*ForTokenClassification", "token-classification"),
    (r"\w*ForQuestionAnswering", "question-answering"),
    (r"\w*ForMaskedLM", "fill-mask"),
    (r"\w*(ForCausalLM|LMHeadModel)", "text-generation"),
    (r"\w*ForVideoClassification", "video-classification"),
    (r"\w*ForImageClassification\w*", "image-classification"),
    (r"\w*ForObjectDetection", "object-detection"),
    (r"\w*For(Semantic|Instance|Universal|Image)?Segmentation", "image-segmentation"),
    (r"\w*ForDepthEstimation", "depth-estimation"),
    (r"\w*Model", "feature-extraction"),
)


@dataclass(frozen=True)
class ModelArgument:
    """One model to serve.

    Attributes:
        name: The id that it answers under.
        reference: An id of the Hub, or a folder.
        task: The task as given, or None.
    """

    name: str
    reference: str
    task: str | None

    @property
    def is_local(self) -> bool:
        """Whether the reference is a folder of this machine."""
        return Path(self.reference).is_dir()


def parse_model_argument(argument: str) -> ModelArgument:
    """Parse `NAME=ID_OR_FOLDER[:TASK]`.

    Args:
        argument: What follows `--model`.

    Returns:
        Its parts; `~` of a folder is expanded.

    Raises:
        ValueError: A part is missing, or the folder does not exist.
    """
    name, equals, reference = argument.partition("=")
    if not equals or not name.strip("/ ") or not reference.strip():
        raise ValueError(f"--model {argument}: give NAME=ID_OR_FOLDER[:TASK], such as ner=dslim/bert-base-NER")
    name, reference = name.strip("/ "), reference.strip()
    head, colon, tail = reference.rpartition(":")
    # A drive letter is no task, nor is the end of a folder's own name.
    if colon and len(head) > 1 and _TASK_PATTERN.fullmatch(tail) and not Path(reference).is_dir():
        return ModelArgument(name, _expand_folder(head), tail)
    return ModelArgument(name, _expand_folder(reference), None)


def _expand_folder(reference: str) -> str:
    if reference.startswith(("~", "./", "../", "/")) or Path(reference).is_dir():
        folder = Path(reference).expanduser()
        if not folder.is_dir():
            raise ValueError(f"{reference} is not a folder. Give a folder that holds a model, or an id of the Hub")
        return str(folder)
    return reference


def detect_task(argument: ModelArgument) -> str:
    """Find out a model's task: the one of its card (`pipeline_tag`), or else the one that its class does.

    For an id of the Hub this asks the Hub, or reads its cache.

    Args:
        argument: The model.

    Returns:
        The task.

    Raises:
        ValueError: Neither card nor class tells the task, or the model cannot be had.
    """
    found = _task_from_folder(Path(argument.reference)) if argument.is_local else _task_from_hub(argument.reference)
    if found is None:
        raise ValueError(
            f"What {argument.reference} does cannot be told from its model card or config.json. "
            f"Name the task: --model {argument.name}={argument.reference}:TASK"
        )
    return found


def task_from_config(config: Mapping[str, object]) -> str | None:
    """Find out the task of a model's class.

    Args:
        config: The model's config.json.

    Returns:
        The task that the first class under `architectures` does, or None for an unknown class.
    """
    classes = config.get("architectures")
    first = str(classes[0]) if isinstance(classes, list) and classes else ""
    return next((task for pattern, task in _TASK_BY_CLASS if re.fullmatch(pattern, first)), None)


def _task_from_folder(folder: Path) -> str | None:
    card = folder / "README.md"
    if card.is_file() and (
        tag := _PIPELINE_TAG_PATTERN.search(card.read_text("utf-8", errors="replace")[:_MAX_CARD_CHARS])
    ):
        return tag.group(1)
    if (folder / "modules.json").is_file():
        return "feature-extraction"
    return _task_from_config_file(folder / "config.json")


def _task_from_config_file(path: Path) -> str | None:
    if not path.is_file():
        return None
    return task_from_config(json.loads(path.read_text("utf-8")))


def _task_from_hub(model_id: str) -> str | None:
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        if tag := huggingface_hub.model_info(model_id, timeout=_HUB_TIMEOUT_S).pipeline_tag:
            return str(tag)
    except (GatedRepoError, RepositoryNotFoundError, HFValidationError) as error:
        raise ValueError(unreachable_message(model_id, error)) from None
    except Exception:  # noqa: S110 - no network or a mirror without this call: the cache may know
        pass
    try:
        return _task_from_config_file(Path(huggingface_hub.hf_hub_download(model_id, "config.json")))
    except Exception as error:
        raise ValueError(unreachable_message(model_id, error)) from None


def unreachable_message(model_id: str, error: Exception) -> str:
    """Say why a model of the Hub cannot be had, and what to do.

    Args:
        model_id: The id.
        error: What went wrong.

    Returns:
        The message.
    """
    return (
        f"{model_id} is no folder here and cannot be had from the Hub ({type(error).__name__}). Check the spelling; "
        "for a gated or private model set HF_TOKEN to a token that may read it; without network, give a folder"
    )
