"""The tables of the catalog, and whether those of a file can be read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..errors import InputError

FORMAT = 1
"""Of these tables. Columns may be added to a format; what changes the meaning of one makes another format."""

SCHEMA = "huggingface"

TABLES = {
    "engines": "name VARCHAR, id VARCHAR, arguments VARCHAR, has_key BOOLEAN, mark VARCHAR",
    "models": "name VARCHAR, version INTEGER, engine VARCHAR, id VARCHAR, arguments VARCHAR, discovery VARCHAR, "
    "active BOOLEAN, mark VARCHAR, created_at TIMESTAMPTZ DEFAULT now()",
    "views": "name VARCHAR, query VARCHAR, mark VARCHAR",
    "format": "format INTEGER",
}
"""The columns of each table, as they are declared."""


def refuse_newer(rows: Sequence[Mapping[str, object]]) -> None:
    """Refuse tables of a later format.

    Args:
        rows: of the table ``format``.

    Raises:
        InputError: they have a format that is not known here.
    """
    held = rows[0]["format"] if rows else None
    if isinstance(held, int) and held > FORMAT:
        raise InputError(
            f"the engines and models of this database have format {held}, and this version of "
            f"huggingface_api_handler reads {FORMAT}. Upgrade it; the tables can be read with DuckDB alone"
        )


def refuse_other_schema(held: Collection[str]) -> None:
    """Refuse to write into a schema of this name that is the person's own.

    Args:
        held: the tables that are in it.

    Raises:
        InputError: it has tables, and the format is not among them.
    """
    if held and "format" not in held:
        raise InputError(
            f"this database has a schema {SCHEMA} with other tables, such as {min(held)}, and models are stored in "
            "a schema of that name. Rename yours, or use another file for models"
        )
