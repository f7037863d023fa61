"""`serve`: the local inference server, with the statement that makes an engine of it."""

from __future__ import annotations

import argparse
import sys

INSTALL_HINT = 'pip install "huggingface_api_handler[local]"'


def serve(args: argparse.Namespace) -> int:
    """Print the CREATE ML_ENGINE statement and serve until interrupted.

    Args:
        args: ``host``, ``port``, ``token`` (or None) and ``model``, a list of transformers models.

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

    if args.token and (problem := key_problem(args.token)) is not None:
        print(f"The token {problem}", file=sys.stderr)
        return 1
    host = f"[{args.host}]" if ":" in args.host else args.host
    using = f"endpoint = 'http://{host}:{args.port}/models'"
    if args.token:
        using += ", api_key = '<the token>'"
    print("Once it answers, in MindsDB:", flush=True)
    print(f"CREATE ML_ENGINE hf_local FROM huggingface_api USING {using};", flush=True)
    try:
        server.run(args.host, args.port, args.token, args.model)
    except (ValueError, ModuleNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
