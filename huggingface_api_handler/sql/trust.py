"""Whose the engines of a file are: a file is data, and may be another person's.

Each row of the catalog has a mark, a MAC over all of it with the secret of this user's own store. Who does not have
the secret can write no engine, model or view that is believed, nor change an argument of one. What is not believed
sends nothing: no variable, no token and no folder of this machine is used for it until the person trusts the file.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING

import orjson

from ..errors import InputError
from ..printable import printable
from ..redaction import preview
from .catalog import Catalog
from .catalog_items import Engine, Item, Model

if TYPE_CHECKING:
    from ..inference.runtime.session import Session

_KEY_NAME = b"made here"
_MARK_BYTES = 32
_FOLDERS = ("media_dir", "output_dir", "cache_dir")
_MAX_SHOWN_QUERY_CHARS = 300


class Trust:
    """Makes and checks the marks of this user."""

    def __init__(self, path: str, session: Callable[[], Session]) -> None:
        """Remember which file it is about.

        Args:
            path: of the DuckDB file, for the errors.
            session: gives the one whose default store has the secret, when the first mark is wanted.
        """
        self._path = path
        self._session = session
        self._key: bytes | None = None
        self._accepts_all = False

    def mark(self, item: Item) -> str:
        """The mark of a row.

        Args:
            item: an engine, model or view.

        Returns:
            A MAC in hexadecimal.
        """
        if self._key is None:
            store = self._session().store(None)
            store.wait_until_open()
            self._key = blake2b(_KEY_NAME, key=store.secret, digest_size=_MARK_BYTES).digest()
        row = orjson.dumps([item.kind, item.row()], option=orjson.OPT_SORT_KEYS)
        return blake2b(row, key=self._key, digest_size=_MARK_BYTES).hexdigest()

    def is_ours(self, item: Item) -> bool:
        """Whether this user wrote a row, or trusts the file that it is in.

        Args:
            item: as it was read.

        Returns:
            False where it was written or changed by somebody else, or on another machine.
        """
        return self._accepts_all or hmac.compare_digest(self.mark(item).encode(), item.mark.encode())

    def accept(self, catalog: Catalog) -> None:
        """Trust everything that is in the file now: it gets this user's marks, for this and later connections.

        Args:
            catalog: of the file. Where it is read-only, it is trusted for this connection alone.
        """
        if catalog.is_read_only:
            self._accepts_all = True
            return
        foreign = [item for item in catalog.items() if not self.is_ours(item)]
        if foreign:
            catalog.sign(*foreign)

    def refuse_foreign(self, *items: Item) -> None:
        """Refuse to use what somebody else made.

        Args:
            items: the engine, the model and the views that a statement uses.

        Raises:
            InputError: one of them is not this user's. The message says what it would do.
        """
        for item in items:
            if not self.is_ours(item):
                raise InputError(
                    f"{_described(item)} was not made by you on this machine, or was changed since, so nothing is "
                    f"sent. {_would_do(item)}. Where you trust whoever made it, open the file once with "
                    f"`huggingface-api-handler sql --trust {self._path}`, or connect({self._path!r}, trust=True)"
                )


def _described(item: Item) -> str:
    what = {"engines": "engine", "models": "model", "views": "view"}[item.kind]
    return f"the {what} {preview(item.name)}"


def _would_do(item: Item) -> str:
    if isinstance(item, Engine):
        return _engine_would_do(item)
    if isinstance(item, Model):
        endpoint = item.arguments.get("endpoint")
        where = preview(endpoint) if endpoint else f"where its engine {preview(item.engine)} sends"
        return f"It would send your rows to {where}"
    return f"It would run {_shown(item.query)!r}"


def _engine_would_do(engine: Engine) -> str:
    endpoint, variable = engine.arguments.get("endpoint"), engine.arguments.get("api_key_env")
    if variable:
        key = f"the key in the variable {_shown(str(variable))}"
    elif endpoint:
        key = "no key"
    else:
        key = "the key that is found on this machine (HF_TOKEN, or the token that `hf auth login` stored)"
    folders = [f"{name} {preview(engine.arguments[name])}" for name in _FOLDERS if engine.arguments.get(name)]
    uses = f", and use {' and '.join(folders)}" if folders else ""
    return f"It would send your rows to {preview(endpoint) if endpoint else 'Hugging Face'} with {key}{uses}"


def _shown(text: str) -> str:
    return printable(text)[:_MAX_SHOWN_QUERY_CHARS]
