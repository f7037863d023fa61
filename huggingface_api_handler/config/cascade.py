"""The argument ``cascade``: a smaller model that answers where the large one need not be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from ..errors import InputError
from ..redaction import preview
from ..tasks import Task, parameters_of
from .options import Arguments
from .types import FiniteFloat, Name

LEARNED = "embeddings"
"""The proxy that is learned from vectors of the inputs."""

_OF_THE_LARGE_MODEL = frozenset(
    {"model", "task", "endpoint", "provider", "prices", "labels", "threshold", "below_threshold", "parameters"}
    | {"description", "cascade", "on_error", "dry_run", "system_prompt"}
)
"""Arguments that the proxy has of its own, or not at all."""

OF_THE_WHOLE_QUERY = frozenset(
    {"max_requests", "max_usd", "max_tokens_total", "max_seconds", "target", "on_error", "dry_run"}
)
"""Arguments that a query has once, whoever answers."""

_WHAT_IS_ASKED = frozenset({"column", "prompt_columns", "messages_column", "prompt_template"})
"""Arguments of which a model has one."""

_SHARED_WITH_ANY_TASK = frozenset(
    {"target", "cache", "options", "long_text", "max_requests", "max_usd", "max_tokens_total", "max_seconds"}
)


class CascadeArguments(Arguments):
    """``cascade = {...}``. Every other name in the map is an argument of the proxy's model, such as ``model``."""

    accuracy: FiniteFloat = Field(
        gt=0,
        lt=1,
        description="The least share of rows that show what the large model answers, such as 0.95.",
    )
    confidence: FiniteFloat = Field(
        default=0.95,
        gt=0,
        lt=1,
        description="How sure that is: the probability that the share is reached. Default: 0.95.",
    )
    proxy: Literal["model", "embeddings"] = Field(
        default="model",
        description="Who answers in the large model's place: 'model', a smaller model; 'embeddings', a classifier that "
        "is learned from vectors and some of the large model's answers. Default: 'model'.",
    )
    engine: Name | None = Field(
        default=None,
        description="The engine of the proxy's model, by its name; from Python a map of the engine's arguments. "
        "Default: the large model's.",
    )

    def of_each(self, parts: int) -> CascadeArguments:
        """The same for each of several parts of a table, so that the promise holds for all of them together.

        Args:
            parts: How many there are.

        Returns:
            What is promised of each: the probabilities that one fails add up to that of the whole.
        """
        if parts <= 1:  # as it was written, so that its certificates are those of the same query elsewhere
            return self
        return self.model_copy(update={"confidence": 1 - (1 - self.confidence) / parts})

    @property
    def is_learned(self) -> bool:
        """Whether the proxy is learned, from vectors that its model makes."""
        return self.proxy == LEARNED


def proxy_arguments(arguments: Mapping[str, object], task: Task, own: Mapping[str, object]) -> dict[str, object]:
    """The arguments of the proxy's model.

    Args:
        arguments: Of the large model.
        task: Of the proxy.
        own: What the map says beside ``CascadeArguments``.

    Returns:
        What the map says, and those of the large model that fit the proxy's task too.

    Raises:
        InputError: The map says what is the whole query's.
    """
    if misplaced := sorted(OF_THE_WHOLE_QUERY & own.keys()):
        raise InputError(
            f"cascade: {misplaced[0]} is of the whole query, not of one of its models. Give it beside cascade"
        )
    columns = {column.argument for column in task.columns}
    same = arguments.get("task") == task.name
    taken = _SHARED_WITH_ANY_TASK | columns | (task.arguments - _OF_THE_LARGE_MODEL)
    specification = parameters_of(task)
    nested = arguments.get("parameters")
    parameters = {**(nested if isinstance(nested, Mapping) else {}), **arguments}
    if _WHAT_IS_ASKED & own.keys():
        taken -= _WHAT_IS_ASKED
    shared: dict[str, object] = {name: value for name, value in arguments.items() if name in taken}
    names = specification if same else {"candidate_labels", "hypothesis_template"} & specification.keys()
    shared.update({name: parameters[name] for name in names if name in parameters and name not in taken})
    return {**shared, **own, "task": task.name}


def check_cascade(task: Task, settings: Any) -> None:
    """Refuse a cascade of what is no label.

    Args:
        task: Of the large model.
        settings: Its ``ModelSettings``.

    Raises:
        InputError: Two models would hardly ever give the same answer, or an answer says more than one label.
    """
    advice = "Leave cascade out, or ask for labels"
    if "labels" in task.arguments or "candidate_labels" in parameters_of(task):
        if settings.output != "label":
            raise InputError(f"cascade promises labels, so it does not fit output = {settings.output!r}. {advice}")
        if settings.parameters.get("multi_label"):
            raise InputError(f"cascade promises one label a row, so it does not fit multi_label = true. {advice}")
        return
    schema = task.answer_schema(settings)
    if schema is None or not all(_is_choice(field) for field in schema.get("properties", {}).values()):
        raise InputError(
            f"cascade is for labels: text, image and audio classification, zero-shot, and chat whose output_schema has "
            f"only enum and bool fields; {task.name} {_what(schema)}. Leave cascade out"
        )


def check_pair(settings: Any, proxy: Any, *, is_learned: bool) -> None:
    """Refuse two models of which one cannot answer in the other's place.

    Args:
        settings: The ``ModelSettings`` of the large model.
        proxy: Those of the proxy.
        is_learned: Whether the proxy only makes vectors.

    Raises:
        InputError: Their answers are of different types, or one reads another kind of data in the same column.
    """
    large, small = settings.definition, proxy.definition
    if not is_learned and _answer_type(settings) != _answer_type(proxy):
        raise InputError(
            f"cascade: the answers of {small.name} are no answers of {large.name}: one has fields of output_schema "
            "that the other has not. Give both models the same fields, or none"
        )
    for column in large.columns:
        other = next((each for each in small.columns if each.argument == column.argument), column)
        name = settings.columns.get(column.argument)
        if other.data_type != column.data_type and name is not None and name == proxy.columns.get(column.argument):
            raise InputError(
                f"cascade: {small.name} reads {other.data_type} and {large.name} {column.data_type} in the column "
                f"{preview(name)}. Name a proxy for {column.data_type}"
            )


def _answer_type(settings: Any) -> tuple[str, Mapping[str, str]]:
    return settings.definition.value_type(settings), settings.output_fields


def _what(schema: Mapping[str, Any] | None) -> str:
    return "answers freely" if schema is None else "has other fields"


def _is_choice(field: Mapping[str, Any]) -> bool:
    return "enum" in field or field.get("type") == "boolean"
