"""Which arguments of a model fit together: the columns a task needs, templates, names that would collide."""

from __future__ import annotations

from ..errors import InputError, MissingArgumentError
from ..redaction import preview
from ..tasks.chunking import WHERE_NEEDED, cutting_parameter
from ..tasks.prompts import template_columns
from .settings import ModelSettings


def validate_combination(settings: ModelSettings) -> None:
    """Refuse arguments that are valid alone and contradict each other, or leave out what the task needs.

    Args:
        settings: The settings of a model, each checked alone.

    Raises:
        InputError: With what to change.
        MissingArgumentError: With what to add.
    """
    if settings.provider and settings.endpoint:
        raise InputError("give endpoint or provider, not both")
    _refuse_colliding_fields(settings)
    has_required_columns = any(column.required for column in settings.definition.columns)
    if settings.prompt_template is not None and not has_required_columns:
        _validate_template_instead_of_columns(settings, settings.prompt_template)
    else:
        _validate_columns_beside_template(settings)
    _refuse_two_inputs(settings)
    _refuse_two_ways_with_long_texts(settings)
    if settings.target.lower() in {name.lower() for name in settings.column_names}:
        raise InputError(f"the target {preview(settings.target)} has the name of an input column. PREDICT another name")


def _refuse_colliding_fields(settings: ModelSettings) -> None:
    suffixes = ("confidence", "explain", "error", *(("model",) if settings.cascade is not None else ()))
    reserved = {settings.target, *(f"{settings.target}_{suffix}" for suffix in suffixes)}
    colliding = reserved & set(settings.output_fields)
    if colliding:
        raise InputError(
            f"output_schema has a field with the name of a column of the prediction, such as "
            f"{preview(min(colliding))}. Rename the field, or PREDICT another name"
        )


def _validate_template_instead_of_columns(settings: ModelSettings, template: str) -> None:
    """Refuse a template without columns, or with others beside it, of a task that needs no column of its own."""
    if settings.columns:
        raise InputError(
            f"give {' or '.join(settings.columns)} or prompt_template, not both: "
            "the template names its columns itself, as {{column}}"
        )
    if not template_columns(template):
        raise InputError("prompt_template names no column. Put one in double braces, such as 'Summarise: {{text}}'")


def _validate_columns_beside_template(settings: ModelSettings) -> None:
    """Refuse what leaves out a column that the task needs, or names a prompt twice."""
    task = settings.definition
    for column in task.columns:
        if column.required and column.argument not in settings.columns:
            raise MissingArgumentError(
                f"{task.name} needs {column.argument}, the name of the column with its {column.data_type}"
            )
    if not settings.columns:
        raise MissingArgumentError(
            f"{task.name} needs column, the name of the column with its text, or prompt_template"
        )
    if settings.prompt_template is not None and "prompt_column" in settings.columns:
        raise InputError("give prompt_column or prompt_template, not both")


def _refuse_two_inputs(settings: ModelSettings) -> None:
    prompts = [name for name in ("column", "messages_column", "prompt_columns") if name in settings.columns]
    if len(prompts) > 1:
        raise InputError(f"give {' or '.join(prompts)}, not both: each is the whole of a prompt")
    check_columns = settings.definition.check_columns
    if check_columns is not None:
        check_columns(settings.columns)


def _refuse_two_ways_with_long_texts(settings: ModelSettings) -> None:
    """Refuse parts of texts where a task has none, and beside parameters by which the server cuts texts itself."""
    way, task = settings.long_text, settings.definition
    if way == WHERE_NEEDED:  # what the server cuts is never too long for it
        return
    if way in ("chunk", "truncate") and task.chunking is None:
        advice = task.long_text_advice or "It reads no text that could be asked in parts. Leave long_text out"
        raise InputError(f"long_text = {way!r} is not for {task.name}. {advice}")
    cutting = cutting_parameter(settings)
    if cutting is not None:
        raise InputError(
            f"give long_text = {way!r} or {cutting}, not both: with {cutting} the server cuts a text that is too long, "
            "and answers what is left"
        )
