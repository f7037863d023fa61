"""The few commands of the shell that are no SQL, as people know them from SQLite and psql."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .output import FORMATS
from .runner import Runner, say


class Leave(Exception):  # noqa: N818 -- no error
    """The person wants to leave the shell."""


class DotCommand(NamedTuple):
    """One command.

    Attributes:
        names: What it is called.
        argument: What it takes; empty where nothing.
        meaning: What it does.
        run: Does it.
    """

    names: tuple[str, ...]
    argument: str
    meaning: str
    run: Callable[[Runner, str], None]


def run_dot_command(runner: Runner, line: str) -> bool:
    """Run a line, if it is a command.

    Args:
        runner: Runs the statements that it stands for.
        line: What the person wrote.

    Returns:
        Whether it was one.

    Raises:
        Leave: It is the command to leave.
    """
    if not is_dot_command(line):
        return False
    name, _, argument = line.strip().rstrip(";").strip().partition(" ")
    command = next((each for each in COMMANDS if name.lower() in each.names), None)
    if command is None:
        say(f"There is no command {name}. They are: {', '.join(each.names[0] for each in COMMANDS)}.")
    else:
        command.run(runner, argument.strip())
    return True


def is_dot_command(line: str) -> bool:
    """Whether a line is a command and no SQL.

    Args:
        line: What the person wrote.

    Returns:
        True for what begins with a dot or a backslash, and for a word such as ``exit`` alone.
    """
    text = line.strip()
    return text.startswith((".", "\\")) or text.rstrip("; ").lower() in _WORDS


def _help(_: Runner, __: str) -> None:
    say("A statement ends with a semicolon and may have several lines. Tab completes. Ctrl-C ends a statement.", "")
    width = max(len(_usage(each)) for each in COMMANDS)
    say(*(f"  {_usage(each):{width}}   {each.meaning}" for each in COMMANDS))
    say(
        "",
        "CREATE ML_ENGINE hf FROM huggingface_api USING endpoint = 'local';   or api_key_env = 'HF_TOKEN'",
        "CREATE MODEL mood PREDICT mood USING task = 'text-classification', column = 'text', engine = 'hf';",
        "SELECT t.text, m.mood FROM 'reviews.csv' AS t JOIN mood AS m LIMIT 5;",
        "EXPLAIN SELECT ...;   what it would ask, before anything is sent",
    )


def _usage(command: DotCommand) -> str:
    return f"{command.names[0]} {command.argument}".rstrip()


def _tables(runner: Runner, _: str) -> None:
    runner.run_script("SHOW TABLES")


def _models(runner: Runner, _: str) -> None:
    runner.run_script("SHOW MODELS")


def _engines(runner: Runner, _: str) -> None:
    runner.run_script("SHOW ML_ENGINES")


def _mode(runner: Runner, argument: str) -> None:
    if argument in FORMATS:
        runner.kind = argument
    else:
        say(f"Rows are written as {runner.kind}. Others: {', '.join(each for each in FORMATS if each != runner.kind)}.")


def _quit(_: Runner, __: str) -> None:
    raise Leave


COMMANDS = (
    DotCommand((".help", "help", "\\?", "\\h"), "", "this text", _help),
    DotCommand((".tables", "\\d", "\\dt"), "", "the tables and views", _tables),
    DotCommand((".models",), "", "the models", _models),
    DotCommand((".engines",), "", "the engines", _engines),
    DotCommand((".mode",), "FORMAT", f"how rows are written: {', '.join(FORMATS)}", _mode),
    DotCommand((".quit", ".exit", "\\q", "quit", "exit"), "", "leave, as Ctrl-D does", _quit),
)

_WORDS = frozenset(name for command in COMMANDS for name in command.names if name.isalpha())
