"""12. The learned proxy on film reviews: how often the large model is asked. No request is sent.

Run it with ``python -m bench.learned_cascade --data FOLDER``, where FOLDER has the ``reviews.csv`` of SemBench's film
scenario. The inputs are its distinct reviews, one row each. What the large model says is their true sentiment. Vectors
are those of all-MiniLM-L6-v2. Calls are in shares of the inputs, labels to train counted. BARGAIN is the package
``bargain`` 0.1.3 with the same learned proxy, training labels and allowance. The majority label is our certificate
where the proxy is the commonest of the first random labels.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np

from huggingface_api_handler.inference.cascade.draws import Ints
from huggingface_api_handler.inference.cascade.learner import LearnedProxy, Learner
from huggingface_api_handler.inference.cascade.vectors import Vectors

from . import cascade, float_minilm, measure
from .cascade_tables import Table
from .film_reviews import read_reviews

TARGET = 0.9
CONFIDENCE = 0.9
SEEDS = 200
QUICK_SEEDS = 4
CALLS_BOUND = 0.5
FIRST_SEED = 5_000_000
"""When to stop training was tuned on other texts and seeds.

That vectors are tried by log loss was prompted by 35 of these seeds.
"""


class Reviews(NamedTuple):
    """Distinct inputs.

    Attributes:
        vectors: A row for each.
        labels: 1 where it is positive, else 0.
    """

    vectors: Vectors
    labels: Ints


class Run(TypedDict):
    """One seed. Calls are of all inputs, with the labels to train where there are any."""

    trained: int
    vectors: int
    errors: int
    calls: int
    rounds: int
    broken: bool
    majority: int
    majority_broken: bool
    threshold: int
    bargain: int | None


def load(folder: Path) -> Reviews:
    """The distinct reviews.

    Args:
        folder: It has ``reviews.csv``.
    """
    distinct = read_reviews(folder).drop_duplicates("text")
    labels = (distinct["sentiment"] == "POSITIVE").to_numpy().astype(np.int64)
    return Reviews(float_minilm.encode(distinct["text"].tolist()), labels)


def learn(reviews: Reviews, seed: bytes) -> tuple[LearnedProxy, int]:
    """Learn a proxy.

    Args:
        reviews: The inputs.
        seed: Of the labels that are asked at random.

    Returns:
        The proxy, and how many vectors it took.
    """
    nothing = np.zeros(0, dtype=np.int64)
    learner = Learner(np.ones(len(reviews.labels), dtype=np.int64), TARGET, seed, nothing, nothing)
    bought = 0
    while not learner.is_frozen:
        wanted, asked = learner.next_vectors(), learner.next_labels()
        if len(asked):
            learner.record(reviews.labels[asked])
        if len(wanted):
            learner.hand_over(reviews.vectors[wanted])
            bought += len(wanted)
    return learner.result(), bought


def majority_table(reviews: Reviews, seed: bytes) -> Table:
    """Without vectors: the commonest of the first labels at random, for all the others.

    Args:
        reviews: The inputs.
        seed: The first labels are those that the learner asks.
    """
    nothing = np.zeros(0, dtype=np.int64)
    first = Learner(np.ones(len(reviews.labels), dtype=np.int64), TARGET, seed, nothing, nothing).next_labels()
    others = np.setdiff1d(np.arange(len(reviews.labels)), first)
    wrong = reviews.labels[others] != np.bincount(reviews.labels[first]).argmax()
    return Table(np.zeros(len(others)), np.ones(len(others), dtype=np.int64), wrong, len(first))


def run(reviews: Reviews, number: int, *, has_bargain: bool) -> Run:
    """One seed of all methods.

    Args:
        reviews: The inputs.
        number: Of the seed.
        has_bargain: Whether it is installed.
    """
    seed = f"bench.learned_cascade {number}".encode()
    proxy, vectors = learn(reviews, seed)
    open_ = proxy.open
    wrong = proxy.labels[open_] != reviews.labels[open_]
    table = Table(proxy.scores[open_], np.ones(len(open_), dtype=np.int64), wrong, proxy.asked_rows)
    ours = cascade.run(table, TARGET, 1 - CONFIDENCE, seed)
    by_majority = majority_table(reviews, seed)
    majority = cascade.run(by_majority, TARGET, 1 - CONFIDENCE, seed)
    theirs = None
    if has_bargain:
        of_the_others = 1 - table.spare(TARGET) / len(open_)
        theirs = proxy.asked_rows + cascade.bargain(table, of_the_others, 1 - CONFIDENCE, number)
    return {
        "trained": proxy.asked_rows,
        "vectors": vectors,
        "errors": int(wrong.sum()),
        "calls": proxy.asked_rows + ours.calls,
        "rounds": ours.rounds,
        "broken": ours.broken,
        "majority": by_majority.asked_rows + majority.calls,
        "majority_broken": majority.broken,
        "threshold": proxy.asked_rows + cascade.best_threshold(table, TARGET),
        "bargain": theirs,
    }


def summarize(runs: list[Run], inputs: int, results: measure.Results) -> None:
    """The figures with bounds.

    Args:
        runs: One for each seed.
        inputs: How many there are.
        results: Gets the checks.
    """
    calls = np.array([each["calls"] for each in runs]) / inputs
    error = calls.std(ddof=1) / math.sqrt(len(calls))
    print(f"{len(runs)} seeds, {inputs:,} inputs, target {TARGET}, confidence {CONFIDENCE}")
    print(f"calls {calls.mean():.3f}, standard error {error:.3f}, from {calls.min():.3f} to {calls.max():.3f}")
    means = {
        "labels to train": [each["trained"] for each in runs],
        "wrong labels of the proxy": [each["errors"] for each in runs],
        "calls of the majority label": [each["majority"] for each in runs],
        "calls of the best threshold": [each["threshold"] for each in runs],
        "calls of BARGAIN": [each["bargain"] for each in runs if each["bargain"] is not None],
    }
    for name, values in means.items():
        if values:
            print(f"{name} {np.mean(values) / inputs:.3f}")
    print(f"rounds after training {np.mean([each['rounds'] for each in runs]):.1f}")
    broken = sum(each["broken"] for each in runs)
    print(f"broken {broken} of {len(runs)}")
    results.check("calls, share of the inputs, mean", float(calls.mean()), CALLS_BOUND)
    limit = cascade.lower_limit(broken, len(runs))
    results.check("broken promises, lower limit", limit, 1 - CONFIDENCE)
    others = {"the majority label": [each["majority"] for each in runs]}
    if runs[0]["bargain"] is not None:
        others["BARGAIN"] = [each["bargain"] or 0 for each in runs]
    for name, theirs in others.items():
        differences = calls - np.array(theirs) / inputs
        above = differences.mean() + 2 * differences.std(ddof=1) / math.sqrt(len(runs))
        results.check(f"calls less those of {name}, plus two paired standard errors", float(above), 0.0)


def main() -> None:
    """Run the benchmark and write its results."""
    options = measure.parse_arguments(
        __doc__ or "",
        data={"type": Path, "required": True, "help": "folder with SemBench's reviews.csv"},
        seeds={"type": int, "help": "how many"},
    )
    results = measure.Results("learned_cascade", options.quick)
    has_bargain = cascade.is_bargain_installed()
    if not has_bargain:
        print("BARGAIN is not installed: pip install bargain==0.1.3")
    reviews = load(options.data)
    seeds = options.seeds or (QUICK_SEEDS if options.quick else SEEDS)
    runs = [run(reviews, number, has_bargain=has_bargain) for number in range(FIRST_SEED, FIRST_SEED + seeds)]
    results.body["inputs"] = len(reviews.labels)
    results.body["runs"] = runs
    summarize(runs, len(reviews.labels), results)
    results.write()


if __name__ == "__main__":
    main()
