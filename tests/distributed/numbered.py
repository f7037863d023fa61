"""A cascade over numbered texts, asked of both models of ``AgreeingModels`` by the workers of an engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from huggingface_api_handler.distributed.job_usage import JobUsage
from tests.conftest import Service
from tests.support.agreeing_models import AgreeingModels

ROWS = 1200
CONFIDENCE = 0.9999
USING = {"task": "text-classification", "model": "large", "column": "text", "target": "mood"}
COLUMNS = ["mood", "mood_confidence", "mood_explain", "mood_model", "mood_error"]
NEAR_KEY = "hf_nearKey1234567890"
FAR_KEY = "hf_farKey12345678901"


def cascade(**more: Any) -> dict[str, Any]:
    """The arguments, so confident that no run of the tests meets the table for which the promise is broken."""
    return {**USING, "cascade": {"model": "small", "accuracy": 0.9, "confidence": CONFIDENCE, **more}}


def numbered(rows: int = ROWS) -> pd.DataFrame:
    """A table of different texts."""
    return pd.DataFrame({"text": [f"text {number}" for number in range(rows)], "note": "unread"})


def check_answers(models: AgreeingModels, rows: Sequence[Mapping[Any, Any]]) -> Counter[str]:
    """Each row shows what one of both models says, and as many as promised what the large one says.

    Args:
        models: Both, which have counted what they were asked.
        rows: Predictions in the order of the table.

    Returns:
        The rows by who answered them.
    """
    for number, row in enumerate(rows):
        is_large = row["mood_model"] == "large"
        shown = row["mood"], row["mood_confidence"]
        assert shown == ((AgreeingModels.truth(number), 0.9) if is_large else models.guess(number))
    right = sum(row["mood"] == AgreeingModels.truth(number) for number, row in enumerate(rows))
    assert right >= 0.9 * len(rows)
    by = Counter(str(row["mood_model"]) for row in rows)
    assert set(by) <= {"large", "small"}
    assert by["large"] == len(models.asked["large"])
    return by


def check_usage(total: JobUsage, models: AgreeingModels, service: Service, parts: int) -> dict[str, Any]:
    """The sum of all workers has both models, and says in how many parts was certified.

    Args:
        total: Of the job.
        models: Both, which have counted what they were asked.
        service: Has counted the requests.
        parts: Of the table.

    Returns:
        What the usage says of the cascade.
    """
    usage: dict[str, Any] = total.as_dict()
    posted = Counter(path.rpartition("/")[2] for path in service.paths)
    receipt: dict[str, Any] = usage["cascade"]
    assert usage["requests"] == posted["large"] + posted["small"]
    assert receipt["proxy_requests"] == posted["small"]
    assert usage["rows"] == usage["answered"] == receipt["rows"]
    assert receipt["parts"] + receipt["straight_parts"] == usage["queries"] == parts
    assert receipt["asked_inputs"] == len(models.asked["large"])
    assert receipt["proxy_asked_inputs"] == len(models.asked["small"])
    assert receipt["proxy_rows"] == receipt["rows"] - receipt["asked_inputs"]
    return receipt
