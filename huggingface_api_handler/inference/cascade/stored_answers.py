"""Which answers of the large model are stored before a cascade begins: these are right, and are not drawn."""

from __future__ import annotations

import numpy as np

from ...config.settings import ModelSettings
from ..runtime.chunked_text import is_plan
from ..runtime.context import Query
from ..runtime.dry_run import find_stored
from ..storage.response_cache import NoResponseCache
from .draws import Mask
from .input_table import InputTable, is_input


def stored_answers(query: Query, table: InputTable, model: ModelSettings) -> Mask:
    """Which inputs have a stored answer of the large model.

    Args:
        query: Of the large model.
        table: The inputs.
        model: How it reads them.

    Returns:
        True for each that has. Answers to media are not looked for.
    """
    is_stored = np.zeros(len(table), dtype=bool)
    if isinstance(query.answers, NoResponseCache):
        return is_stored
    for indexes, items in table.pieces(np.arange(len(table)), model):
        inputs = [item for item in items if is_input(item)]
        found = query.session.http.submit(find_stored(query, inputs)).result()
        is_stored[indexes] = [item in found and not is_plan(found[item]) for item in inputs]
        if query.answers.is_known_empty:
            break
    return is_stored
