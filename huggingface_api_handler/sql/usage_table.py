"""``huggingface.usage``: what models asked and spent, as a table that a statement names.

It is kept in the store of ``cache_dir`` and not in the file, so what was spent in a transaction that is rolled back
stays. A statement that names it reads a frame of what is there when it starts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot.tokens import Token, TokenType

from .catalog_tables import SCHEMA
from .tokens import MAX_MODEL_STATEMENT_CHARS, Statement

if TYPE_CHECKING:
    from .connection import Connection

_TABLE = "usage"
_FRAME = "__huggingface_usage"
_NAMED = re.compile(rf"""\b{SCHEMA}["`]?\s*\.\s*["`]?{_TABLE}\b""", re.IGNORECASE)


def with_usage(statement: Statement, connection: Connection) -> Statement:
    """Put a frame in place of ``huggingface.usage``.

    Args:
        statement: any statement.
        connection: on which the frame is registered.

    Returns:
        The same statement where the table is not named in it.
    """
    source = statement.source
    if len(source) > MAX_MODEL_STATEMENT_CHARS or not _NAMED.search(source) or not statement.may_name({_TABLE}):
        return statement
    tokens = statement.tokens
    pieces, end = [], 0
    for at in range(len(tokens) - 2):
        if not _is_usage(tokens, at):
            continue
        follows = tokens[at + 3].token_type if at + 3 < len(tokens) else None
        alias = "" if follows in (TokenType.ALIAS, TokenType.VAR, TokenType.IDENTIFIER) else f" AS {_TABLE}"
        pieces.append(f"{source[end : tokens[at].start]}{_FRAME}{alias}")
        end = tokens[at + 2].end + 1
    if not pieces:
        return statement
    from .describing import usage_frame

    connection.duckdb.register(_FRAME, usage_frame(connection))
    return Statement("".join([*pieces, source[end:]]), statement.words)


def _is_usage(tokens: tuple[Token, ...], at: int) -> bool:
    schema, dot, table = tokens[at : at + 3]
    before = tokens[at - 1].token_type if at else None
    after = tokens[at + 3].token_type if at + 3 < len(tokens) else None
    return (
        (schema.text.lower(), table.text.lower()) == (SCHEMA, _TABLE)
        and dot.token_type is TokenType.DOT
        and TokenType.DOT not in (before, after)
        and TokenType.STRING not in (schema.token_type, table.token_type)
    )
