"""What a task is: the columns it reads, the request it makes of them, and how its answer is read.

A task is a value, not a class to inherit from: adding one is one more ``Task(...)`` in a module of this package.
All functions here are pure. Shapes of requests and answers are those of Hugging Face's task specifications,
https://huggingface.co/docs/inference-providers/tasks, whose parameter schemas are in ``specs/``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol

from ..errors import UnreadableAnswer

Input = Hashable
"""The canonical input of one row: a string, or a tuple where a task reads several columns. Equal means: ask once."""


class InvalidCell(NamedTuple):
    """A cell that cannot be sent. It costs no request and becomes its row's error."""

    reason: str


@dataclass(frozen=True)
class Media:
    """An image, sound or video: its bytes and its content type."""

    data: bytes = field(repr=False)
    content_type: str


@dataclass(frozen=True)
class MediaRef:
    """A cell that names or holds media, still to be loaded: bytes, a ``data:`` URI, a URL or a path."""

    cell: str | bytes = field(repr=False)
    kind: str


class Prediction(NamedTuple):
    """One row's answer as SQL sees it: the target, its score in [0, 1] where there is one, and the parts."""

    value: Any
    confidence: float | None = None
    explain: Any = None


class Settings(Protocol):
    """What a task may read of a model's settings (see ``settings.ModelSettings``)."""

    @property
    def model(self) -> str: ...
    @property
    def columns(self) -> Mapping[str, Any]: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def labels(self) -> Sequence[str] | Mapping[str, str] | None: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def below_threshold(self) -> str | None: ...
    @property
    def output(self) -> str: ...
    @property
    def pooling(self) -> str: ...
    @property
    def mask_token(self) -> str | None: ...
    @property
    def prompt_template(self) -> str | None: ...
    @property
    def system_prompt(self) -> str | None: ...
    @property
    def output_schema(self) -> Mapping[str, str] | None: ...


class Batching(Enum):
    """Whether several inputs may go in one request."""

    NEVER = "never"
    PROBE = "probe"  # only on a route whose answers to a batch were those to its inputs alone
    NATIVE = "native"  # the protocol itself carries many


class Column(NamedTuple):
    """A column that a task reads, by the USING argument that names it.

    ``holds`` is 'text', 'labels', 'messages' (JSON), 'image', 'audio', 'video', 'table' (JSON), or, where the argument
    names several columns, 'values' (one row of them) or 'whole table' (all rows of them).
    """

    argument: str
    data_type: str = "text"
    required: bool = True


TEXT = (Column("column"),)

Body = Callable[[Sequence[Any], Settings], "dict[str, Any] | Media"]
Read = Callable[[Any, Any, Settings], Prediction]
Split = Callable[[Any, int], list[Any]]


def unwrap_single(inputs: Sequence[Any]) -> Any:
    """One input alone, as most servers want it, or the list of several."""
    return inputs[0] if len(inputs) == 1 else list(inputs)


def text_body(inputs: Sequence[Any], settings: Settings) -> dict[str, Any]:
    """``{"inputs": text or [text, ...], "parameters": {...}}``."""
    body: dict[str, Any] = {"inputs": unwrap_single(inputs)}
    if settings.parameters:
        body["parameters"] = dict(settings.parameters)
    return body


def split_one_to_one(answer: Any, count: int) -> list[Any]:
    """Split the answer to ``count`` inputs into one part each, or refuse: its shape must prove which is whose."""
    if count == 1:
        return [answer]
    if isinstance(answer, list) and len(answer) == count:
        return answer
    size = f"{len(answer)} parts" if isinstance(answer, list) else type(answer).__name__
    raise UnreadableAnswer(f"{count} inputs were answered with {size}")


def split_typed(of: type) -> Split:
    """``one_each`` for a task whose answer to one input is of type ``of``, so that a flattened answer is seen."""

    def split(answer: Any, count: int) -> list[Any]:
        parts = split_one_to_one(answer, count)
        if count > 1 and not all(isinstance(part, of) for part in parts):
            raise UnreadableAnswer(
                f"{count} inputs were answered in a shape that hides which part belongs to which input"
            )
        return parts

    return split


def single_group(_input: Any) -> Hashable:
    return None


@dataclass(frozen=True)
class Task:
    """One task of Hugging Face inference.

    ``body(inputs, settings)`` makes the JSON body for one or several inputs of one ``group``;
    ``split(answer, count)`` gives each input its part of the answer or raises ``UnreadableAnswer``;
    ``read(part, input, settings)`` makes the prediction of it, or raises ``UnreadableAnswer``.
    ``arguments`` are the USING arguments of our own that it understands beside its columns and ``parameters``,
    the request parameters of its specification; ``more_parameters`` are taken by servers though the
    specification leaves them out. ``makes_media`` marks answers that are bytes.
    ``repair(input, part, error, settings)`` makes the input of one more request of an answer that could not be read,
    or None where there is nothing to repair.
    ``rename`` maps spellings seen in the wild to the specification's.
    """

    name: str
    description: str
    read: Read
    default_model: str | None = None
    aliases: tuple[str, ...] = ()
    columns: tuple[Column, ...] = TEXT
    body: Body = text_body
    split: Split = split_one_to_one
    group: Callable[[Any], Hashable] = single_group
    batching: Batching = Batching.NEVER
    arguments: frozenset[str] = frozenset()
    required_parameters: tuple[str, ...] = ()
    more_parameters: Mapping[str, type] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    protocol: str = "inference"
    repair: Callable[[Any, Any, UnreadableAnswer, Settings], Any] | None = None
    deterministic: bool = True
    scored: bool = False
    explained: bool = False
    makes_media: bool = False
    spec: str | None = None

    @property
    def specification(self) -> str:
        """The name of its file in ``specs/``; empty for a task that takes no parameters."""
        return self.name if self.spec is None else self.spec


def unwrap(answer: Any) -> Any:
    """The answer itself, out of the list of one that some servers put around it."""
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    return answer


def number(value: Any) -> float | None:
    """A score as a float; None where the server sent none. Booleans and text are no scores."""
    if isinstance(value, float):
        return value
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else None


def unreadable(task: str, answer: Any) -> UnreadableAnswer:
    shape = type(answer).__name__ if not isinstance(answer, dict) else f"an object with {sorted(map(str, answer))[:6]}"
    return UnreadableAnswer(f"the server's answer is not one of {task}: got {shape}")
