"""From the columns of a table to one canonical input for each row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from ..errors import InputError
from ..redaction import preview
from .base import Column, Settings, Task
from .cell_kinds import BYTES, LISTS, MAPS, TEXT, only_other_kinds
from .input_types import Conversation, Input, InvalidCell, MediaRef, PromptFields, TableRow
from .message_links import links_of
from .prompts import fill, template_columns

if TYPE_CHECKING:
    import pandas as pd

    Series: TypeAlias = pd.Series[Any]

Cell: TypeAlias = object
"""What a table holds in one place: anything that people put there."""

T = TypeVar("T")

_MAX_COLUMNS_SHOWN = 15
_ORDERED_BY_ROWS = 2048


def read_inputs(task: Task, frame: pd.DataFrame, settings: Settings) -> list[Input | InvalidCell | None]:
    """One input for each row of a table.

    Args:
        task: whose columns are read.
        frame: the table, n rows.
        settings: of which ``columns`` and ``prompt_template`` are read.

    Returns:
        n items in the order of the rows. None stands for a row with a NULL, NaN or blank cell, which is answered NULL
        and never sent; ``InvalidCell`` for a cell that the task cannot take.

    Raises:
        InputError: a column is missing, or holds another kind of data throughout.
    """
    if settings.prompt_template is not None and not settings.columns:
        return _prompts(frame, settings.prompt_template)
    columns = [column for column in task.columns if column.argument in settings.columns]
    cells = [_cells(frame, settings.columns[column.argument], column, task) for column in columns]
    if settings.prompt_template is not None:
        cells.append(_prompts(frame, settings.prompt_template))
    if len(cells) == 1 or task.combine is None:
        return cells[0]
    return [_row(row, task.combine) for row in zip(*cells, strict=True)]


def _row(cells: Sequence[object], combine: Callable[..., Input]) -> Input | InvalidCell | None:
    for cell in cells:
        if cell is None or isinstance(cell, InvalidCell):
            return cell
    return combine(*cells)


def find_column(frame: pd.DataFrame, name: str, argument: str) -> Series:
    """The column of that name. SQL's case-insensitive match counts where it is the only one.

    Args:
        frame: the table.
        name: of the column.
        argument: the USING argument that names it, for the error.

    Returns:
        The column, one cell for each row of ``frame``.

    Raises:
        InputError: there is no such column, or more than one; the sentence lists those there are.
    """
    names = list(frame.columns)
    found = [place for place, other in enumerate(names) if other == name]
    found = found or [place for place, other in enumerate(names) if str(other).lower() == name.lower()]
    if len(found) == 1:
        return frame.iloc[:, found[0]]
    if found:
        raise several_columns(name, len(found))
    exist = [preview(str(other)) for other in names if not str(other).startswith("__mindsdb")]
    listed = ", ".join(exist[:_MAX_COLUMNS_SHOWN]) or "none"
    more = f" and {len(exist) - _MAX_COLUMNS_SHOWN:,} more" if len(exist) > _MAX_COLUMNS_SHOWN else ""
    raise InputError(
        f"{argument} names the column {preview(name)}, which the table does not have. Its columns: {listed}{more}"
    )


def several_columns(name: str, count: int) -> InputError:
    """The error for a name that several columns of a table have.

    Args:
        name: of the columns.
        count: how many there are.

    Returns:
        The error, for the caller to raise.
    """
    return InputError(
        f"the table has {count} columns named {preview(name)}. Rename one of them. In a JOIN, ON m.x = t.y makes two "
        "where the table has an x of its own, and two joined tables may both have one. Then give the table as a "
        f"subselect of the columns that you want: {_subselect('other', name)} JOIN ..."
    )


def _cells(frame: pd.DataFrame, name: str | list[str], column: Column, task: Task) -> list[Input | InvalidCell | None]:
    if isinstance(name, list):
        if column.data_type in ("values", "fields"):
            return _rows_of(frame, name, column)
        return [_whole_table(frame, name, column)] * len(frame)
    series = find_column(frame, name, column.argument)
    cells, missing = series.tolist(), series.isna().tolist()
    read, kinds = _READERS[column.data_type]
    present = (cell for cell, absent in zip(cells, missing, strict=True) if not absent)
    if others := only_other_kinds(present, kinds):
        raise _wrong_kind(others, name, column, task)
    return [None if absent else read(cell) for cell, absent in zip(cells, missing, strict=True)]


def _rows_of(frame: pd.DataFrame, names: Sequence[str], column: Column) -> list[Input | InvalidCell | None]:
    columns = [find_column(frame, name, column.argument) for name in names]
    missing = [any(cells) for cells in zip(*(series.isna().tolist() for series in columns), strict=True)]
    rows = zip(*(series.tolist() for series in columns), strict=True)
    if column.data_type == "fields":
        return [None if absent else _fields(names, cells) for cells, absent in zip(rows, missing, strict=True)]
    return [None if absent else _table_row(cells) for cells, absent in zip(rows, missing, strict=True)]


def with_ordered_fields(frame: pd.DataFrame, columns: Mapping[str, str | list[str]]) -> dict[str, str | list[str]]:
    """Put the columns that make a prompt in the order of how often their values repeat in a table.

    Prompts then begin alike as far as they can, and a server computes what they have in common once.

    Args:
        frame: the table, of which the first 2,048 rows are read.
        columns: the columns that a task reads, by the argument that names them.

    Returns:
        The same columns, those of ``prompt_columns`` with the fewest different values first. Columns with as many stay
        in the order given.

    Raises:
        InputError: a column is missing.
    """
    ordered = dict(columns)
    argument = "prompt_columns"
    names = columns.get(argument)
    if isinstance(names, list):
        top = frame.head(_ORDERED_BY_ROWS)
        ordered[argument] = sorted(names, key=lambda name: _different(find_column(top, name, argument)))
    return ordered


def _different(series: Series) -> int:
    return len(set(map(_in_words, series.dropna().tolist())))


def _fields(names: Sequence[str], cells: Sequence[Cell]) -> PromptFields | InvalidCell | None:
    texts = _valid(map(_in_words, cells))
    if isinstance(texts, InvalidCell):
        return texts
    return PromptFields(tuple(zip(names, texts, strict=True))) if any(map(str.strip, texts)) else None


def _table_row(cells: Sequence[Cell]) -> TableRow | InvalidCell:
    texts = _valid(map(_in_words, cells))
    return texts if isinstance(texts, InvalidCell) else TableRow(tuple(texts))


def _whole_table(frame: pd.DataFrame, names: Sequence[str], column: Column) -> str:
    table: dict[str, list[str]] = {}
    for name in names:
        series = find_column(frame, name, column.argument)
        cells = zip(series.tolist(), series.isna().tolist(), strict=True)
        texts = _valid("" if absent else _in_words(cell) for cell, absent in cells)
        if isinstance(texts, InvalidCell):
            raise InputError(
                f"{column.argument} names the column {preview(name)}, which cannot be sent: {texts.reason}"
            )
        table[name] = texts
    return json.dumps(table)


def _wrong_kind(others: Sequence[str], name: str, column: Column, task: Task) -> InputError:
    sentence = (
        f"column {preview(name)} holds {' and '.join(others)}, and {task.name} reads {column.data_type} from it. "
        f"Name a column of {column.data_type} in {column.argument}"
    )
    if column.data_type == TEXT:
        sentence += f", or give it as text: {_subselect(f'CAST({_quoted(name)} AS VARCHAR)', name)}"
    return InputError(sentence)


def _subselect(expression: str, name: str) -> str:
    return f"FROM (SELECT id, {expression} AS {_quoted(name)} FROM ...) AS t"  # noqa: S608 -- for a person


def _quoted(name: str) -> str:
    """A column's name as it stands in SQL."""
    return f"`{preview(name)[1:-1]}`"


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


def _in_words(cell: Cell) -> str | InvalidCell:
    """A cell as text: text as it is, lists and maps as JSON, numbers and dates in their usual form."""
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return InvalidCell(f"expected text, the cell holds {type(cell).__name__}")
    plain = cell.tolist() if hasattr(cell, "tolist") else cell
    try:
        return _unicode(json.dumps(plain) if isinstance(plain, (list, dict)) else str(plain))
    except Exception:  # too deep, too large, or somebody's own __str__
        return InvalidCell(f"the cell holds a {type(plain).__name__} that cannot be written as text")


def _valid(cells: Iterable[T | InvalidCell]) -> list[T] | InvalidCell:
    """All cells, or the first that is invalid."""
    valid = []
    for cell in cells:
        if isinstance(cell, InvalidCell):
            return cell
        valid.append(cell)
    return valid


def _is_blank(cell: Cell) -> bool:
    return isinstance(cell, str) and not cell.strip()


def _from_json(cell: Cell) -> Any:
    """What a cell of text holds as JSON, None where it is no JSON. Any other cell is returned as it is."""
    if not isinstance(cell, str):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return None


def labels_from(value: object) -> list[str] | None:
    """Labels from what people write for them.

    Args:
        value: a list of texts, its JSON, or texts with commas between.

    Returns:
        The labels, each once, without blanks around; None where ``value`` is none of these.
    """
    if isinstance(value, str):
        value = _from_json(value) if value.lstrip().startswith("[") else value.split(",")
    if not isinstance(value, (list, tuple)) or not all(isinstance(label, str) for label in value):
        return None
    return list(dict.fromkeys(label.strip() for label in value if label.strip())) or None


def _labels(cell: Cell) -> tuple[str, ...] | InvalidCell | None:
    if _is_blank(cell):
        return None
    labels = labels_from(cell)
    if not labels:
        return InvalidCell("expected labels: a list of texts, its JSON, or texts separated by commas")
    valid = _valid(map(_unicode, labels))
    return valid if isinstance(valid, InvalidCell) else tuple(valid)


def _table(cell: Cell) -> str | InvalidCell | None:
    """A table as JSON text ``{column: [text, ...]}``, from that, from a list of records, or from their objects."""
    if _is_blank(cell):
        return None
    cell = _from_json(cell)
    if cell is None:
        return InvalidCell("expected a table as JSON, {column: [cells]} or [{column: cell}]")
    if isinstance(cell, list) and cell and all(isinstance(record, dict) for record in cell):
        names = list(dict.fromkeys(str(name) for record in cell for name in record))
        cell = {name: [record.get(name, "") for record in cell] for name in names}
    columns = list(cell.values()) if isinstance(cell, dict) else []
    if (
        not isinstance(cell, dict)
        or not all(isinstance(column, list) for column in columns)
        or len({len(column) for column in columns}) != 1
    ):
        return InvalidCell("expected a table, {column: [cells]} with columns of one length, or [{column: cell}]")
    texts: dict[str, list[str]] = {}
    for name, column in cell.items():
        title, cells = _in_words(name), _valid(map(_in_words, column))
        if isinstance(title, InvalidCell):
            return title
        if isinstance(cells, InvalidCell):
            return cells
        texts[title] = cells
    return json.dumps(texts)


def _messages(cell: Cell) -> Conversation | InvalidCell | None:
    """A conversation as its JSON text, from that or from its objects. Contents are texts, or lists of parts."""
    if _is_blank(cell):
        return None
    cell = _from_json(cell)
    if not isinstance(cell, list) or not cell or not all(map(_is_message, cell)):
        return InvalidCell("expected messages as JSON, [{'role': 'user', 'content': '...'}, ...]")
    try:
        messages = json.dumps(cell, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return InvalidCell("the messages hold what is no JSON")
    text = _unicode(messages)
    return Conversation(text, links_of(cell)) if isinstance(text, str) else text


def _is_message(message: object) -> bool:
    return (
        isinstance(message, dict)
        and isinstance(message.get("role"), str)
        and isinstance(message.get("content"), (str, list))
    )


def _media(kind: str) -> Callable[[Cell], MediaRef | InvalidCell | None]:
    def read(cell: Cell) -> MediaRef | InvalidCell | None:
        if isinstance(cell, (bytes, bytearray, memoryview)):
            return MediaRef(bytes(cell), kind) if len(cell) else None
        if isinstance(cell, str):
            return MediaRef(cell.strip(), kind) if cell.strip() else None
        return InvalidCell(
            f"expected an {kind} as bytes, data: URI, https URL or path; the cell holds {type(cell).__name__}"
        )

    return read


class _Reader(NamedTuple):
    """Gives an input of a cell, or, for labels, a part of one. A column of which no cell is of ``kinds`` is refused."""

    read: Callable[[Cell], Any]
    kinds: tuple[str, ...]


_READERS = {
    "text": _Reader(_text, (TEXT,)),
    "labels": _Reader(_labels, (TEXT, LISTS)),
    "messages": _Reader(_messages, (TEXT, LISTS)),
    "table": _Reader(_table, (TEXT, LISTS, MAPS)),
    "image": _Reader(_media("image"), (TEXT, BYTES)),
    "audio": _Reader(_media("audio"), (TEXT, BYTES)),
    "video": _Reader(_media("video"), (TEXT, BYTES)),
}


def _prompts(frame: pd.DataFrame, template: str) -> list[Input | InvalidCell | None]:
    names = template_columns(template)
    if not names:
        return [template] * len(frame)
    columns = [find_column(frame, name, "prompt_template") for name in names]
    missing = [series.isna().tolist() for series in columns]
    rows: list[Input | InvalidCell | None] = []
    for index, cells in enumerate(zip(*(series.tolist() for series in columns), strict=True)):
        if any(absent[index] for absent in missing):
            rows.append(None)
            continue
        texts = _valid(map(_in_words, cells))
        if isinstance(texts, InvalidCell):
            rows.append(texts)
        else:
            rows.append(_text(fill(template, dict(zip(names, texts, strict=True)))))
    return rows
