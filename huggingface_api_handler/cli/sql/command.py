"""The command `sql`: where statements come from, and the process's exit status."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from .cost_question import DEFAULT_MAX_DOLLARS, DEFAULT_MAX_REQUESTS, CostQuestion, Estimate, ask_in_terminal
from .output import FORMATS
from .runner import Runner, message_of, say
from .watch import Watch

if TYPE_CHECKING:
    pass

INSTALL_HINT = 'pip install "huggingface_api_handler[sql]"'

_EXTRA = ("duckdb", "sqlglot", "mindsdb_sql_parser", "prompt_toolkit")

_DATABASE_MARK = b"DUCK"
"""At byte 8 of a database of DuckDB's."""

_MARK_AT = 8
_EXIT_INTERRUPTED = 130
_HISTORY_FILE = "sql_history"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command.

    Args:
        parser: Of the command.
    """
    parser.add_argument("file", nargs="?", metavar="FILE", help="a script to run, or a DuckDB database to open")
    parser.add_argument("-c", "--command", dest="text", metavar="SQL", help="statements to run, instead of a script")
    parser.add_argument("--db", metavar="FILE", help="database to open or to create (default: in memory)")
    parser.add_argument(
        "--format", choices=FORMATS, default="table", help="how rows are written (default: %(default)s)"
    )
    parser.add_argument(
        "--trust", action="store_true", help="let the engines of a database that somebody else made use your keys"
    )
    parser.add_argument("--yes", action="store_true", help="send requests without asking, whatever they cost")
    parser.add_argument(
        "--max-requests",
        type=int,
        default=DEFAULT_MAX_REQUESTS,
        metavar="N",
        help="ask before a statement sends more requests (default: %(default)s)",
    )
    parser.add_argument(
        "--max-dollars",
        type=float,
        default=DEFAULT_MAX_DOLLARS,
        metavar="X",
        help="ask before a statement costs more, where prices are known (default: %(default)s)",
    )


def run_sql(args: argparse.Namespace) -> int:
    """Run statements.

    Args:
        args: As ``add_arguments`` has them.

    Returns:
        The exit status: 1 where a statement failed, with the reason on stderr, 130 where a script was interrupted,
        else 0.
    """
    try:
        from ... import sql
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        say(f"The command sql needs {error.name}, not installed here. Install with: {INSTALL_HINT}")
        return 1
    try:
        script, database = _sources(args)
    except (OSError, UnicodeDecodeError, InputError) as error:
        say(_reading_failed(error))
        return 1
    is_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    watch = Watch(has_bars=sys.stderr.isatty())
    question = CostQuestion(args.max_requests, args.max_dollars, ask_in_terminal if is_terminal else None, args.yes)

    def confirm(estimate: Estimate) -> bool:
        """Ask the person, before a model is asked."""
        watch.attach()
        return question(estimate)

    try:
        connection = sql.connect(database, trust=args.trust, progress=watch.progress, confirm=confirm)
    except Exception as error:
        say(message_of(error))
        return 1
    with connection:
        runner = Runner(connection, watch, question, args.format)
        try:
            return _run(runner, script)
        except BrokenPipeError:  # who read the rows has enough of them
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except KeyboardInterrupt:  # of which the runner has said what is kept
            return _EXIT_INTERRUPTED
        finally:
            watch.close()


def _run(runner: Runner, script: str | None) -> int:
    if script is not None:
        return 0 if runner.run_script(script) else 1
    from .shell import Shell

    Shell(runner, _history_path()).run()
    return 0


def _sources(args: argparse.Namespace) -> tuple[str | None, str]:
    """The script, None for the shell; and the database."""
    database = args.db or ":memory:"
    file = args.file
    if file is not None and args.db is None and _is_database(Path(file)):
        database, file = file, None
    if args.text is not None:
        if file is not None:
            raise InputError(f"Give -c or a script, not both: -c {args.text!r} and {file}")
        return args.text, database
    if file is not None and file != "-":
        return Path(file).read_text(encoding="utf-8"), database
    if file == "-" or not sys.stdin.isatty():
        return sys.stdin.read(), database
    return None, database


def _is_database(path: Path) -> bool:
    if path.suffix == ".duckdb":
        return True
    try:
        with path.open("rb") as file:
            return file.read(_MARK_AT + len(_DATABASE_MARK))[_MARK_AT:] == _DATABASE_MARK
    except OSError:
        return False


def _reading_failed(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"The script {error.filename} cannot be read: {error.strerror}"
    return f"The script is not in UTF-8: {error}" if isinstance(error, UnicodeDecodeError) else str(error)


def _history_path() -> Path:
    """Beside the store of answers, whose folder it is by default."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser() / "huggingface_api_handler" / _HISTORY_FILE
