"""Arguments that several commands take: those of an engine and of a model."""

from __future__ import annotations

import argparse
import json

from ..errors import InputError

API_KEY_ENV_HELP = "environment variable that holds the key; by default HF_TOKEN, which goes to Hugging Face only"

_ENGINE_OPTIONS = ("endpoint", "provider", "protocol", "cache_dir", "store")


def add_using(parser: argparse.ArgumentParser) -> None:
    """Add the option for any argument of a model.

    Args:
        parser: Of the command.
    """
    parser.add_argument(
        "--using",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help='any other argument of a model, such as candidate_labels=\'["a", "b"]\'; the value is JSON, or else a '
        "text; may be repeated",
    )


def using_arguments(args: argparse.Namespace) -> dict[str, object]:
    """What the option says of the model.

    Args:
        args: As ``add_using`` has them.

    Returns:
        The arguments, without a key.

    Raises:
        InputError: An option is not KEY=VALUE, or a cascade's engine has a key.
    """
    using = pairs("--using", args.using)
    cascade = using.get("cascade")
    engine = cascade.get("engine") if isinstance(cascade, dict) else None
    if isinstance(engine, dict):
        _refuse_key(engine, 'name that in the map of the engine: "api_key_env": "HF_NAME"')
    return using


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say whom to ask.

    Args:
        parser: Of the command.
    """
    parser.add_argument("--endpoint", metavar="URL", help="server to ask instead of Hugging Face")
    parser.add_argument(
        "--provider", help="which of Hugging Face's Inference Providers to ask; by default one that serves the model"
    )
    parser.add_argument("--protocol", help="what the server at --endpoint is; by default it is found out")
    parser.add_argument("--api-key-env", metavar="NAME", help=API_KEY_ENV_HELP)
    parser.add_argument("--cache-dir", metavar="FOLDER", help="folder where answers are stored; by default in HF_HOME")
    parser.add_argument("--store", metavar="URL", help="Redis where several machines store answers and share limits")
    parser.add_argument(
        "--engine",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any other argument of an engine, such as max_concurrency=16; may be repeated",
    )


def engine_arguments(args: argparse.Namespace) -> dict[str, object]:
    """What the options say of the engine.

    Args:
        args: As ``add_engine_arguments`` has them.

    Returns:
        The arguments, without a key.

    Raises:
        InputError: An option is not KEY=VALUE, or is a key.
    """
    engine = pairs("--engine", args.engine)
    _refuse_key(engine, "name that: --api-key-env NAME")
    engine.update({name: value for name in _ENGINE_OPTIONS if (value := getattr(args, name)) is not None})
    return engine


def _refuse_key(engine: dict[str, object], instead: str) -> None:
    """Raise InputError for an engine with a key among its arguments."""
    from ..config.normalize import KEY_NAMES, normalize

    if not normalize(engine).keys().isdisjoint(KEY_NAMES):
        raise InputError(
            "a key on a command line can be read by every user of the machine. Put it into a variable of the "
            f"environment, and {instead}"
        )


def pairs(option: str, texts: list[str]) -> dict[str, object]:
    """The arguments that are given as KEY=VALUE.

    Args:
        option: Before each of them.
        texts: What stands behind it.

    Returns:
        The values, each as JSON or else as a text, by their names.

    Raises:
        InputError: One is not KEY=VALUE.
    """
    found: dict[str, object] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise InputError(f"{option} takes KEY=VALUE, such as {option} max_requests=100, not {text!r}")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def at_least_one(text: str) -> int:
    """A whole number from 1 on, for argparse.

    Args:
        text: What stands behind the option.

    Returns:
        The number.

    Raises:
        argparse.ArgumentTypeError: It is less.
        ValueError: It is no number.
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number
