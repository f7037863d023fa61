"""Which model is good enough for a task, and what it costs: several models asked about the same rows.

>>> import pandas as pd
>>> from huggingface_api_handler import compare
>>> reviews = pd.DataFrame({"text": ["I love you.", "I hate you."], "mood": ["POSITIVE", "NEGATIVE"]})
>>> compare(reviews, column="txet", models=["a/b", "a/c"], task="text-classification")
Traceback (most recent call last):
    ...
huggingface_api_handler.errors.InputError: the table has no column 'txet'; did you mean 'text'?
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..config.normalize import Using
from ..inference.runtime.progress import ModelProgress
from ..inference.runtime.session import Session
from .candidates import GivenModel
from .comparison import Comparison
from .labels import GivenLabels


def compare(
    df: pd.DataFrame,
    *,
    models: Sequence[GivenModel],
    column: str | None = None,
    task: str | None = None,
    truth: str | None = None,
    labels: GivenLabels = None,
    sample: int | None = 200,
    seed: str = "",
    using: Using | None = None,
    engine: Using | None = None,
    session: Session | None = None,
    progress: ModelProgress | None = None,
) -> pd.DataFrame:
    """Ask several models about the same sample of a table, and measure how good, how dear and how fast they are.

    Answers are stored, those of generation too, so that the same models ask no more for these rows: neither here again,
    nor in ``predict`` with the same arguments (and ``cache=True``, where the task generates).

    Args:
        df: The table.
        models: Names of models, such as ``'owner/name'`` or ``'owner/name:cheapest'``; or for each the arguments of
            CREATE MODEL as a map, with ``name`` for its row. The first is what the others are compared with.
        column: The column that is read. Rows that differ in it alone differ; None where ``using`` names what is read.
        task: What the models do. None for the own task of each, as the Hub says it; of a model for chat, where there
            are labels, the task that chooses one of them.
        truth: A column with the right label of each row; None where there is none, so that models are only compared
            with each other.
        labels: The labels, or a map from each to what models or the truth call it:
            ``{"positive": ["LABEL_1", "pos"], "negative": "LABEL_0"}``. Case makes no difference. Tasks that are told
            their labels are told these, or those of the truth.
        sample: How many rows are asked about, drawn by a hash of what ``column`` holds: the same ones each time. None
            for all.
        seed: Another text draws another sample.
        using: More arguments for all models.
        engine: As for ``inference.predict``.
        session: As for ``inference.predict``.
        progress: Is called with a model's name, how many of its inputs are done, and how many there are; and with
            ``phase`` as for ``inference.predict``.

    Returns:
        A row for each model.

        ``accuracy`` and ``f1`` (macro) against the truth, ``agreement`` with the first model, and
        ``majority_agreement`` with what most of the other models say: each in [0, 1], with the ends of its 95 %
        interval behind it (``accuracy_low``, ``accuracy_high``), and NaN where there is nothing to measure. They are
        over the rows ``answered``; ``failed`` counts the others, and ``errors`` by kind.

        ``usd`` and ``seconds`` are of this run, and of 1,000 different inputs that were asked (``usd_per_1000``,
        ``seconds_per_1000``): NaN where that is unknown, as where all answers were ``stored``. ``note`` says why a
        model did not answer.

        ``attrs["comparison"]`` has the ``reference``, the positions of the rows (``sample``), the ``labels`` of each
        model for them, and how often each two models agree (``pairwise``).

    Raises:
        InputError: An argument or the table cannot be used. Nothing was asked. What only one model cannot do is said
            in its row.
    """
    try:
        comparison = Comparison.of(
            df,
            models=models,
            column=column,
            task=task,
            truth=truth,
            labels=labels,
            sample=sample,
            seed=seed,
            using=using,
            engine=engine,
            session=session,
        )
    finally:
        del engine
    return comparison.run(progress)


__all__ = ["Comparison", "compare"]
