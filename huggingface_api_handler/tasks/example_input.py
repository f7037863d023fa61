"""An input as a row of a model's table would make it, to see before the first query what a server can be asked."""

from __future__ import annotations

from .base import Settings, Task
from .input_types import Input, InvalidCell, Media, media_in, with_media
from .inputs import read_inputs
from .prompts import template_columns

_TEXT = "text"
_CELLS: dict[str, object] = {
    "labels": "first,second",
    "messages": '[{"role": "user", "content": "text"}]',
    "table": '{"name": ["text"]}',
    "image": b"image",
    "audio": b"audio",
    "video": b"video",
}
"""Cells by the data type of their column. Any other holds a text."""

_CONTENT_TYPES = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4"}


def example_input(task: Task, settings: Settings) -> Input | None:
    """An input of a task.

    Args:
        task: whose columns are read.
        settings: of which ``columns`` and ``prompt_template`` are read.

    Returns:
        The input, its media loaded; None where the columns that the settings name can make none together.
    """
    import pandas as pd

    row: dict[str, object] = dict.fromkeys(template_columns(settings.prompt_template or ""), _TEXT)
    for column in task.columns:
        names = settings.columns.get(column.argument, [])
        row.update(dict.fromkeys([names] if isinstance(names, str) else names, _CELLS.get(column.data_type, _TEXT)))
    example = read_inputs(task, pd.DataFrame([row]), settings)[0]
    if example is None or isinstance(example, InvalidCell):
        return None
    media = media_in(example)
    if media is None or isinstance(media, Media):
        return example
    return with_media(example, Media(b"media", _CONTENT_TYPES[media.kind]))
