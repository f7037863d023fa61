"""The table of tasks for pages of the documentation."""

from __future__ import annotations

from collections.abc import Mapping

from .base import Task


def markdown(tasks: Mapping[str, Task]) -> str:
    """Write the tasks as a table in Markdown.

    Args:
        tasks: Name -> task, in the order of the rows.

    Returns:
        The table, without a line break at its end. Columns in parentheses may be left out.
    """
    lines = ["| task | does | columns | default model |", "|---|---|---|---|"]
    for task in tasks.values():
        names = f"`{task.name}`" + "".join(f", `{alias}`" for alias in task.aliases)
        required = [f"`{column.argument}`" for column in task.columns if column.required]
        optional = [f"(`{column.argument}`)" for column in task.columns if not column.required]
        model = f"`{task.default_model}`" if task.default_model else "name one"
        parameters = [f"`{name}`" for name in task.required_parameters]
        lines.append(f"| {names} | {task.description} | {', '.join([*required, *parameters, *optional])} | {model} |")
    return "\n".join(lines)
