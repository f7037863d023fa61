"""From the columns of a table to one canonical input for each row."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import InputError
from ..redaction import preview
from .base import Column, Input, InvalidCell, MediaRef, Settings, Task
from .generation import Conversation
from .prompts import fill, template_columns

Cell = Any
_MOST_LISTED = 15
_NUMERIC = {
    "b": "booleans",
    "i": "whole numbers",
    "u": "whole numbers",
    "f": "numbers",
    "c": "numbers",
    "M": "dates",
    "m": "durations",
}


def read_inputs(task: Task, frame: Any, settings: Settings) -> list[Input | InvalidCell | None]:
    """One input for each row of ``frame`` (a pandas DataFrame), in its order.

    None stands for a row with a NULL, NaN or blank cell, which is answered NULL and never sent; ``Refused`` for a
    cell that the task cannot take. Raises InputError where a column is missing, or holds another kind of data
    throughout.
    """
    if settings.prompt_template is not None and not settings.columns:
        return _prompts(frame, settings.prompt_template)
    columns = [column for column in task.columns if column.argument in settings.columns]
    read = [_cells(frame, settings.columns[column.argument], column, task) for column in columns]
    if settings.prompt_template is not None:
        read.append(_prompts(frame, settings.prompt_template))
    if len(read) == 1:
        return read[0]
    return [_row(cells) for cells in zip(*read, strict=True)]


def _row(cells: Sequence[Any]) -> Any:
    for cell in cells:
        if cell is None or isinstance(cell, InvalidCell):
            return cell
    return tuple(cells)


def find_column(frame: Any, name: str, wanted_by: str) -> Any:
    """The column of that name, as a pandas Series; SQL's case-insensitive match counts where it is the only one."""
    names = list(frame.columns)
    if name in names:
        if names.count(name) > 1:
            raise InputError(
                f"the table has {names.count(name)} columns named {preview(name)}. Rename them, or SELECT one of them"
            )
        return frame[name]
    same = [other for other in names if str(other).lower() == name.lower()]
    if len(same) == 1:
        return frame[same[0]]
    exist = [preview(str(other)) for other in names if not str(other).startswith("__mindsdb")]
    listed = ", ".join(exist[:_MOST_LISTED]) or "none"
    more = f" and {len(exist) - _MOST_LISTED:,} more" if len(exist) > _MOST_LISTED else ""
    raise InputError(
        f"{wanted_by} names the column {preview(name)}, which the table does not have. Its columns: {listed}{more}"
    )


def _cells(frame: Any, name: Any, column: Column, task: Task) -> list[Any]:
    if column.data_type == "values":
        return _rows_of(frame, name, column)
    if column.data_type == "whole table":
        return [_whole_table(frame, name, column)] * len(frame)
    series = find_column(frame, name, column.argument)
    missing = series.isna().tolist()
    _refuse_wrong_kind(series, missing, name, column, task)
    read = _READERS[column.data_type]
    return [None if absent else read(cell) for cell, absent in zip(series.tolist(), missing, strict=True)]


def _rows_of(frame: Any, names: Sequence[str], column: Column) -> list[Any]:
    columns = [find_column(frame, name, column.argument) for name in names]
    missing = [any(cells) for cells in zip(*(one.isna().tolist() for one in columns), strict=True)]
    rows = zip(*(one.tolist() for one in columns), strict=True)
    return [None if absent else _in_words(cells) for cells, absent in zip(rows, missing, strict=True)]


def _whole_table(frame: Any, names: Sequence[str], column: Column) -> str:
    table = {name: find_column(frame, name, column.argument) for name in names}
    texts: dict[str, list[Any]] = {
        name: ["" if absent else _words(cell) for cell, absent in zip(one.tolist(), one.isna().tolist(), strict=True)]
        for name, one in table.items()
    }
    for name, column_texts in texts.items():
        refused = _refused_or(column_texts)
        if isinstance(refused, InvalidCell):
            raise InputError(
                f"{column.argument} names the column {preview(name)}, which cannot be sent: {refused.reason}"
            )
    return json.dumps(texts)


def _refuse_wrong_kind(series: Any, missing: list[bool], name: str, column: Column, task: Task) -> None:
    kind = _NUMERIC.get(getattr(series.dtype, "kind", ""))
    if kind and not all(missing):
        raise InputError(
            f"column {preview(name)} holds {kind}, and {task.name} reads {column.data_type} from it. "
            f"Name a column of {column.data_type} in {column.argument}, or convert it: "
            f"CAST({preview(name)[1:-1]} AS VARCHAR)"
        )


def _text(cell: Cell) -> str | InvalidCell | None:
    if isinstance(cell, str):
        return _unicode(cell) if cell and not cell.isspace() else None
    return InvalidCell(f"expected text, the cell holds {type(cell).__name__}")


def _unicode(text: str) -> str | InvalidCell:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return InvalidCell("the text is not valid Unicode (it holds a lone surrogate)")
    return text


def _words(cell: Cell) -> str | InvalidCell:
    """A cell in words: text as it is, lists and maps as JSON, numbers and dates in their usual form."""
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return InvalidCell(f"expected text, the cell holds {type(cell).__name__}")
    cell = cell.tolist() if hasattr(cell, "tolist") else cell
    try:
        return _unicode(json.dumps(cell) if isinstance(cell, (list, dict)) else str(cell))
    except Exception:  # too deep, too large, or somebody's own __str__
        return InvalidCell(f"the cell holds a {type(cell).__name__} that cannot be written as text")


def _in_words(cells: Sequence[Cell]) -> Any:
    return _refused_or(tuple(map(_words, cells)))


def _refused_or(cells: Sequence[Any]) -> Any:
    return next((cell for cell in cells if isinstance(cell, InvalidCell)), cells)


def labels_from(value: Any) -> list[str] | None:
    """Labels from a list of texts, its JSON, or a comma-separated text; None where it is none of these."""
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return None
        else:
            value = value.split(",")
    if not isinstance(value, (list, tuple)) or not all(isinstance(label, str) for label in value):
        return None
    return list(dict.fromkeys(label.strip() for label in value if label.strip())) or None


def _labels(cell: Cell) -> tuple[str, ...] | InvalidCell | None:
    if isinstance(cell, str) and not cell.strip():
        return None
    labels = labels_from(cell)
    if not labels:
        return InvalidCell("expected labels: a list of texts, its JSON, or texts separated by commas")
    return _refused_or(tuple(map(_unicode, labels)))  # type: ignore[no-any-return]


def _table(cell: Cell) -> str | InvalidCell | None:
    """A table as JSON text ``{column: [text, ...]}``, from that, from a list of records, or from their objects."""
    if isinstance(cell, str):
        if not cell.strip():
            return None
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return InvalidCell("expected a table as JSON, {column: [cells]} or [{column: cell}]")
    if isinstance(cell, list) and cell and all(isinstance(record, dict) for record in cell):
        names = list(dict.fromkeys(str(name) for record in cell for name in record))
        cell = {name: [record.get(name, "") for record in cell] for name in names}
    is_table = isinstance(cell, dict) and cell and all(isinstance(column, list) for column in cell.values())
    if not is_table or len({len(column) for column in cell.values()}) > 1:
        return InvalidCell("expected a table, {column: [cells]} with columns of one length, or [{column: cell}]")
    texts = {_words(name): _refused_or([_words(value) for value in column]) for name, column in cell.items()}
    refused = _refused_or([*texts, *texts.values()])
    return refused if isinstance(refused, InvalidCell) else json.dumps(texts)


def _messages(cell: Cell) -> Conversation | InvalidCell | None:
    """A conversation as its JSON text, from that or from its objects. Contents are texts, or lists of parts."""
    if isinstance(cell, str):
        if not cell.strip():
            return None
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            cell = None
    if not isinstance(cell, list) or not cell or not all(map(_is_message, cell)):
        return InvalidCell("expected messages as JSON, [{'role': 'user', 'content': '...'}, ...]")
    try:
        messages = json.dumps(cell, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return InvalidCell("the messages hold what is no JSON")
    text = _text(messages)
    return Conversation(text) if isinstance(text, str) else text


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and isinstance(message.get("role"), str)
        and isinstance(message.get("content"), (str, list))
    )


def _media(kind: str) -> Callable[[Cell], Any]:
    def read(cell: Cell) -> MediaRef | InvalidCell | None:
        if isinstance(cell, (bytes, bytearray, memoryview)):
            return MediaRef(bytes(cell), kind) if len(cell) else None
        if isinstance(cell, str):
            return MediaRef(cell.strip(), kind) if cell.strip() else None
        return InvalidCell(
            f"expected an {kind} as bytes, data: URI, https URL or path; the cell holds {type(cell).__name__}"
        )

    return read


_READERS: dict[str, Callable[[Cell], Any]] = {
    "text": _text,
    "labels": _labels,
    "messages": _messages,
    "table": _table,
    "image": _media("image"),
    "audio": _media("audio"),
    "video": _media("video"),
}


def _prompts(frame: Any, template: str) -> list[Input | InvalidCell | None]:
    names = template_columns(template)
    if not names:
        return [template] * len(frame)
    series = [find_column(frame, name, "prompt_template") for name in names]
    missing = [one.isna().tolist() for one in series]
    rows: list[Input | InvalidCell | None] = []
    for index, cells in enumerate(zip(*(one.tolist() for one in series), strict=True)):
        if any(absent[index] for absent in missing):
            rows.append(None)
            continue
        texts = _in_words(cells)
        refused = isinstance(texts, InvalidCell)
        rows.append(texts if refused else _text(fill(template, dict(zip(names, texts, strict=True)))))
    return rows
