"""Prompts with common beginnings: tokens that llama.cpp's server evaluates, ordered for its prefix cache and unordered.

The table has prompts of a few shared prefixes, shuffled. The server is llama.cpp's own with SmolLM2, started anew for
each run, as many requests in flight as it has slots. It counts the tokens that it evaluates and those that it found
cached (``/metrics``). Each row must be answered.

``./tests/servers/run.sh llama`` makes the server's environment in the folder that SERVERS_ENVIRONMENTS names. Give
this the same: ``SERVERS_ENVIRONMENTS=/tmp/servers python -m bench.prefix_cache``.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import urllib.request
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pandas as pd

from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.flow_control.prefix_queue import PrefixQueue
from huggingface_api_handler.inference.runtime import input_queue
from tests.servers.cases import llama
from tests.servers.processes import running

from .prose import prose

ROWS = 300
PREFIXES = 6
PREFIX_WORDS = 70
TEXT_WORDS = 8
SLOT_TOKENS = 512
CASES: dict[str, dict[str, Any]] = {
    "4 slots": {"n_parallel": 4, "cache_ram_mib": 0},
    "1 slot": {"n_parallel": 1, "cache_ram_mib": 0},
    "4 slots, and 8 GiB for prompts that left them": {"n_parallel": 4, "cache_ram_mib": 8192},
}
"""Settings of the server by the name of the case."""


class TableOrder(deque[int]):
    """Prompts in the order of the table: what a query without an order of its own sends."""

    def __init__(self, *_: object) -> None:
        super().__init__()

    def on_done(self, index: int) -> None:
        """Take no notice."""


class Run(NamedTuple):
    """What one query cost."""

    evaluated: int
    cached: int
    seconds: float


def table(rows: int) -> pd.DataFrame:
    """Prompts that begin with one of a few texts, in random order.

    Args:
        rows: How many.

    Returns:
        The column ``text``.
    """
    words = " ".join(prose(0, 200)).split()
    chosen = random.Random(20)
    starts = [" ".join(chosen.choices(words, k=PREFIX_WORDS)) for _ in range(PREFIXES)]
    texts = [
        f"{starts[row % PREFIXES]}\nReview: {' '.join(chosen.choices(words, k=TEXT_WORDS))}" for row in range(rows)
    ]
    chosen.shuffle(texts)
    return pd.DataFrame({"text": texts})


def ask(frame: pd.DataFrame, settings: dict[str, Any], folder: Path) -> Run:
    """Ask a new server about a table.

    Args:
        frame: The prompts.
        settings: Of the server.
        folder: For its log, and the store.

    Returns:
        The tokens of prompts by what the server says, and the seconds of the query.

    Raises:
        RuntimeError: A row was not answered.
    """
    slots = settings["n_parallel"]
    process = llama("smol", n_ctx=SLOT_TOKENS * slots, endpoint_metrics=True, **settings)
    using = {"task": "chat-completion", "column": "text", "model": "smol", "max_tokens": 1, "temperature": 0}
    with running(process, folder, folder) as url:
        engine = {"endpoint": f"{url}/v1", "protocol": "llama.cpp", "cache": False, "cache_dir": str(folder)}
        begun = time.monotonic()
        out = predict(frame, using, {**engine, "max_concurrency": slots})
        seconds = time.monotonic() - begun
        metrics = urllib.request.urlopen(f"{url}/metrics").read().decode()
    if out["prediction_error"].notna().any():
        raise RuntimeError(out["prediction_error"].dropna().iloc[0])
    counts = dict(line.split() for line in metrics.splitlines() if line.startswith("llamacpp:prompt_tokens"))
    evaluated, cached = (int(counts[f"llamacpp:prompt_tokens_{name}"]) for name in ("total", "cached_total"))
    return Run(evaluated, cached, seconds)


def main() -> None:
    """Run each case and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, help="how many rows")
    parser.add_argument("--case", choices=list(CASES), help="the one case to run")
    options = parser.parse_args()
    frame = table(options.rows)
    print(f"{options.rows} prompts of {PREFIXES} prefixes")
    for name in [options.case] if options.case else CASES:
        for order in ("unordered", "ordered"):
            queue = TableOrder if order == "unordered" else PrefixQueue
            with tempfile.TemporaryDirectory() as folder, mock.patch.object(input_queue, "PrefixQueue", queue):
                run = ask(frame, CASES[name], Path(folder))
            print(
                f"{name}: {order}: {run.evaluated:,} evaluated, {run.cached:,} cached, {run.seconds:.1f} s", flush=True
            )


if __name__ == "__main__":
    main()
