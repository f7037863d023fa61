"""Predictions beside the columns of a table."""

from __future__ import annotations

import pytest

from huggingface_api_handler.distributed.columns import refuse_taken_names
from huggingface_api_handler.distributed.job import Job
from huggingface_api_handler.errors import InputError

USING = {"task": "text-classification", "column": "text", "target": "mood"}


@pytest.mark.parametrize("taken", ["mood", "MOOD", "Mood_Error"])
def test_a_column_of_the_table_is_not_hidden_by_one_of_the_predictions(taken: str) -> None:
    job = Job.of(USING, None, ["text", taken])
    with pytest.raises(InputError, match=f"has a column '{taken}' already.*Choose another target"):
        refuse_taken_names(job, ["text", taken])


def test_columns_that_are_only_alike_are_no_obstacle() -> None:
    refuse_taken_names(Job.of(USING, None, ["text", "moods"]), ["text", "moods", "error"])
