"""The command line: install, uninstall, status, doctor, serve, run, tasks, demo."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import __version__

PROGRAM = "python -m huggingface_api_handler"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit status (0 well, 1 failed, 2 used wrongly, 130 interrupted)."""
    chosen = _parser().parse_args(arguments)
    try:
        return int(chosen.command(chosen))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Hugging Face inference as an ML engine for MindsDB.")
    parser.add_argument("--version", action="version", version=f"huggingface_api_handler {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, what: str, function: object) -> argparse.ArgumentParser:
        # No abbreviations: `--api-key KEY` would be taken for --api-key-env, and the key printed as a name.
        command = commands.add_parser(name, help=what, description=what, allow_abbrev=False)
        command.set_defaults(command=function)
        return command

    add("install", "Make this the huggingface_api handler of this environment's MindsDB.", _install)
    add("uninstall", "Put MindsDB's own handler back.", _uninstall)
    add("status", "Show which handler is active and whether MindsDB can import it.", _status)
    add("doctor", "As status, and where a Hugging Face token would come from.", _doctor)

    serve = add("serve", "Start the local inference server.", _serve)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8900, help="port to listen on (default: %(default)s)")
    serve.add_argument("--token", help="refuse requests without this key")
    serve.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME=ID_OR_FOLDER[:TASK]",
        help="serve a transformers model under NAME too; may be repeated. Needs the extra transformers",
    )

    run = add("run", "One inference; prints one line of JSON. The key comes from the environment.", _run)
    run.add_argument("--task", help="such as text-classification; by default the model's own task")
    run.add_argument("--model", help="name on the Hub; by default the task's default model")
    run.add_argument("--text", required=True, help="the input")
    run.add_argument("--candidate-labels", metavar="A,B", help="labels of a zero-shot task, with commas between")
    run.add_argument("--no-wait", action="store_true", help="fail instead of waiting for a model that is loading")
    run.add_argument("--endpoint", metavar="URL", help="server to ask instead of Hugging Face")
    run.add_argument("--parameters", metavar="JSON", help="parameters of the task as a JSON object")
    run.add_argument("--api-key-env", metavar="NAME", help="environment variable that holds the key")

    tasks = add("tasks", "List the tasks, or one with its arguments.", _tasks)
    tasks.add_argument("name", nargs="?", help="such as zero-shot-classification")
    tasks.add_argument("--markdown", action="store_true", help="the list as README has it")

    demo = add("demo", "Run the examples through a MindsDB server started for it.", _demo)
    demo.add_argument("--examples", type=Path, help="folder with the .sql files (default: the checkout's)")
    return parser


def _install(_: argparse.Namespace) -> int:
    from ..installation import InstallationError, install

    try:
        print("\n".join(install().sentences))
    except InstallationError as problem:
        return _failed(problem)
    return 0


def _uninstall(_: argparse.Namespace) -> int:
    from ..installation import InstallationError, uninstall

    try:
        print("\n".join(uninstall().sentences))
    except InstallationError as problem:
        return _failed(problem)
    return 0


def _status(_: argparse.Namespace) -> int:
    from ..installation.status import status

    found = status(progress=lambda text: print(text, file=sys.stderr, flush=True))
    print("\n".join(found.sentences()))
    return 0 if found.healthy else 1


def _doctor(chosen: argparse.Namespace) -> int:
    from ..installation.status import token_sentence

    result = _status(chosen)
    print(token_sentence())
    return result


def _serve(chosen: argparse.Namespace) -> int:
    try:
        from .. import server
    except ImportError as missing:
        hint = 'pip install "huggingface_api_handler[local]"'
        return _failed(missing if hint in str(missing) else f"The local inference server is incomplete: {hint}")
    host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
    using = f"endpoint = 'http://{host}:{chosen.port}/models'"
    if chosen.token:
        using += ", api_key = '<the token>'"
    print("Once it answers, in MindsDB:", flush=True)
    print(f"CREATE ML_ENGINE hf_local FROM huggingface_api USING {using};", flush=True)
    try:
        server.run(chosen.host, chosen.port, chosen.token, chosen.model)
    except (ValueError, ModuleNotFoundError) as refused:
        return _failed(refused)
    return 0


def _run(chosen: argparse.Namespace) -> int:
    from .run import run_once

    return run_once(chosen)


def _tasks(chosen: argparse.Namespace) -> int:
    from ..config.normalize import task_named
    from ..console import text_table
    from ..errors import InputError
    from ..tasks import TASKS
    from ..tasks.listing import arguments_of, markdown

    if chosen.name is None:
        rows = [[task.name, task.description, task.default_model or "name one"] for task in TASKS.values()]
        print(
            markdown(TASKS)
            if chosen.markdown
            else text_table(["task", "does", "default model"], rows, max_rows=len(rows))
        )
        return 0
    try:
        task = task_named(chosen.name)
    except InputError as problem:
        return _failed(problem)
    print(f"{task.name}: {task.description}. Default model: {task.default_model or 'none'}\n")
    arguments = [[name, kind, "yes" if required else "no", text] for name, kind, required, text in arguments_of(task)]
    print(text_table(["argument", "type", "required", "description"], arguments, max_rows=len(arguments)))
    return 0


def _demo(chosen: argparse.Namespace) -> int:
    from ..demo import run_demo

    return run_demo(chosen.examples)


def _failed(reason: object) -> int:
    print(reason, file=sys.stderr)
    return 1
