"""7. Long texts: requests where one row in ten is too long for the model, relative to the fewest.

The rows are real prose of 8 to 512 tokens and, one in ten, up to 20 times as long. The service counts tokens as BERT's
tokenizer does and takes 512, in lists of 32. It rejects a list of which one text is longer. The fewest requests are
those of a client that has the tokenizer, knows the length and cuts the same texts in the same way. Ours has neither:
each case says what the service tells of its length. Every answer is checked: that of a long row must be the mean of
those to its parts, and the parts must hold all of its words. Then the same query again must send nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypedDict

from . import measure
from .baselines import SCORE_TOLERANCE, ClientScores, Job, engine_arguments
from .prose import MAX_TOKENS, SPECIAL_TOKENS, prose, token_counter
from .service import Plan, score

if TYPE_CHECKING:
    import pandas as pd

ROWS = 100_000
QUICK_ROWS = 5_000
BATCH_SIZE = 32
MAX_CHUNKS = 100
"""More than any row has parts."""
REQUESTS_BOUND = 1.15
PLAN = Plan(latency=0.02, capacity=32, queue=256, largest_batch=BATCH_SIZE, max_tokens=MAX_TOKENS)
CASES = {
    "told at /info": replace(PLAN, tells_length="all"),
    "told when refused": replace(PLAN, tells_length="refused"),
    "not told": PLAN,
    "told at /info, and each answer tells its tokens": replace(PLAN, tells_length="all", counts_tokens=True),
}
"""By the name in the results: how the service behaves."""


class Run(TypedDict):
    """One query of ours: requests that the service received, and rejections by HTTP status.

    ``long_texts`` are rows that were asked in ``parts``.
    """

    requests: int
    refused: dict[str, int]
    long_texts: int
    parts: int
    seconds: float
    cpu_us_per_row: float


def ours(job: Job, inputs: list[str]) -> Callable[[], ClientScores]:
    """This package's ``predict``, on texts of which some are too long. Nothing of their length is configured."""
    import pandas as pd

    from huggingface_api_handler.inference import predict

    using = {
        "task": "text-classification",
        "column": "input",
        "model": "bench/model",
        "target": "y",
        "max_chunks": MAX_CHUNKS,
    }
    out = predict(pd.DataFrame({"input": inputs}), using, engine_arguments(job))
    return lambda: _checked(inputs, out)


def _checked(inputs: list[str], out: pd.DataFrame) -> ClientScores:
    """The score of each whole text, where its answer is right by the scores of its parts; 2 where it is wrong."""
    scores: list[float | None] = []
    for text, label, explain in zip(inputs, out["y"], out["y_explain"], strict=True):
        if explain is None:
            scores.append(None)
        elif "parts" in explain:
            scores.append(score(text) if _is_right(text, label, explain) else 2.0)
        else:
            scores.append(explain["POSITIVE"])
    errors = out["y_error"].dropna()
    first_error = str(errors.iloc[0])[:300] if len(errors) else None
    return ClientScores(scores, {**out.attrs["usage"], "first_error": first_error})


def _is_right(text: str, label: str, explain: dict[str, Any]) -> bool:
    """Whether the parts of a row hold all of its words once, and its scores are the mean of theirs."""
    spans = [(part["start"], part["end"]) for part in explain["parts"]]
    ends = [0, *(end for _, end in spans)]
    left_out = [text[end:start] for end, (start, _) in zip(ends, spans, strict=False)] + [text[ends[-1] :]]
    if "left_out" in explain or any(blank.strip() for blank in left_out):
        return False
    lengths = [end - start for start, end in spans]
    weighted = (score(text[start:end]) * length for (start, end), length in zip(spans, lengths, strict=True))
    positive = sum(weighted) / sum(lengths)
    best = "POSITIVE" if positive >= 0.5 else "NEGATIVE"
    return abs(explain["POSITIVE"] - positive) <= SCORE_TOLERANCE and label == best


@cache
def fewest_requests(rows: int) -> int:
    """The requests of a client that counts as the service does and knows its length.

    Args:
        rows: How many rows.

    Returns:
        Requests of ``BATCH_SIZE`` inputs, for the texts that are short enough and the parts of the others.
    """
    from huggingface_api_handler.tasks.text_windows import windows

    count, room = token_counter(), MAX_TOKENS - SPECIAL_TOKENS
    inputs = sum(1 if count(text) <= room else len(windows(text, room, count)) for text in prose(0, rows))
    return math.ceil(inputs / BATCH_SIZE)


def run(service: measure.RemoteService, job: Job) -> Run:
    """Run ours once.

    Args:
        service: The service.
        job: What to predict.

    Raises:
        RuntimeError: A row has a wrong answer, or none.
    """
    before = service.stats()
    result = measure.run_client("long_texts:ours", job)
    result.raise_if_incomplete("ours")
    stats = service.stats()
    return {
        "requests": stats["requests"] - before["requests"],
        "refused": {status: stats["refused"][status] - before["refused"].get(status, 0) for status in stats["refused"]},
        "long_texts": result.usage["long_texts"],
        "parts": result.usage["parts"],
        "seconds": result.seconds,
        "cpu_us_per_row": result.cpu_seconds / job.rows * 1e6,
    }


def main() -> None:
    """Run the benchmark and write its results."""
    options = measure.parse_arguments(
        __doc__ or "",
        rows={"type": int, "help": "how many rows"},
        case={"choices": list(CASES), "help": "the one case to run; nothing is stored"},
    )
    results = measure.Results("long_texts", options.quick)
    rows = options.rows or (QUICK_ROWS if options.quick else ROWS)
    fewest = fewest_requests(rows)
    with measure.running_service() as service:
        results.body.update(service=measure.service_throughput(service, min(rows, 20_000)), cases={}, rows=rows)
        for name in [options.case] if options.case else CASES:
            service.set_plan(CASES[name])
            with measure.temporary_folder() as folder:
                job = Job(service.url, rows, kind="prose", folder=folder)
                first = run(service, job)
                rerun = run(service, job)
            ratio = first["requests"] / fewest
            results.body["cases"][name] = {**first, "ratio": ratio, "minimum_requests": fewest, "rerun": rerun}
            results.check(f"{name}: requests, relative to the fewest", ratio, REQUESTS_BOUND)
            results.check(f"{name}: of these refused", sum(first["refused"].values()), None)
            results.check(f"{name}: requests of a rerun", rerun["requests"], 0)
    if not options.case:
        results.write()


if __name__ == "__main__":
    main()
