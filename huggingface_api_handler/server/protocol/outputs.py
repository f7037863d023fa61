"""The shapes of outputs, as recorded from Hugging Face's Inference API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

from .json_types import JSON

Embedding: TypeAlias = npt.NDArray[np.float32]
"""The vector of one text, of shape (dimensions,), or (tokens, dimensions) where a model does not pool."""


@dataclass(frozen=True)
class MediaFile:
    """An output that is sent as it is, not as JSON.

    Attributes:
        content: The file's bytes.
        content_type: Its media type, such as `audio/wav`.
    """

    content: bytes
    content_type: str


class LabelScore(TypedDict):
    """A label of a classifier, with its score."""

    label: str
    score: float


class ZeroShotScores(TypedDict):
    """Candidate labels of one text, the highest score first, in the form of the former Inference API."""

    sequence: str
    labels: list[str]
    scores: list[float]


class Entity(TypedDict):
    """A named entity; `start` and `end` are positions of characters in the text."""

    entity_group: str
    score: float
    word: str
    start: int
    end: int


class TranscriptChunk(TypedDict):
    """A part of a transcript; `timestamp` is its start and its end in seconds."""

    text: str
    timestamp: list[float]


class Transcript(TypedDict, total=False):
    """The text of an audio file; `chunks` are there when timestamps were asked for, the others where they are known."""

    text: str
    chunks: list[TranscriptChunk]
    language: str
    duration: float


class GenerationDetails(TypedDict):
    """Why a generation ended: `length` or `eos_token`; its and its prompt's tokens; its seed, if one was given."""

    finish_reason: str
    generated_tokens: int
    prompt_tokens: int
    seed: int | None


class GeneratedText(TypedDict, total=False):
    """A generated text; `details` are there when they were asked for."""

    generated_text: str
    details: GenerationDetails


class TranslationText(TypedDict):
    """A translated text."""

    translation_text: str


class ChatMessage(TypedDict):
    """One message of a conversation; `role` is system, user or assistant."""

    role: str
    content: str


class ChatChoice(TypedDict):
    """The answer to a conversation; `finish_reason` is `stop` or `length`."""

    index: int
    message: ChatMessage
    logprobs: JSON
    finish_reason: str


class ChatUsage(TypedDict):
    """Tokens of a conversation and of its answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class SystemFingerprint(TypedDict, total=False):
    """What a model runs on; where it is not there, the server takes the start of the weights' SHA-256."""

    system_fingerprint: str


class ChatAnswer(SystemFingerprint):
    """The fields of a chat completion that the model decides."""

    choices: list[ChatChoice]
    usage: ChatUsage


Output: TypeAlias = (
    "JSON | Embedding | MediaFile | Sequence[LabelScore] | ZeroShotScores | Sequence[Entity] | Transcript"
    " | GeneratedText | TranslationText | ChatAnswer"
)
"""A model's output for one input."""
