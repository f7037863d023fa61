"""The command line: sql, install, status, doctor, store, usage, serve, run, predict, compare, tasks, demo."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .._version import __version__
from .arguments import API_KEY_ENV_HELP

if TYPE_CHECKING:
    from ..installation import Report

PROGRAM = "python -m huggingface_api_handler"

_DESCRIPTION = "Predictions of Hugging Face models for tables: in SQL, in MindsDB, and for Parquet files."
_EPILOG = "COMMAND --help shows the options of a command. `sql` is a shell to begin with; `doctor` says what is wrong."

EXIT_FAILED = 1
EXIT_UNUSABLE = 2
EXIT_INTERRUPTED = 130

Command = Callable[[argparse.Namespace], int]
"""One command: its arguments, parsed, to the process's exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The command and its arguments; by default those of the process.

    Returns:
        The process's exit status: 0 done, 1 failed, 2 without a command, where all commands are shown, 130 interrupted.
        Arguments that cannot be read exit with 2.
    """
    parser = command_parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help(sys.stderr)
        return EXIT_UNUSABLE
    args = parser.parse_args(argv)
    try:
        return int(args.command(args))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return EXIT_INTERRUPTED


def command_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands.

    Returns:
        The parser, whose result has the command in ``command``.
    """
    parser = argparse.ArgumentParser(prog=PROGRAM, description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"huggingface_api_handler {__version__}")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add_command(name: str, help_text: str, command: Command) -> argparse.ArgumentParser:
        # No abbreviations: `--api-key KEY` would be taken for --api-key-env, and the key printed as a name.
        subparser = subparsers.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        subparser.set_defaults(command=command)
        return subparser

    _add_sql_arguments(add_command("sql", "Run SQL with models, without MindsDB: in a shell, or from a script.", _sql))
    install = add_command(
        "install", "Put this handler in the place of the huggingface_api handler that MindsDB brings.", _install
    )
    install.add_argument(
        "--no-prediction-cache",
        nargs="?",
        const=Path(),
        type=Path,
        metavar="CONFIG",
        help="also switch off MindsDB's prediction cache, which may show old answers, in this configuration file "
        "(default: the one that MINDSDB_CONFIG_PATH names)",
    )
    add_command("uninstall", "Undo install: put MindsDB's own handler back.", _uninstall)
    add_command("status", "Show which huggingface_api handler MindsDB uses, and whether it can import it.", _status)
    _add_doctor_arguments(
        add_command(
            "doctor", "Check what is installed, the key, the network and the stores, and say what to do.", _doctor
        )
    )
    _add_serve_arguments(
        add_command("serve", "Serve small models on this machine, without a key (the local inference server).", _serve)
    )
    _add_run_arguments(
        add_command("run", "Predict one text and print a line of JSON, to try a key, a model or an endpoint.", _run)
    )
    _add_predict_arguments(
        add_command(
            "predict", "Predict every row of a Parquet file. Run it again, and it goes on where it ended.", _predict
        )
    )
    _add_compare_arguments(
        add_command(
            "compare",
            "Ask several models about a sample of a table: how often each is right, its cost, its speed.",
            _compare,
        )
    )
    _add_store_arguments(add_command("store", "Show stored answers, delete old ones, or export them.", _store))
    _add_usage_arguments(
        add_command("usage", "Show what models were asked and what it cost, by day, engine or model.", _usage)
    )
    tasks = add_command("tasks", "List the tasks, or the arguments of one.", _tasks)
    tasks.add_argument("name", nargs="?", help="such as zero-shot-classification")
    tasks.add_argument("--markdown", action="store_true", help="print the list in Markdown")
    demo = add_command(
        "demo", "Run the examples of a checkout and show each answer, in a MindsDB that is started for it.", _demo
    )
    demo.add_argument("--examples", type=Path, help="folder with the .sql files (default: the checkout's)")
    demo.add_argument("--embedded", action="store_true", help="in this process, without MindsDB (extras sql, local)")
    return parser


def _add_sql_arguments(sql: argparse.ArgumentParser) -> None:
    from .sql.command import add_arguments

    add_arguments(sql)


def _add_serve_arguments(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8900, help="port to listen on (default: %(default)s)")
    token = serve.add_mutually_exclusive_group()
    token.add_argument("--token-env", metavar="NAME", help="refuse requests without the key in this variable")
    token.add_argument(
        "--token-file",
        type=Path,
        metavar="PATH",
        help="refuse requests without the key in this file of yours (chmod 600)",
    )
    token.add_argument(
        "--token",
        help="refuse requests without this key, which every user of this machine can read in the list of processes",
    )
    serve.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME=ID_OR_FOLDER[:TASK]",
        help="serve a transformers model under NAME too; may be repeated. Needs the extra transformers",
    )


def _add_run_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("--task", help="such as text-classification; by default the model's own task")
    run.add_argument("--model", help="name on the Hub; by default the task's default model")
    run.add_argument("--text", required=True, help="the text to predict")
    run.add_argument(
        "--candidate-labels", metavar="A,B", help="the labels to choose from, for zero-shot-classification"
    )
    run.add_argument("--no-wait", action="store_true", help="fail instead of waiting for a model that is loading")
    run.add_argument("--endpoint", metavar="URL", help="server to ask instead of Hugging Face")
    run.add_argument("--protocol", help="what the server at --endpoint is, such as vllm; by default it is found out")
    run.add_argument("--parameters", metavar="JSON", help="parameters of the task as a JSON object")
    run.add_argument("--api-key-env", metavar="NAME", help=API_KEY_ENV_HELP)


def _add_predict_arguments(predict: argparse.ArgumentParser) -> None:
    from .predict import add_arguments

    add_arguments(predict)


def _add_compare_arguments(compare: argparse.ArgumentParser) -> None:
    from .compare import add_arguments

    add_arguments(compare)


def _add_doctor_arguments(doctor: argparse.ArgumentParser) -> None:
    from .doctor.command import add_arguments

    add_arguments(doctor)


def _add_store_arguments(store: argparse.ArgumentParser) -> None:
    from .store.command import add_arguments

    add_arguments(store)


def _add_usage_arguments(usage: argparse.ArgumentParser) -> None:
    from .usage import add_arguments

    add_arguments(usage)


# Each command imports what it needs when it runs, so that --help is there at once and an extra may be missing.


def _sql(args: argparse.Namespace) -> int:
    from .sql.command import run_sql

    return run_sql(args)


def _install(args: argparse.Namespace) -> int:
    from ..installation import install
    from ..installation.prediction_cache import prediction_cache, switch_off, warning

    config: Path | None = args.no_prediction_cache
    if config is not None:
        return _report(install) or _report(lambda: switch_off(config if config.name else None))
    exit_status = _report(install)
    for line in warning(prediction_cache()) if exit_status == 0 else ():
        print(line)
    return exit_status


def _uninstall(_: argparse.Namespace) -> int:
    from ..installation import uninstall

    return _report(uninstall)


def _report(step: Callable[[], Report]) -> int:
    from ..installation import InstallationError

    try:
        print("\n".join(step().sentences))
    except InstallationError as error:
        return _failed(error)
    return 0


def _status(_: argparse.Namespace) -> int:
    from ..installation.status import status

    current = status(progress=lambda text: print(text, file=sys.stderr, flush=True))
    print("\n".join(current.sentences()))
    return 0 if current.healthy else EXIT_FAILED


def _doctor(args: argparse.Namespace) -> int:
    from .doctor.command import run_doctor

    return run_doctor(args)


def _store(args: argparse.Namespace) -> int:
    from .store.command import run_store

    return run_store(args)


def _usage(args: argparse.Namespace) -> int:
    from .usage import run_usage

    return run_usage(args)


def _serve(args: argparse.Namespace) -> int:
    from .serve import serve

    return serve(args)


def _run(args: argparse.Namespace) -> int:
    from .run import run_once

    return run_once(args)


def _predict(args: argparse.Namespace) -> int:
    from .predict import run_predict

    return run_predict(args)


def _compare(args: argparse.Namespace) -> int:
    from .compare import run_compare

    return run_compare(args)


def _tasks(args: argparse.Namespace) -> int:
    from .tasks import show_tasks

    return show_tasks(args)


def _demo(args: argparse.Namespace) -> int:
    if args.embedded:
        from ..demo.embedded import run_embedded_demo

        return run_embedded_demo(args.examples)
    from ..demo import run_demo

    return run_demo(args.examples)


def _failed(reason: Exception) -> int:
    print(reason, file=sys.stderr)
    return EXIT_FAILED
