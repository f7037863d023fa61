"""What a task is: the columns it reads, the request it makes of them, and how its answer is read.

A task is a value, not a class to inherit from: to add one, write one more ``Task(...)`` in a module of this package.
All functions here are pure. Shapes of requests and answers are those of Hugging Face's task specifications,
https://huggingface.co/docs/inference-providers/tasks, whose parameter schemas are in ``specs/``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeAlias, Union

from ..errors import UnreadableAnswer
from .input_types import Input, Media

JSON: TypeAlias = Union[bool, int, float, str, "Sequence[JSON]", "Mapping[str, JSON]", None]
"""What JSON can hold."""

JSONObject: TypeAlias = dict[str, JSON]


class Prediction(NamedTuple):
    """One row's answer as SQL sees it.

    ``value`` is the target, ``confidence`` its score in [0, 1] where there is one, ``explain`` the parts.
    """

    value: Any
    confidence: float | None = None
    explain: Any = None


class Settings(Protocol):
    """What a task may read of a model's settings (see ``config.settings.ModelSettings``)."""

    @property
    def model(self) -> str:
        """The name of the model."""
        ...

    @property
    def columns(self) -> Mapping[str, str | list[str]]:
        """The columns that are read, by the argument that names them."""
        ...

    @property
    def parameters(self) -> Mapping[str, JSON]:
        """The request parameters, by name."""
        ...

    @property
    def labels(self) -> Sequence[str] | Mapping[str, str] | None:
        """The person's names for the model's labels."""
        ...

    @property
    def threshold(self) -> float | None:
        """The score in [0, 1] under which a label does not count."""
        ...

    @property
    def below_threshold(self) -> str | None:
        """The target of a row under the threshold."""
        ...

    @property
    def output(self) -> str:
        """'label', 'scores' or 'all'."""
        ...

    @property
    def pooling(self) -> str:
        """'mean', 'cls' or 'none'."""
        ...

    @property
    def mask_token(self) -> str | None:
        """The mask of the model, where its name does not show it."""
        ...

    @property
    def prompt_template(self) -> str | None:
        """The prompt, with ``{{column}}`` for the cells of columns."""
        ...

    @property
    def system_prompt(self) -> str | None:
        """What comes before the conversation."""
        ...

    @property
    def output_schema(self) -> Mapping[str, str] | None:
        """The fields of the answer, by name, with their types."""
        ...


class Batching(Enum):
    """Whether several inputs may go in one request."""

    NEVER = "never"
    PROBE = "probe"  # only on a route whose answers to a batch were those to its inputs alone
    NATIVE = "native"  # the protocol itself carries many


class Column(NamedTuple):
    """A column that a task reads, by the USING argument that names it.

    ``data_type`` is 'text', 'labels', 'messages' (JSON), 'image', 'audio', 'video', 'table' (JSON), or, where the
    argument names several columns, 'values' (one row of them) or 'whole table' (all rows of them).
    """

    argument: str
    data_type: str = "text"
    required: bool = True


TEXT = (Column("column"),)

# A task's functions take the named type of its own inputs (``input_types``), which one table of all tasks cannot say.
Body: TypeAlias = Callable[[Sequence[Any], Settings], "JSONObject | Media"]
Read: TypeAlias = Callable[[object, Any, Settings], Prediction]
Split: TypeAlias = Callable[[object, int], list[Any]]
Combine: TypeAlias = Callable[..., Input]


def unwrap_single(inputs: Sequence[str]) -> str | list[str]:
    """One input alone, as most servers want it, or the list of several.

    Args:
        inputs: the texts of one request, at least one.

    Returns:
        The text of a single input, else the list of all texts.
    """
    return inputs[0] if len(inputs) == 1 else list(inputs)


def with_parameters(body: JSONObject, settings: Settings) -> JSONObject:
    """A body with the request parameters beside its inputs, where there are any.

    Args:
        body: ``{"inputs": ...}``; it is changed and returned.
        settings: of which ``parameters`` is read.

    Returns:
        ``body``, with ``"parameters": {...}`` in it where there are parameters.
    """
    if settings.parameters:
        body["parameters"] = dict(settings.parameters)
    return body


def text_body(inputs: Sequence[str], settings: Settings) -> JSONObject:
    """The body of most text tasks.

    Args:
        inputs: the texts of one request, at least one.
        settings: the model's settings.

    Returns:
        ``{"inputs": text or [text, ...]}``, with ``"parameters": {...}`` where there are parameters.
    """
    return with_parameters({"inputs": unwrap_single(inputs)}, settings)


def split_one_to_one(answer: object, count: int) -> list[Any]:
    """Split an answer into one part for each input. Its shape must prove which part is whose.

    Args:
        answer: the server's answer, as parsed JSON.
        count: the number of inputs that the request carried.

    Returns:
        ``count`` parts, in the order of the inputs.

    Raises:
        UnreadableAnswer: the answer has another number of parts.
    """
    if count == 1:
        return [answer]
    if isinstance(answer, list) and len(answer) == count:
        return answer
    size = f"{len(answer)} parts" if isinstance(answer, list) else type(answer).__name__
    raise UnreadableAnswer(f"{count} inputs were answered with {size}")


def split_typed(part_type: type) -> Split:
    """``split_one_to_one`` for a task whose parts are of one type, so that a flattened answer is seen.

    Args:
        part_type: the type of the answer to one input.

    Returns:
        A function of answer and count, as ``split_one_to_one``. It raises UnreadableAnswer also where a part of
        several is not of ``part_type``.
    """

    def split(answer: object, count: int) -> list[Any]:
        parts = split_one_to_one(answer, count)
        if count > 1 and not all(isinstance(part, part_type) for part in parts):
            raise ambiguous_answer(count)
        return parts

    return split


def ambiguous_answer(count: int) -> UnreadableAnswer:
    """The error for an answer that hides which part is whose.

    Args:
        count: the number of inputs that the request carried.

    Returns:
        The error, for the caller to raise.
    """
    return UnreadableAnswer(f"{count} inputs were answered in a shape that hides which part belongs to which input")


def single_group(_input: Input) -> Hashable:
    """The group of a task whose inputs may all go together.

    Returns:
        None, for every input.
    """
    return None


def text_value(_settings: Settings) -> str:
    """The type of a target that is a text.

    Returns:
        VARCHAR.
    """
    return "VARCHAR"


@dataclass(frozen=True)
class Task:
    """One task of Hugging Face inference.

    Attributes:
        name: as Hugging Face names it, such as 'text-classification'.
        description: what it does, in a few words.
        read: ``read(part, input, settings)`` makes the prediction of an answer's part, or raises UnreadableAnswer.
        default_model: the model of a CREATE MODEL that names none.
        aliases: other names that people use.
        columns: the columns that it reads.
        combine: makes the input of a row of the cells of ``columns``, where more than one is read.
        body: ``body(inputs, settings)`` makes the request's body for the inputs of one ``group``.
        split: ``split(answer, count)`` gives each input its part of the answer, or raises UnreadableAnswer.
        group: inputs of equal ``group(input)`` may go in one request.
        batching: whether several inputs may go in one request.
        arguments: USING arguments of our own that it understands beside its columns and ``parameters``.
        required_parameters: request parameters that must be given, or brought by a column ``<name>_column``.
        more_parameters: request parameters that servers take though the specification leaves them out.
        rename: spellings of parameters seen in the wild, to the specification's.
        protocol: 'chat' for OpenAI's chat completions, else 'inference'.
        repair: ``repair(input, part, error, settings)`` makes the input of one more request of an answer that could
            not be read; None where there is nothing to repair.
        deterministic: whether the same input has the same answer, so that answers are stored by default.
        scored: whether there is a column ``<target>_confidence``.
        explained: whether there is a column ``<target>_explain``.
        makes_media: whether answers are bytes of an image, audio or video.
        value_type: ``value_type(settings)`` is the SQL type of the target: VARCHAR, DOUBLE, JSON or FLOAT[].
        spec: the name of its file in ``specs/`` where it is not ``name``; empty where it takes no parameters.
    """

    name: str
    description: str
    read: Read
    default_model: str | None = None
    aliases: tuple[str, ...] = ()
    columns: tuple[Column, ...] = TEXT
    combine: Combine | None = None
    body: Body = text_body
    split: Split = split_one_to_one
    group: Callable[[Any], Hashable] = single_group
    batching: Batching = Batching.NEVER
    arguments: frozenset[str] = frozenset()
    required_parameters: tuple[str, ...] = ()
    more_parameters: Mapping[str, type] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    protocol: str = "inference"
    repair: Callable[[Any, object, UnreadableAnswer, Settings], Input | None] | None = None
    deterministic: bool = True
    scored: bool = False
    explained: bool = False
    makes_media: bool = False
    value_type: Callable[[Settings], str] = text_value
    spec: str | None = None

    @property
    def specification(self) -> str:
        """The name of its file in ``specs/``; empty for a task that takes no parameters."""
        return self.name if self.spec is None else self.spec


def unwrap(answer: object) -> object:
    """The answer itself, out of the lists of one that some servers put around it.

    Args:
        answer: the server's answer, as parsed JSON.

    Returns:
        The answer without these lists.
    """
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    return answer


def best_of(answer: object) -> object:
    """The first of several candidates, which servers send best first, or the only one.

    Args:
        answer: the server's answer, as parsed JSON.

    Returns:
        The first item of a list; an answer that is no list, or an empty one, as it is.
    """
    answer = unwrap(answer)
    return answer[0] if isinstance(answer, list) and answer else answer


def unwrap_list(answer: object) -> object:
    """A list of parts, out of the list of one that some servers put around it.

    Args:
        answer: the server's answer, as parsed JSON.

    Returns:
        The inner list of ``[[...]]``; any other answer as it is.
    """
    return answer[0] if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list) else answer


def objects_of(answer: object) -> list[dict[str, Any]]:
    """The objects of an answer that is one, or a list of them.

    Args:
        answer: the server's answer, as parsed JSON.

    Returns:
        The objects, in order; none where the answer holds anything else.
    """
    items = answer if isinstance(answer, list) else [answer]
    objects = [item for item in items if isinstance(item, dict)]
    return objects if len(objects) == len(items) else []


def number(value: object) -> float | None:
    """A score as a float.

    Args:
        value: what the server sent for it.

    Returns:
        The score; None where the server sent none. Booleans and texts are no scores.
    """
    if isinstance(value, float):
        return value
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else None


def unreadable(task: str, answer: object) -> UnreadableAnswer:
    """The error for an answer in a shape that the task does not have.

    Args:
        task: the task's name, for the sentence.
        answer: what came. The sentence tells its type only, and the first six keys of an object.

    Returns:
        The error, for the caller to raise.
    """
    shape = type(answer).__name__ if not isinstance(answer, dict) else f"an object with {sorted(map(str, answer))[:6]}"
    return UnreadableAnswer(f"the server's answer is not one of {task}: got {shape}")
