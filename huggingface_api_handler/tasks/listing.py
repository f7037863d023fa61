"""What there is to say of the tasks: the same rows for the shell, for DESCRIBE and for README."""

from __future__ import annotations

from typing import NamedTuple

from .base import Task
from .schemas import parameters_of


class Argument(NamedTuple):
    """One USING argument of a task: a column it reads, or a request parameter."""

    name: str
    type: str
    required: bool
    description: str


def arguments_of(task: Task) -> list[Argument]:
    """The columns of ``task``, then our own arguments for it, then its request parameters."""
    columns = [
        Argument(column.argument, "column", column.required, f"Column of {column.data_type}") for column in task.columns
    ]
    own = [Argument(name, "any", False, "See README, Arguments") for name in sorted(task.arguments)]
    parameters = [
        Argument(
            name,
            parameter.kind.__name__ if parameter.kind else "any",
            name in task.required_parameters,
            parameter.description,
        )
        for name, parameter in parameters_of(task).items()
    ]
    return [*columns, *own, *parameters]


def markdown(tasks: dict[str, Task]) -> str:
    """README's table of tasks."""
    lines = ["| task | does | columns | default model |", "|---|---|---|---|"]
    for task in tasks.values():
        names = f"`{task.name}`" + "".join(f", `{alias}`" for alias in task.aliases)
        required = [f"`{column.argument}`" for column in task.columns if column.required]
        optional = [f"(`{column.argument}`)" for column in task.columns if not column.required]
        model = f"`{task.default_model}`" if task.default_model else "name one"
        parameters = [f"`{name}`" for name in task.required_parameters]
        lines.append(f"| {names} | {task.description} | {', '.join([*required, *parameters, *optional])} | {model} |")
    return "\n".join(lines)
