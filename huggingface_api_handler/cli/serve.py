"""`serve`: the local inference server, with the statement that makes an engine of it."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from pathlib import Path

INSTALL_HINT = 'pip install "huggingface_api_handler[local]"'


def serve(args: argparse.Namespace) -> int:
    """Print the CREATE ML_ENGINE statement and serve until interrupted.

    Args:
        args: ``host``, ``port``, ``token``, ``token_env`` and ``token_file`` (None but for one of them at most), and
            ``model``, a list of transformers models.

    Returns:
        The exit status: 1 where the server cannot start, or no engine would take the token, with the reason on stderr.
    """
    try:
        from .. import server
    except ImportError as error:
        missing = INSTALL_HINT in str(error)
        print(error if missing else f"The local inference server is incomplete: {INSTALL_HINT}", file=sys.stderr)
        return 1
    from ..config.types import key_problem

    try:
        token = _token(args)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    if token is not None and (problem := key_problem(token)) is not None:
        print(f"The token {problem}", file=sys.stderr)
        return 1
    host = f"[{args.host}]" if ":" in args.host else args.host
    using = f"endpoint = 'http://{host}:{args.port}/models'"
    if token is not None:
        using += ", api_key = '<the token>'"
    print("Once it answers, in MindsDB:", flush=True)
    print(f"CREATE ML_ENGINE hf_local FROM huggingface_api USING {using};", flush=True)
    try:
        server.run(args.host, args.port, token, args.model)
    except (ValueError, ModuleNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _token(args: argparse.Namespace) -> str | None:
    """Return the key that requests need, or None; raise OSError or ValueError where it cannot be had."""
    if args.token_env is not None:
        token = os.environ.get(args.token_env, "").strip()
        if not token:
            raise ValueError(f"The variable {args.token_env} is not set, or empty: put the token there.")
        return token
    if args.token_file is not None:
        return _read_token(args.token_file)
    if args.token is not None:
        advice = "Give --token-env NAME or --token-file PATH instead."
        print(
            f"Warning: every user of this machine can read --token in the list of processes. {advice}", file=sys.stderr
        )
    token_argument: str | None = args.token
    return token_argument


def _read_token(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        # Of the open file: the name could be another file's by now.
        status = os.fstat(file.fileno())
        if status.st_uid not in (os.geteuid(), 0):
            raise ValueError(
                f"Another user, of uid {status.st_uid}, owns {path} and knows the token: use a file of yours."
            )
        if stat.S_IMODE(status.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise ValueError(f"Other users may read or change {path}. Make it yours alone: chmod 600 {path}")
        token = file.read().strip()
    if not token:
        raise ValueError(f"The file {path} is empty: put the token there.")
    return token
