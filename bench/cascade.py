"""11. The cascade: how often the large model is asked, and how often the promise is broken. No request is sent.

Each line is a family of proxies (``bench.cascade_tables``) with a number of inputs, a target and a delta, which is one
minus the confidence. Its tables come from seeds that were not used for tuning. Calls are in shares of the distinct
inputs. BARGAIN is the package ``bargain`` 0.1.3, as it is, on the same tables; where inputs have several rows it gets
the rows, and an input asked twice counts once. "Hindsight" is our certificate, had one known when to stop.
"Threshold" is the best prefix, had one known all answers. "Fewest" is what any method asks at least: the disagreements
beyond the allowance. A promise is broken where more rows show another answer than the large model's than may be. The
limit is the lower one of Clopper and Pearson, at 99 %.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple, TypedDict

import numpy as np

from huggingface_api_handler.inference.cascade.certify import certified
from huggingface_api_handler.inference.cascade.draws import log_factorial
from huggingface_api_handler.inference.cascade.rounds import Cascade, draw, uniforms

from . import measure
from .cascade_tables import FAMILIES, Table

INPUTS = (200, 2_000, 20_000)
TARGETS = (0.9, 0.95, 0.99)
DELTAS = (0.05, 0.1)
SEEDS = 1000
PAIRED_SEEDS = {200: 50, 2_000: 50, 20_000: 10}
QUICK_SEEDS = 20
FIRST_SEED = 5_000_000
"""Tuning used seeds below 100,000."""
CELL_S = 30.0
"""A cell that takes longer runs fewer seeds, which its line says."""
CONFIDENCE_OF_LIMIT = 0.99
CELL_BOUND = 1.05
"""Our calls relative to BARGAIN's in any cell, beyond two paired standard errors."""
MEAN_BOUNDS = {200: 0.9, 2_000: 0.8, 20_000: 0.65}
"""Of the mean ratio at targets 0.9 and 0.95, by the number of inputs."""
HINDSIGHT_BOUND = 1.25


class Run(NamedTuple):
    """One table through the cascade: calls, rounds, and whether the promise was broken."""

    calls: int
    rounds: int
    broken: bool


class Cell(TypedDict):
    """A cell's figures. Calls are means, in shares of the inputs; BARGAIN's are None where it is not installed."""

    family: str
    inputs: int
    target: float
    delta: float
    seeds: int
    broken: int
    broken_limit: float
    calls: float
    rounds: float
    hindsight: float
    threshold: float
    fewest: float
    paired_seeds: int
    paired_calls: float
    bargain: float | None
    ratio: float | None
    excess: float | None


def seed_of(number: int) -> bytes:
    """The seed of the draws for a table's number."""
    return f"bench.cascade {number}".encode()


def run(table: Table, accuracy: float, delta: float, seed: bytes) -> Run:
    """Answer a table's rounds with its labels.

    Args:
        table: The table.
        accuracy: The target.
        delta: One minus the confidence.
        seed: Of the draws.
    """
    cascade = Cascade(table.scores, table.counts, accuracy, delta, seed, asked_rows=table.asked_rows)
    rounds = 0
    while len(round_ := cascade.next_round()):
        cascade.record(~table.wrong[round_])
        rounds += 1
    certificate = cascade.certificate()
    shown = table.wrong.copy()
    shown[certificate.asked] = shown[certificate.remaining] = False
    calls = len(certificate.asked) + len(certificate.remaining)
    return Run(calls, rounds, int(table.counts[shown].sum()) > table.spare(accuracy))


def hindsight(table: Table, accuracy: float, delta: float, seed: bytes) -> int:
    """The calls of the best look at which one could have stopped.

    Args:
        table: The table.
        accuracy: The target.
        delta: One minus the confidence.
        seed: Of the draws.
    """
    order = np.argsort(-table.scores, kind="stable")
    random = uniforms(seed, len(order))[order]
    looks, drawn_at = draw(table.counts[order], random, table.spare(accuracy), delta)
    wrong = table.wrong[order]
    spared = 0
    for number, look in enumerate(looks):
        drawn = drawn_at <= number
        prefix = certified(np.flatnonzero(wrong & drawn), look.budget, len(order))
        spared = max(spared, int((~drawn[:prefix]).sum()))
    return len(order) - spared


def best_threshold(table: Table, accuracy: float) -> int:
    """The calls of the longest prefix with no more wrong rows than may be, all answers known.

    Args:
        table: The table.
        accuracy: The target.
    """
    order = np.argsort(-table.scores, kind="stable")
    wrong = np.cumsum((table.counts * table.wrong)[order])
    return len(order) - int((wrong <= table.spare(accuracy)).sum())


def fewest(table: Table, accuracy: float) -> int:
    """The least number of wrong inputs that must be corrected, the commonest first.

    Args:
        table: The table.
        accuracy: The target.
    """
    rows = np.sort(table.counts[table.wrong])[::-1]
    excess = int(rows.sum()) - table.spare(accuracy)
    return 0 if excess <= 0 else int(np.searchsorted(np.cumsum(rows), excess) + 1)


def bargain(table: Table, accuracy: float, delta: float, seed: int) -> int:
    """BARGAIN's calls for distinct inputs.

    Args:
        table: The table.
        accuracy: The target.
        delta: One minus the confidence.
        seed: Which it hands to numpy's global generator.
    """
    from BARGAIN import BARGAIN_A, Oracle, Proxy

    input_of_row = np.repeat(np.arange(len(table.scores)), table.counts)
    wrong = table.wrong[input_of_row].astype(int)

    class Scores(Proxy):  # type: ignore[misc]
        """Answers 0, surer or less sure."""

        def get_preds_and_scores(self, indxs: Any, data_records: Any) -> Any:
            return np.zeros(len(indxs), dtype=int), table.scores[input_of_row[indxs]]

    class Labels(Oracle):  # type: ignore[misc]
        """Answers 0 where the proxy is right. Its own bookkeeping counts calls, without a thread for each."""

        def is_answer_correct(self, data_indxs: Any, data_records: Any, proxy_output_at_indxs: Any) -> Any:
            return self.get_pred(data_records, data_indxs) == proxy_output_at_indxs

        def get_pred(self, data_records: Any, indxs: Any = None) -> Any:
            self.preds_dict.update(zip(map(int, indxs), wrong[indxs], strict=True))
            return wrong[indxs]

    labels = Labels(verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it divides by zero where all is drawn
        method = BARGAIN_A(Scores(verbose=False), labels, target=accuracy, delta=delta, verbose=False, seed=seed)
        method.process(np.arange(len(input_of_row)))
    return len(np.unique(input_of_row[list(labels.preds_dict)]))


def lower_limit(broken: int, seeds: int) -> float:
    """The lower limit of Clopper and Pearson of a share, one-sided.

    Args:
        broken: How many were.
        seeds: Of how many.
    """
    if broken == 0:
        return 0.0
    number = np.arange(broken, seeds + 1)
    ways = log_factorial(seeds) - log_factorial(number) - log_factorial(seeds - number)
    low, high = 0.0, broken / seeds
    for _ in range(50):
        share = (low + high) / 2
        at_least = np.exp(ways + number * math.log(share) + (seeds - number) * math.log1p(-share)).sum()
        low, high = (low, share) if at_least > 1 - CONFIDENCE_OF_LIMIT else (share, high)
    return low


def cell(
    family: str,
    inputs: int,
    target: float,
    delta: float,
    seeds: int,
    *,
    has_bargain: bool,
    seconds: float = CELL_S,
) -> Cell:
    """Run a cell.

    Args:
        family: A name of ``FAMILIES``.
        inputs: How many distinct inputs a table has.
        target: The accuracy.
        delta: One minus the confidence.
        seeds: How many tables, if time allows.
        has_bargain: Whether it is installed.
        seconds: Until no more tables are begun. ``PAIRED_SEEDS`` of them are run in any case.
    """

    def tables(count: int) -> Iterator[tuple[int, Table]]:
        for number in range(FIRST_SEED, FIRST_SEED + count):
            yield number, FAMILIES[family](np.random.default_rng(number), inputs, target)

    pairs = min(seeds, PAIRED_SEEDS[inputs])
    ends = time.monotonic() + seconds
    runs: list[Run] = []
    for number, table in tables(seeds):
        runs.append(run(table, target, delta, seed_of(number)))
        if time.monotonic() > ends and len(runs) >= pairs:
            break
    ours = np.array([each.calls for each in runs[:pairs]])
    besides = np.array(
        [
            (hindsight(table, target, delta, seed_of(number)), best_threshold(table, target), fewest(table, target))
            for number, table in tables(pairs)
        ]
    ).mean(axis=0)
    theirs = np.array([bargain(table, target, delta, number) for number, table in tables(pairs)] if has_bargain else [])
    differences = ours - CELL_BOUND * theirs if has_bargain else ours
    error = differences.std(ddof=1) / math.sqrt(pairs)
    broken = sum(each.broken for each in runs)
    return {
        "family": family,
        "inputs": inputs,
        "target": target,
        "delta": delta,
        "seeds": len(runs),
        "broken": broken,
        "broken_limit": lower_limit(broken, len(runs)),
        "calls": float(np.mean([each.calls for each in runs])) / inputs,
        "rounds": float(np.mean([each.rounds for each in runs])),
        "hindsight": besides[0] / inputs,
        "threshold": besides[1] / inputs,
        "fewest": besides[2] / inputs,
        "paired_seeds": pairs,
        "paired_calls": float(ours.mean()) / inputs,
        "bargain": float(theirs.mean()) / inputs if has_bargain else None,
        "ratio": float(ours.mean() / theirs.mean()) if has_bargain else None,
        "excess": float(differences.mean() - 2 * error) / inputs if has_bargain else None,
    }


def show(cells: list[Cell]) -> None:
    """Print cells as a table, one line each, calls in per cent.

    Args:
        cells: Of one number of inputs, target and delta.
    """
    first = cells[0]
    print(f"\n{first['inputs']:,} inputs, target {first['target']}, delta {first['delta']}")
    names = ("ours", "BARGAIN", "ratio", "hindsight", "threshold", "fewest", "rounds")
    print(f"{'':22}" + "".join(f"{name:>11}" for name in names) + "   broken of (limit)")
    for each in cells:
        shares = [each["paired_calls"], each["bargain"], None, each["hindsight"], each["threshold"], each["fewest"]]
        texts = ["-" if share is None else f"{100 * share:.1f}" for share in shares]
        texts[2] = "-" if each["ratio"] is None else f"{each['ratio']:.2f}"
        line = "".join(f"{text:>11}" for text in [*texts, f"{each['rounds']:.1f}"])
        print(
            f"{each['family']:22}{line}   {each['broken']} of {each['seeds']} ({each['broken_limit']:.3f})", flush=True
        )


def summarize(cells: list[Cell], results: measure.Results) -> None:
    """The figures with bounds.

    Args:
        cells: All of them.
        results: Gets the checks.
    """
    for delta in sorted({each["delta"] for each in cells}):
        limits = [each["broken_limit"] for each in cells if each["delta"] == delta]
        results.check(f"broken promises in the worst cell at delta {delta}, lower limit", max(limits), delta)
    ratios = [each["paired_calls"] / each["hindsight"] for each in cells]
    results.check("calls relative to stopping in hindsight, mean", float(np.mean(ratios)), HINDSIGHT_BOUND)
    compared = [each for each in cells if each["ratio"] is not None]
    if not compared:
        print("BARGAIN is not installed: pip install bargain==0.1.3")
        return
    worst = max(each["excess"] or 0.0 for each in compared)
    results.check(f"calls above {CELL_BOUND} times BARGAIN's in any cell, beyond two standard errors", worst, 0.0)
    for inputs in sorted({each["inputs"] for each in compared}):
        of_mean = [each["ratio"] or 0.0 for each in compared if each["inputs"] == inputs and each["target"] < 0.99]
        name = f"{inputs:,} inputs, targets 0.9 and 0.95: calls relative to BARGAIN's, mean"
        results.check(name, float(np.mean(of_mean)), MEAN_BOUNDS[inputs])


def is_bargain_installed() -> bool:
    """Whether BARGAIN can be compared with."""
    try:
        import BARGAIN  # noqa: F401
    except ImportError:
        return False
    return True


def measured_before(results: measure.Results) -> list[Cell]:
    """The cells of the last run, where only some are run again."""
    path = (measure.QUICK_RESULTS if results.quick else measure.RESULTS) / f"{results.benchmark}.json"
    cells: list[Cell] = json.loads(path.read_text())["cells"] if path.exists() else []
    return cells


def main() -> None:
    """Run the benchmark and write its results."""
    options = measure.parse_arguments(
        __doc__ or "",
        seeds={"type": int, "help": "tables in each cell"},
        cell_seconds={"type": float, "default": CELL_S, "help": "after these a cell begins no more tables"},
        inputs={"type": int, "choices": INPUTS, "help": "run only these cells again, and keep the others"},
        target={"type": float, "choices": TARGETS, "help": "run only these cells again, and keep the others"},
    )
    results = measure.Results("cascade", options.quick)
    has_bargain = is_bargain_installed()
    seeds = options.seeds or (QUICK_SEEDS if options.quick else SEEDS)
    groups = [
        (inputs, target, delta)
        for inputs in (INPUTS[:2] if options.quick else INPUTS)
        for target in TARGETS
        for delta in (DELTAS[:1] if options.quick else DELTAS)
    ]
    again = {group for group in groups if options.inputs in (None, group[0]) and options.target in (None, group[1])}
    before = [] if len(again) == len(groups) else measured_before(results)
    cells: list[Cell] = []
    for inputs, target, delta in groups:
        group = [each for each in before if (each["inputs"], each["target"], each["delta"]) == (inputs, target, delta)]
        if (inputs, target, delta) in again:
            group = [
                cell(each, inputs, target, delta, seeds, has_bargain=has_bargain, seconds=options.cell_seconds)
                for each in FAMILIES
            ]
            show(group)
        cells += group
    results.body["cells"] = cells
    print()
    summarize(cells, results)
    results.write()


if __name__ == "__main__":
    main()
