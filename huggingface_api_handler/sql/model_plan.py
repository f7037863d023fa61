"""What is to be asked of a model in FROM, found before anything is asked."""

from __future__ import annotations

from typing import NamedTuple

from .blocks import Relation
from .model_joins import ModelJoin
from .predictions import PredictionTable


class ModelPlan(NamedTuple):
    """What is to be asked of a model.

    Attributes:
        join: The model in FROM.
        table: Its predictions.
        expressions: Its inputs.
        source: What stands left of it.
        conditions: What the rows there must fulfil.
        needed: What the inputs come from: all that stands left of it, or one part of a product.
        needed_conditions: What the rows of ``needed`` must fulfil, so that the product has a row for them.
    """

    join: ModelJoin
    table: PredictionTable
    expressions: list[str]
    source: str
    conditions: list[str]
    needed: list[Relation]
    needed_conditions: list[str]
