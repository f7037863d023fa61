"""Whether the files that a statement reads are the same at its end: they are read for the inputs, and then again."""

from __future__ import annotations

from collections.abc import Sequence
from glob import glob
from pathlib import Path

from sqlglot.tokens import Token, TokenType

from ..errors import InputError
from ..redaction import preview
from .blocks import Query, Relation, all_relations

_MAX_FILES = 10_000

Signature = dict[str, tuple[int, int]]


def is_remote(tokens: Sequence[Token], relation: Relation) -> bool:
    """Whether an item of FROM is read from elsewhere, so that nobody here knows when it changes.

    Args:
        tokens: The statement's.
        relation: The item.

    Returns:
        True for an address such as ``https://`` or ``s3://``.
    """
    return any("://" in path for path in _paths(tokens, relation))


def signature(tokens: Sequence[Token], query: Query) -> Signature:
    """The size and the time of the last change of each local file that a query names.

    Args:
        tokens: The statement's.
        query: The query.

    Returns:
        Them by path.
    """
    found: Signature = {}
    for relation in all_relations(query):
        for pattern in _paths(tokens, relation):
            for name in sorted(glob(pattern, recursive=True))[:_MAX_FILES]:  # noqa: PTH207 -- absolute patterns too
                state = Path(name).stat()
                found[name] = (state.st_size, state.st_mtime_ns)
    return found


def refuse_changed(before: Signature, now: Signature) -> None:
    """Refuse the rows of a statement whose files were changed meanwhile.

    Args:
        before: What they were when the statement began.
        now: What they are.

    Raises:
        InputError: They are not the same.
    """
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if changed:
        raise InputError(
            f"{preview(changed[0])} changed while the statement ran, so its rows are not those that were asked about. "
            "What was answered is kept: run the statement again"
        )


def _paths(tokens: Sequence[Token], relation: Relation) -> list[str]:
    if relation.file is not None:
        return [relation.file]
    if relation.call is None or not (relation.call.startswith("read_") or relation.call.endswith("_scan")):
        return []
    inside = tokens[relation.reference_start : relation.reference_end]
    return [token.text for token in inside if token.token_type is TokenType.STRING]
