"""13. The cascade through HTTP: the calls that the service counts, and broken promises.

Each seed is a table of ``bench.cascade_tables`` and an answer store of its own, whose secret makes the draws. Beside
the calls stand those of the functions alone, on the same tables with other draws. A promise is broken where more rows
show another answer than the large model's than may be.
"""

from __future__ import annotations

import time
from typing import TypedDict

import numpy as np
import pandas as pd

from huggingface_api_handler.inference import Session, predict

from . import measure
from .cascade import FIRST_SEED, lower_limit, run, seed_of
from .cascade_tables import FAMILIES, Table
from .labelled_service import running
from .scored_service import LARGE, RIGHT, SMALL, ScoredService

CASES = ("calibrated", "adversarial", "always wrong", "zipf counts")
INPUTS = 500
TARGETS = (0.9, 0.95)
DELTA = 0.1
SEEDS = 50
QUICK_SEEDS = 2
SAME_CALLS = 1.1
"""Our calls through HTTP relative to those of the functions, means over the seeds: the draws are others."""


class Case(TypedDict):
    """A case's figures. Calls are means, in shares of the inputs."""

    family: str
    inputs: int
    target: float
    delta: float
    seeds: int
    broken: int
    broken_limit: float
    calls: float
    calls_of_functions: float
    requests: float
    seconds: float


def frame_of(table: Table) -> pd.DataFrame:
    """A row for each row of each input."""
    texts = [
        f"{number} {score!r} {wrong:d}"
        for number, (score, wrong) in enumerate(zip(table.scores.tolist(), table.wrong.tolist(), strict=True))
    ]
    return pd.DataFrame({"text": np.repeat(np.array(texts, dtype=object), table.counts)})


def measured(service: ScoredService, family: str, target: float, seeds: int) -> Case:
    """Run a case."""
    broken, calls, of_functions, requests = 0, 0.0, 0.0, 0
    started = time.monotonic()
    small = {"model": SMALL, "endpoint": f"{service.url}/{SMALL}"}
    cascade = {**small, "accuracy": target, "confidence": 1 - DELTA}
    using = {"task": "text-classification", "model": LARGE, "column": "text", "target": "y", "cascade": cascade}
    for seed in range(seeds):
        random = np.random.default_rng(FIRST_SEED + seed)
        table = FAMILIES[family](random, INPUTS, target)
        service.reset()
        with measure.temporary_folder() as folder, Session() as session:
            engine = {"endpoint": f"{service.url}/{LARGE}", "cache_dir": folder, "allow_private_endpoints": True}
            out = predict(frame_of(table), using, engine, session=session)
        broken += bool((out["y"] == RIGHT).mean() < target)
        calls += len(service.inputs[LARGE]) / INPUTS
        of_functions += run(table, target, DELTA, seed_of(FIRST_SEED + seed)).calls / INPUTS
        requests += sum(service.requests.values())
    seconds = time.monotonic() - started
    return {
        "family": family,
        "inputs": INPUTS,
        "target": target,
        "delta": DELTA,
        "seeds": seeds,
        "broken": broken,
        "broken_limit": lower_limit(broken, seeds),
        "calls": calls / seeds,
        "calls_of_functions": of_functions / seeds,
        "requests": requests / seeds,
        "seconds": seconds / seeds,
    }


def main() -> None:
    """Run the benchmark and write its results."""
    options = measure.parse_arguments(__doc__ or "", seeds={"type": int, "help": "tables of each case"})
    results = measure.Results("cascade_http", options.quick)
    seeds = options.seeds or (QUICK_SEEDS if options.quick else SEEDS)
    cases = []
    with running(ScoredService) as service:
        for target in TARGETS:
            for family in CASES:
                case = measured(service, family, target, seeds)
                print(
                    f"{family}, {target}: calls {case['calls']:.3f}, functions {case['calls_of_functions']:.3f}, "
                    f"broken {case['broken']} of {seeds}, {case['seconds']:.2f} s a query",
                    flush=True,
                )
                cases.append(case)
    results.body["cases"] = cases
    results.check(
        f"broken promises through HTTP in the worst case at delta {DELTA}, lower limit",
        max(case["broken_limit"] for case in cases),
        DELTA,
    )
    ratios = [case["calls"] / case["calls_of_functions"] for case in cases]
    results.check("calls through HTTP relative to those of the functions, mean", sum(ratios) / len(ratios), SAME_CALLS)
    results.write()


if __name__ == "__main__":
    main()
