"""`tasks`: all tasks, or one with its arguments."""

from __future__ import annotations

import argparse
import sys
from textwrap import wrap

from ..config.normalize import task_named
from ..config.reference import arguments_of
from ..console import text_table
from ..errors import InputError
from ..tasks import TASKS, Task
from ..tasks.listing import markdown

_DESCRIPTION_CHARS = 60


def show_tasks(args: argparse.Namespace) -> int:
    """Print the table of tasks, or one task with its arguments.

    Args:
        args: ``name`` of a task, or None for all; ``markdown`` for the table of all as the pages have it.

    Returns:
        The exit status: 1 where there is no such task, with the nearest name on stderr.
    """
    if args.name is None:
        print(markdown(TASKS) if args.markdown else _all_tasks())
        return 0
    try:
        task = task_named(args.name)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{task.name}: {task.description}. Default model: {task.default_model or 'none'}\n")
    print(_arguments(task))
    if task.long_text_advice:
        print(f"\nA text that is too long: {task.long_text_advice}.")
    return 0


def _all_tasks() -> str:
    rows = [[task.name, task.description, task.default_model or "name one"] for task in TASKS.values()]
    return text_table(["task", "does", "default model"], rows, max_rows=len(rows))


def _arguments(task: Task) -> str:
    rows = []
    for argument in arguments_of(task):
        first, *more = wrap(argument.description, _DESCRIPTION_CHARS) or [""]
        rows.append([argument.name, argument.type, "yes" if argument.required else "no", first])
        rows += [["", "", "", line] for line in more]
    return text_table(["argument", "type", "required", "description"], rows, max_rows=len(rows))
