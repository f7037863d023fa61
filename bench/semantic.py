"""9. Semantic queries: SemBench's ten film queries, and what each asks of the models, relative to the fewest inputs.

The queries run in DuckDB, without MindsDB, as ``huggingface-api-handler sql`` runs them. The models are on a service in
the same process that was told every label and counts what it is asked; nothing is stored between queries. Queries 1 and
2 stop at five reviews, so the fewest are those up to the fifth that fits, in the order of the table. For queries 5 and
6 the fewest are one label a review, which is more than ten pairs need. A round is one window of inputs whose answers
decide what is asked next. Beside them stands what four systems needed for the same queries with Gemini 2.5 Flash, as
SemBench published it; those seconds are a model's, ours are not.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
import unittest.mock
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import pandas as pd

from .baselines import review_text
from .film_reviews import FEW_POSITIVE_FILM, PAIRED_FILM, make_reviews, published, read_reviews, stars
from .labelled_service import LabelledService, Labels, running_labelled_service
from .measure import Results, parse_arguments, temporary_folder
from .semantic_quality import quality, with_local_models

if TYPE_CHECKING:
    from huggingface_api_handler.sql import Connection

FEWEST_FACTOR = 1.3
"""Of a query with a LIMIT: inputs, relative to the fewest, before twice the LIMIT is added."""
ROUNDS_BOUND = 6
SELECTIVE_ROUNDS_BOUND = 10
SELECTIVE_LIMIT = 20
SELECTIVITIES = {"10 %": 0.1, "1 %": 0.01, "0.1 %": 0.001}
SELECTIVE_ROWS = 40_000
"""So many that a share of 0.1 % is twice the LIMIT."""
SENTIMENT = "sentiment"
STARS = "stars"

Bound = Literal["distinct", "limit", "one a review"]


class Question(NamedTuple):
    """One query.

    Attributes:
        sql: What is run. A model reads the text of the table before it, or what its ON says.
        bound: How many inputs may be sent.
        film: The film whose reviews it reads. None: all.
        limit: Its LIMIT. 0: none.
    """

    sql: str
    bound: Bound
    film: str | None = None
    limit: int = 0


_PAIRS = f"""
    FROM reviews AS a JOIN sentiment AS x ON x.text = a.text
    JOIN reviews AS b ON b.review_id <> a.review_id JOIN sentiment AS y ON y.text = b.text
    WHERE a.movie = '{PAIRED_FILM}' AND b.movie = '{PAIRED_FILM}'"""

QUESTIONS = {
    "Q1": Question(
        "SELECT r.review_id FROM reviews AS r JOIN sentiment AS m WHERE m.sentiment = 'POSITIVE' LIMIT 5",
        "limit",
        limit=5,
    ),
    "Q2": Question(
        "SELECT r.review_id FROM reviews AS r JOIN sentiment AS m"
        f" WHERE r.movie = '{FEW_POSITIVE_FILM}' AND m.sentiment = 'POSITIVE' LIMIT 5",
        "limit",
        FEW_POSITIVE_FILM,
        limit=5,
    ),
    "Q3": Question(
        "SELECT count(*) FROM reviews AS r JOIN sentiment AS m"
        f" WHERE r.movie = '{FEW_POSITIVE_FILM}' AND m.sentiment = 'POSITIVE'",
        "distinct",
        FEW_POSITIVE_FILM,
    ),
    "Q4": Question(
        "SELECT count(*) FILTER (m.sentiment = 'POSITIVE') / count(*) FROM reviews AS r JOIN sentiment AS m"
        f" WHERE r.movie = '{FEW_POSITIVE_FILM}'",
        "distinct",
        FEW_POSITIVE_FILM,
    ),
    "Q5": Question(
        f"SELECT a.review_id, b.review_id {_PAIRS} AND x.sentiment = y.sentiment LIMIT 10",
        "one a review",
        PAIRED_FILM,
        limit=10,
    ),
    "Q6": Question(
        f"SELECT a.review_id, b.review_id {_PAIRS} AND x.sentiment <> y.sentiment LIMIT 10",
        "one a review",
        PAIRED_FILM,
        limit=10,
    ),
    "Q7": Question(
        f"SELECT a.review_id, b.review_id {_PAIRS} AND x.sentiment <> y.sentiment",
        "distinct",
        PAIRED_FILM,
    ),
    "Q8": Question(
        "SELECT m.sentiment, count(*) FROM reviews AS r JOIN sentiment AS m"
        f" WHERE r.movie = '{FEW_POSITIVE_FILM}' GROUP BY m.sentiment",
        "distinct",
        FEW_POSITIVE_FILM,
    ),
    "Q9": Question(
        f"SELECT r.review_id, m.stars::DOUBLE FROM reviews AS r JOIN stars AS m WHERE r.movie = '{PAIRED_FILM}'",
        "distinct",
        PAIRED_FILM,
    ),
    "Q10": Question(
        "SELECT r.movie, avg(m.stars::DOUBLE) FROM reviews AS r JOIN stars AS m GROUP BY r.movie", "distinct"
    ),
}

_MODEL = re.compile(r"\bJOIN (sentiment|stars) AS (\w+)(?: ON \w+\.text = (\w+\.text))?")


def over_truth(sql: str) -> str:
    """The same query without models: each is a look-up in the table ``told_<model>`` of texts and labels."""

    def look_up(found: re.Match[str]) -> str:
        model, alias, text = found[1], found[2], found[3] or "r.text"
        table = f"SELECT label AS {model} FROM told_{model} AS told WHERE told.text IS NOT DISTINCT FROM {text}"
        return f"LEFT JOIN LATERAL ({table}) AS {alias} ON true"

    return _MODEL.sub(look_up, sql)


def truth(reviews: pd.DataFrame) -> Labels:
    """What the service is told: by model, the label of each text. Scores are whole stars.

    Args:
        reviews: Their columns are ``film_reviews.COLUMNS``.
    """
    kept = reviews[~_is_empty(reviews["text"])]
    given = [stars(score) for score in kept["original_score"]]
    whole = [
        str(round(score)) if score is not None else "4" if label == "POSITIVE" else "2"
        for score, label in zip(given, kept["sentiment"], strict=True)
    ]
    return {
        SENTIMENT: dict(zip(kept["text"], kept["sentiment"], strict=True)),
        STARS: dict(zip(kept["text"], whole, strict=True)),
    }


def _is_empty(texts: pd.Series[str]) -> pd.Series[bool]:
    return texts.isna() | (texts.str.strip() == "")


def distinct_inputs(reviews: pd.DataFrame, film: str | None) -> list[str]:
    """The texts of a film, each once and in the order of the table, without those that are empty."""
    texts = reviews["text"] if film is None else reviews["text"][reviews["movie"] == film]
    return list(dict.fromkeys(texts[~_is_empty(texts)]))


def fewest_until(inputs: list[str], labels: dict[str, str], rows: Counter[str], limit: int) -> int:
    """How many inputs must be asked about, in their order, until as many rows are positive as are wanted.

    Args:
        inputs: Distinct texts in the order of the table.
        labels: Their labels.
        rows: How many rows have each text.
        limit: How many rows are wanted.

    Returns:
        The number of inputs; all of them where there are not so many rows.
    """
    found = 0
    for asked, text in enumerate(inputs, start=1):
        found += rows[text] if labels[text] == "POSITIVE" else 0
        if found >= limit:
            return asked
    return len(inputs)


@contextlib.contextmanager
def connected(endpoints: dict[str, str], cache_dir: str) -> Iterator[Connection]:
    """Connect to a database in memory with a model at each endpoint.

    Args:
        endpoints: By the model's name, which is that of its prediction too.
        cache_dir: Where answers are stored.
    """
    from huggingface_api_handler.inference.storage.open_stores import close_stores
    from huggingface_api_handler.sql import connect

    with contextlib.ExitStack() as stack:
        stack.callback(close_stores)  # the folder is about to go
        connection = stack.enter_context(connect())
        for model, endpoint in endpoints.items():
            connection.sql(
                f"CREATE ML_ENGINE {model}_engine FROM huggingface_api"
                f" USING endpoint = '{endpoint}', cache_dir = '{cache_dir}'"
            )
            connection.sql(
                f"CREATE MODEL {model} PREDICT {model}"
                f" USING task = 'text-classification', column = 'text', engine = '{model}_engine'"
            )
        yield connection


def load(connection: Connection, reviews: pd.DataFrame, labels: Labels) -> None:
    """Make the tables ``reviews`` and ``told_<model>``."""
    tables = {"reviews": reviews}
    for model, told in labels.items():
        tables[f"told_{model}"] = pd.DataFrame({"text": told.keys(), "label": told.values()}, dtype="str")
    for name, frame in tables.items():
        connection.duckdb.register("bench_frame", frame)
        connection.duckdb.execute(f"CREATE TABLE {name} AS SELECT * FROM bench_frame")
        connection.duckdb.unregister("bench_frame")


class Run(NamedTuple):
    """What a query asked and took. ``wrong`` are rows that plain DuckDB does not give over the same labels."""

    inputs: int
    requests: int
    rounds: int
    seconds: float
    wrong: int


def run(service: LabelledService, reviews: pd.DataFrame, sql: str, limit: int) -> Run:
    """Run a query on a new connection without stored answers, and compare its rows with those over the labels.

    Args:
        service: The service. Its counts are reset.
        reviews: The table ``reviews``.
        sql: The query.
        limit: Its LIMIT, or 0.
    """
    endpoints = {model: f"{service.url}/{model}" for model in service.labels}
    with temporary_folder() as folder, connected(endpoints, folder) as connection:
        load(connection, reviews, service.labels)
        service.reset()
        with counted_rounds() as windows:
            started = time.monotonic()
            rows = Counter(connection.sql(sql).fetchall())
            seconds = time.monotonic() - started
        everything = over_truth(re.sub(r"LIMIT \d+$", "", sql))
        expected = Counter(connection.duckdb.execute(everything).fetchall())
    wrong = (rows - expected).total()
    wrong += abs(min(limit, expected.total()) - rows.total()) if limit else (expected - rows).total()
    return Run(service.sent(), service.requests.total(), max(1, len(windows)), seconds, wrong)


@contextlib.contextmanager
def counted_rounds() -> Iterator[list[int]]:
    """Collect the windows of candidates in which statements with a LIMIT ask models in the block."""
    from huggingface_api_handler.sql import limit_windows, windowed_block

    windows: list[int] = []

    def counted(*state: int) -> int:
        windows.append(next_window(*state))
        return windows[-1]

    next_window = limit_windows.next_window
    with unittest.mock.patch.object(windowed_block, "next_window", counted):
        yield windows


class Bounds(NamedTuple):
    """How many inputs and rounds a query may take. None: any number."""

    inputs: float | None = None
    rounds: int | None = None


def record(results: Results, name: str, distinct: int, fewest: int, done: Run, bounds: Bounds) -> None:
    """Store a query and check it.

    Args:
        results: Where it is stored.
        name: The query's name.
        distinct: How many inputs it reads, each counted once and without those that are empty.
        fewest: How many would do.
        done: Its run.
        bounds: How many it may take.
    """
    results.body["cases"][name] = {"distinct": distinct, "fewest": fewest, **done._asdict()}
    results.check(f"{name}: distinct inputs", distinct, None)
    results.check(f"{name}: fewest inputs", fewest, None)
    results.check(f"{name}: inputs sent", done.inputs, bounds.inputs)
    results.check(f"{name}: requests", done.requests, None)
    results.check(f"{name}: rounds", done.rounds, bounds.rounds)
    results.check(f"{name}: rows wrong or missing", done.wrong, 0)
    results.check(f"{name}: seconds", done.seconds, None)


def check_question(
    results: Results, service: LabelledService, reviews: pd.DataFrame, name: str, question: Question
) -> None:
    """Run one of the ten queries, store what it asked and check it.

    Args:
        results: Where it is stored.
        service: The service.
        reviews: The table.
        name: The query's name.
        question: The query.
    """
    inputs = distinct_inputs(reviews, question.film)
    fewest = len(inputs)
    bound: float = fewest
    if question.bound == "limit":
        scope = reviews if question.film is None else reviews[reviews["movie"] == question.film]
        fewest = fewest_until(inputs, dict(service.labels[SENTIMENT]), Counter(scope["text"]), question.limit)
        bound = FEWEST_FACTOR * fewest + 2 * question.limit
    done = run(service, reviews, question.sql, question.limit)
    bounds = Bounds(bound, ROUNDS_BOUND if question.bound == "limit" else None)
    record(results, name, len(inputs), fewest, done, bounds)


def selective_reviews(selectivity: float, rows: int, seed: int = 0) -> pd.DataFrame:
    """A table of which a share is positive, anywhere in it.

    Args:
        selectivity: That share.
        rows: How many rows, all of which differ.
        seed: Another one has other texts.
    """
    positive = round(rows * selectivity)
    labels = pd.Series(["POSITIVE"] * positive + ["NEGATIVE"] * (rows - positive), dtype="str")
    return pd.DataFrame(
        {
            "review_id": range(rows),
            "text": [review_text(seed, number) for number in range(rows)],
            "sentiment": labels.sample(frac=1, random_state=seed).to_list(),
        }
    )


def check_selectivity(results: Results, name: str, rows: int = SELECTIVE_ROWS) -> None:
    """Run a query with a LIMIT on a table of which few rows fit, and check its rounds.

    Args:
        results: Where it is stored.
        name: A key of ``SELECTIVITIES``.
        rows: Of the table.
    """
    reviews = selective_reviews(SELECTIVITIES[name], rows)
    labels = {SENTIMENT: dict(zip(reviews["text"], reviews["sentiment"], strict=True))}
    inputs = list(reviews["text"])
    fewest = fewest_until(inputs, labels[SENTIMENT], Counter(inputs), SELECTIVE_LIMIT)
    question = QUESTIONS["Q1"].sql.replace("LIMIT 5", f"LIMIT {SELECTIVE_LIMIT}")
    with running_labelled_service(labels) as service:
        done = run(service, reviews, question, SELECTIVE_LIMIT)
    bounds = Bounds(rounds=SELECTIVE_ROUNDS_BOUND)
    record(results, f"LIMIT {SELECTIVE_LIMIT} at {name}", rows, fewest, done, bounds)


def check_local_models(results: Results, reviews: pd.DataFrame) -> dict[str, float]:
    """Run the ten queries with the models of the local server, and store how good the answers are.

    Args:
        results: Where it is stored.
        reviews: The table.

    Returns:
        The quality of each query.
    """
    with temporary_folder() as folder, connected({SENTIMENT: "local"}, folder) as connection:
        load(connection, reviews, truth(reviews))
        started = time.monotonic()
        found = {
            name: quality(connection, reviews, name, over_truth(question.sql), with_local_models(question.sql))
            for name, question in QUESTIONS.items()
        }
        results.body["local"] = {"quality": found, "seconds": time.monotonic() - started}
    return found


def add_table(results: Results, local: dict[str, float]) -> None:
    """Store the table of what others needed beside what ours asked.

    Args:
        results: Where it is stored.
        local: The quality of each query with local models; may be empty.
    """
    systems = list(published()["Q1"])
    rows = []
    for name, paid in published().items():
        cells = [
            f"{one.seconds:g} s, ${one.dollars:g}, {one.quality:g}" if (one := paid.get(system)) else "failed"
            for system in systems
        ]
        ours = results.body["cases"][name]
        rows.append(
            [name, f"{ours['inputs']:,} in {ours['requests']:,}", f"{local[name]:.2f}" if name in local else "", *cells]
        )
    text = (
        "Seconds, dollars and quality as SemBench published them. Quality is F1 (Q1, Q2, Q5 to Q7), 1 minus the "
        "relative error (Q3, Q4, Q8) or Spearman's correlation with the scores that reviewers gave (Q9, Q10). That of "
        "the local models, which are small and cost nothing, is measured on the same reviews where they are at hand."
    )
    columns = ["", "ours: inputs in requests", "local models: quality", *systems]
    results.body["tables"] = [{"text": text, "columns": columns, "rows": rows}]


def check_all(results: Results, reviews: pd.DataFrame) -> None:
    """Run everything that needs no real model.

    Args:
        results: Where it is stored.
        reviews: The table of the ten queries.
    """
    results.body["cases"] = {}
    with running_labelled_service(truth(reviews)) as service:
        for name, question in QUESTIONS.items():
            check_question(results, service, reviews, name, question)
    for name in SELECTIVITIES:
        check_selectivity(results, name)


def main() -> None:
    """Run the benchmark, write its results, and exit with 1 where a bound does not hold."""
    options = parse_arguments(
        __doc__ or "",
        data={
            "type": Path,
            "help": "a folder with reviews.csv (movie, review_id, text, original_score, sentiment) of SemBench's film "
            "scenario, from https://github.com/SemBench/SemBench; default: a like table that is made here",
        },
        local={"action": "store_true", "help": "also the quality with the models of the local server, on --data"},
    )
    if options.local and options.data is None:
        raise SystemExit("The quality of real models needs real reviews: name their folder with --data.")
    reviews = make_reviews() if options.data is None else read_reviews(options.data)
    results = Results("semantic", options.quick)
    results.body["data"] = "made here, with a seed" if options.data is None else "SemBench's reviews"
    check_all(results, reviews)
    add_table(results, check_local_models(results, reviews) if options.local else {})
    results.write()
    sys.exit(any(check["passed"] is False for check in results.checks))


if __name__ == "__main__":
    main()
