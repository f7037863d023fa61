"""Views over models, and the names that tables and models must not share.

DuckDB's own views cannot hold a model. A view over one is text, which is put in place where the view is named.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from sqlglot.tokens import Token, TokenType

from ..errors import InputError
from ..redaction import preview
from .catalog import Catalog
from .catalog_items import View
from .result import Result, quoted
from .tokens import Statement, statements_of

if TYPE_CHECKING:
    from .connection import Connection

_RENAMING = ("ALTER TABLE", "ALTER VIEW")
_MAKES_TABLE = re.compile(r"CREATE (OR REPLACE )?(TEMP |TEMPORARY |RECURSIVE |TRANSIENT )*(TABLE|VIEW)\b")
_BEFORE_NAME = {"OR", "REPLACE", "TEMP", "TEMPORARY", "RECURSIVE", "TRANSIENT", "TABLE", "VIEW", "IF", "NOT", "EXISTS"}


class _Header(NamedTuple):
    """What a CREATE names: its words before the name, the parts of the name, and the token behind it."""

    words: frozenset[str]
    parts: list[str]
    next: int


class _Definition(NamedTuple):
    """What a view is to be: ``body``, of which the columns are named anew where ``columns`` has a list of names."""

    body: Statement
    columns: str = ""


def create_view(statement: Statement, connection: Connection) -> Result | None:
    """CREATE [OR REPLACE] VIEW [IF NOT EXISTS] name [(columns)] AS SELECT ..., over a model.

    Args:
        statement: any CREATE VIEW.
        connection: in whose database it is made.

    Returns:
        No rows; None where no model is in it, so that it is DuckDB's.

    Raises:
        InputError: the name is taken, or the view would contain itself.
    """
    catalog = connection.catalog
    if not statement.may_name(catalog.names()):
        return None
    header = created(statement.tokens, "VIEW")
    definition = _definition(statement, header)
    if definition is None or not connection.uses_models(definition.body):
        return None
    name = header.parts[-1]
    existing = catalog.view(name)
    if existing is not None and "IF" in header.words:
        return Result((), ())
    if existing is not None and "REPLACE" not in header.words:
        raise InputError(f"there is a view {preview(name)} already. DROP VIEW {name} first, or CREATE OR REPLACE VIEW")
    if header.words & {"TEMP", "TEMPORARY"}:
        raise InputError("a view over a model is kept in the file. Leave out TEMP")
    catalog.refuse_read_only()
    if catalog.model(name) is not None:
        raise InputError(f"there is a model {preview(name)}. Give the view another name")
    catalog.refuse_taken(name, "view")
    _refuse_loop(name, definition.body, catalog)
    query = definition.body.source
    if definition.columns:
        query = f"SELECT * FROM ({query}) AS {quoted(name)}{definition.columns}"
    catalog.add(View(name, query))
    return Result((), ())


def drop_view(statement: Statement, connection: Connection) -> Result | None:
    """DROP VIEW [IF EXISTS] name, of a view over a model.

    Args:
        statement: any DROP VIEW.
        connection: in whose database it is.

    Returns:
        No rows; None where it is none of these, so that it is DuckDB's.
    """
    catalog = connection.catalog
    view = catalog.view(_last_name(statement)) if statement.may_name(catalog.names()) else None
    if view is None:
        return None
    catalog.drop(view)
    return Result((), ())


def refuse_to_drop_model(statement: Statement, connection: Connection) -> None:
    """Say how a model is dropped, where DROP TABLE names one.

    Args:
        statement: a DROP TABLE.
        connection: in whose database the model is.

    Raises:
        InputError: it names a model or a view over one.
    """
    catalog = connection.catalog
    if not statement.may_name(catalog.names()):
        return
    name = _last_name(statement)
    if catalog.model(name) is not None:
        raise InputError(f"{preview(name)} is a model: DROP MODEL {name}")
    if catalog.view(name) is not None:
        raise InputError(f"{preview(name)} is a view: DROP VIEW {name}")


def refuse_model_name(statement: Statement, catalog: Catalog) -> None:
    """Refuse a table or view of DuckDB's that would have the name of a model.

    Args:
        statement: any statement. CREATE TABLE, CREATE VIEW and RENAME TO are looked at.
        catalog: has the models.

    Raises:
        InputError: a model or a view over one has the name.
    """
    words = " ".join(statement.words)
    renames = words.startswith(_RENAMING)
    if not (renames or _MAKES_TABLE.match(words)) or not statement.may_name(catalog.names()):
        return
    tokens = statement.tokens
    if renames:
        if [token.text.upper() for token in tokens[-3:-1]] == ["RENAME", "TO"]:
            catalog.refuse_model_name(tokens[-1].text)
        return
    parts = created(tokens, "TABLE", "VIEW").parts
    if parts and catalog.is_own_schema(parts[:-1]):
        catalog.refuse_model_name(parts[-1])


def created(tokens: tuple[Token, ...], *kinds: str) -> _Header:
    """What CREATE TABLE or CREATE VIEW names.

    Args:
        tokens: the statement's.
        kinds: ``TABLE`` or ``VIEW``.

    Returns:
        Its words before the name, the parts of the name, and the token behind it.
    """
    words: set[str] = set()
    at = 1
    while at < len(tokens) and tokens[at].token_type is not TokenType.IDENTIFIER:
        word = tokens[at].text.upper()
        if not set(word.split()) <= _BEFORE_NAME or (word in ("IF", "NOT", "EXISTS") and not words & set(kinds)):
            break
        words |= set(word.split())
        at += 1
    parts = []
    while at < len(tokens):
        parts.append(tokens[at].text)
        at += 1
        if at >= len(tokens) or tokens[at].token_type is not TokenType.DOT:
            break
        at += 1
    return _Header(frozenset(words), parts, at)


def _definition(statement: Statement, header: _Header) -> _Definition | None:
    """What stands behind AS; behind the name where MindsDB's form has a query in brackets there."""
    tokens, at = statement.tokens, header.next
    columns = ""
    if at < len(tokens) and tokens[at].token_type is TokenType.L_PAREN:
        closing = _closing(tokens, at)
        if closing + 1 >= len(tokens) or tokens[closing + 1].token_type is not TokenType.ALIAS:
            return _Definition(statements_of(statement.source[tokens[at].start :])[0])
        columns = statement.source[tokens[at].start : tokens[closing].end + 1]
        at = closing + 1
    if at >= len(tokens) or tokens[at].token_type is not TokenType.ALIAS:
        return None
    bodies = statements_of(statement.source[tokens[at].end + 1 :])
    return _Definition(bodies[0], columns) if bodies else None


def _closing(tokens: tuple[Token, ...], at: int) -> int:
    """The token that closes the bracket at a place; the last one where none does."""
    depth = 0
    for place in range(at, len(tokens)):
        kind = tokens[place].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if not depth:
            return place
    return len(tokens) - 1


def _refuse_loop(name: str, body: Statement, catalog: Catalog) -> None:
    """Refuse a view that would be put in place of itself."""
    seen: set[str] = set()
    waiting = [body]
    while waiting:
        words = waiting.pop().names
        if name.lower() in words:
            raise InputError(f"the view {preview(name)} would contain itself")
        for view in catalog.views():
            if view.name.lower() in words - seen:
                seen.add(view.name.lower())
                waiting += statements_of(view.query)


def _last_name(statement: Statement) -> str:
    return statement.tokens[-1].text if statement.tokens else ""
