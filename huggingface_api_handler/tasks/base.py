"""What a task is: the columns it reads, the parameters it takes, and how its answer is read.

A task is a value, not a class to inherit from: to add one, write one more ``Task(...)`` in a module of this package.
All functions here are pure. Answers are those of Hugging Face's task specifications,
https://huggingface.co/docs/inference-providers/tasks, whose parameter schemas are in ``specs/``. What goes over the
wire is not said here but in ``inference.protocols``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from ..errors import UnreadableAnswer
from .answer_errors import overflowed as overflowed
from .answer_errors import unreadable as unreadable
from .chunking import Chunking
from .input_types import Input
from .output_schema import scored_field
from .task_settings import JSON as JSON
from .task_settings import JSONObject as JSONObject
from .task_settings import Settings as Settings

MEGABYTE = 1024 * 1024

MAX_DEPTH = 32
"""Levels of lists and objects in an answer. No task has more than six; a server that nests deeper is broken."""

_FLAT_TYPES = frozenset((float, int, str, bool, type(None)))
"""What holds no other value."""

_NUMBER = re.compile(r"[-+]?\d{1,20}(\.\d{1,30})?([eE][-+]?\d{1,2})?", re.A)


class Prediction(NamedTuple):
    """One row's answer as SQL sees it.

    ``value`` is the target, ``confidence`` its score in [0, 1] where there is one, ``explain`` the parts.
    """

    value: Any
    confidence: float | None = None
    explain: Any = None


class Column(NamedTuple):
    """A column that a task reads, by the USING argument that names it.

    ``data_type`` is 'text', 'labels', 'messages' (JSON), 'image', 'audio', 'video', 'table' (JSON), or, where the
    argument names several columns, 'values' (one row of them), 'fields' (one row of them with their names) or
    'whole table' (all rows of them).
    """

    argument: str
    data_type: str = "text"
    required: bool = True


TEXT = (Column("column"),)

# A task's functions take the named type of its own inputs (``input_types``), which one table of all tasks cannot say.
Read: TypeAlias = Callable[[object, Any, Settings], Prediction]
Combine: TypeAlias = Callable[..., Input]


def single_group(_input: Input) -> Hashable:
    """The group of a task whose inputs may all go together.

    Returns:
        None, for every input.
    """
    return None


def text_value(_settings: Settings) -> str:
    """The SQL type of a target that is a text.

    Returns:
        VARCHAR.
    """
    return "VARCHAR"


def number_value(_settings: Settings) -> str:
    """The SQL type of a target that is a number.

    Returns:
        DOUBLE.
    """
    return "DOUBLE"


def json_value(_settings: Settings) -> str:
    """The SQL type of a target that is a list or a map.

    Returns:
        JSON.
    """
    return "JSON"


def no_schema(_settings: Settings) -> Mapping[str, Any] | None:
    """The schema of a task whose answers need not be JSON of a certain form.

    Returns:
        None.
    """
    return None


def given_system_prompt(settings: Settings) -> str | None:
    """The words before a conversation, where a task has none of its own.

    Args:
        settings: of which ``system_prompt`` is read.

    Returns:
        The system prompt; None where none was given.
    """
    return settings.system_prompt


@dataclass(frozen=True)
class Task:
    """One task of Hugging Face inference.

    Attributes:
        name: as Hugging Face names it, such as 'text-classification'.
        description: what it does, in a few words.
        read: ``read(part, input, settings)`` makes the prediction of an answer's part, or raises UnreadableAnswer.
        default_model: the model of a CREATE MODEL that names none.
        choose_model: ``choose_model(arguments)`` gives the default model that the arguments of CREATE MODEL call for,
            None where they call for none, and ``default_model`` counts.
        router_task: the name of the task that takes its place where no endpoint and no provider is named, since Hugging
            Face's router does not serve it; None where the router does.
        replaced_by: the name of the task that is meant where an argument is given that this one does not take, by the
            argument.
        is_on_hugging_face: whether Hugging Face serves models for it. Where it does not, ``default_model`` is for
            servers of one's own.
        aliases: other names that people use.
        alias_pattern: a regular expression for more of these names; None where there are none.
        columns: the columns that it reads.
        check_columns: ``check_columns(arguments)`` raises InputError where the column arguments that were given do not
            fit together; None where ``columns`` says it all.
        combine: makes the input of a row of the cells of ``columns``, where more than one is read.
        group: inputs of equal ``group(input)`` may go in one request.
        arguments: USING arguments of our own that it understands beside its columns and ``parameters``.
        required_parameters: request parameters that must be given, or brought by a column ``<name>_column``.
        more_parameters: request parameters that servers take though the specification leaves them out.
        more_words: texts that a parameter may also be, though the specification gives it another type.
        rename: spellings of parameters seen in the wild, to the specification's.
        repair: ``repair(input, part, error, settings)`` makes the input of one more request of an answer that could
            not be read; None where there is nothing to repair.
        answer_schema: ``answer_schema(settings)`` is what a text model's answer must be, as of ``output_schema``; None
            where it may be any text.
        system_prompt: ``system_prompt(settings)`` is what a text model is told before the conversation, or None.
        chunking: how a text that is too long for the model is asked in parts; None where no answers to parts make one
            to the whole.
        long_text_advice: why it is not asked in parts, and what its people can do: sentences without the last point.
            Empty where it has ``chunking``, or reads no text.
        operation: what OpenTelemetry's conventions for generative AI call it; None where they have no name for it.
        deterministic: whether the same input has the same answer, so that answers are stored by default.
        scored: whether there is a column ``<target>_confidence`` whatever the settings (see ``has_confidence``).
        explained: whether there is a column ``<target>_explain``.
        makes_media: whether answers are bytes of an image, audio or video.
        max_answer_bytes: of JSON that the answer to one input can need. More is refused unread.
        advice_if_too_large: what its people can do about an answer that is refused as too large: the end of a sentence.
        value_type: ``value_type(settings)`` is the SQL type of the target: VARCHAR, DOUBLE, JSON or FLOAT[].
        spec: the name of its file in ``specs/`` where it is not ``name``; empty where it takes no parameters.
    """

    name: str
    description: str
    read: Read
    default_model: str | None = None
    choose_model: Callable[[Mapping[str, object]], str | None] | None = None
    router_task: str | None = None
    replaced_by: Mapping[str, str] = field(default_factory=dict)
    is_on_hugging_face: bool = True
    aliases: tuple[str, ...] = ()
    alias_pattern: str | None = None
    columns: tuple[Column, ...] = TEXT
    check_columns: Callable[[Collection[str]], None] | None = None
    combine: Combine | None = None
    group: Callable[[Any], Hashable] = single_group
    arguments: frozenset[str] = frozenset()
    required_parameters: tuple[str, ...] = ()
    more_parameters: Mapping[str, type] = field(default_factory=dict)
    more_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    repair: Callable[[Any, object, UnreadableAnswer, Settings], Input | None] | None = None
    answer_schema: Callable[[Settings], Mapping[str, Any] | None] = no_schema
    system_prompt: Callable[[Settings], str | None] = given_system_prompt
    chunking: Chunking | None = None
    long_text_advice: str = ""
    operation: str | None = None
    deterministic: bool = True
    scored: bool = False
    explained: bool = False
    makes_media: bool = False
    max_answer_bytes: int = 4 * MEGABYTE
    advice_if_too_large: str = ""
    value_type: Callable[[Settings], str] = text_value
    spec: str | None = None

    def has_confidence(self, settings: Settings) -> bool:
        """Whether there is a column ``<target>_confidence``.

        Args:
            settings: of which ``answer_schema`` reads what it needs.

        Returns:
            True where the task is scored, and where its answer has one field that is one of several choices.
        """
        schema = self.answer_schema(settings)
        return self.scored or (schema is not None and scored_field(schema) is not None)

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


def object_with_text(answer: object, key: str, task: str) -> dict[str, Any]:
    """An answer that is an object with a text under a key.

    Args:
        answer: the server's answer, as parsed JSON.
        key: under which the text stands.
        task: the task's name, for the error.

    Returns:
        The answer.

    Raises:
        UnreadableAnswer: the answer is no object, or has no text there.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get(key), str):
        raise unreadable(task, answer)
    return answer


def number(value: object) -> float | None:
    """A score as a float.

    Args:
        value: what the server sent for it.

    Returns:
        The score; None where the server sent none. Booleans are no scores, and texts only where they are a number.
    """
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else None


def read_number(task: str) -> Read:
    """A reader of an answer that is a number.

    Args:
        task: the task's name, for the error.

    Returns:
        A function of answer, input and settings. It makes a prediction with the number as a float for the target, or
        raises UnreadableAnswer where the answer is no number.
    """

    def read(answer: object, _input: Input, _settings: Settings) -> Prediction:
        value = number(answer)
        if value is None:
            raise overflowed(task) if answer is None else unreadable(task, answer)
        return Prediction(value)

    return read


def is_deeper_than(answer: object, levels: int) -> bool:
    """Whether lists and objects are nested deeper than functions that call themselves could follow.

    Args:
        answer: parsed JSON.
        levels: that it may have.

    Returns:
        True where there are more.
    """
    level = [answer] if isinstance(answer, (list, dict)) else []
    for _ in range(levels):
        # A vector of a thousand numbers is passed over at once, in a quarter of the time of a look at each.
        level = [
            inner
            for each in level
            for items in (each.values() if isinstance(each, dict) else each,)
            if not _FLAT_TYPES.issuperset(map(type, items))
            for inner in items
            if isinstance(inner, (list, dict))
        ]
        if not level:
            return False
    return bool(level)
