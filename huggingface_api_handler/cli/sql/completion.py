"""What Tab offers: keywords, tables, columns, models, engines, tasks, and the names of USING arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from .dot_commands import COMMANDS
from .output import FORMATS

if TYPE_CHECKING:
    from ...sql import Connection
    from ...sql.catalog_items import Model

_WORD = re.compile(r"[\w$]*$")
_QUALIFIED = re.compile(r"(?:\"(?P<quoted>[^\"]+)\"|(?P<name>\w+))\.\w*$")
_OPEN_TEXT = re.compile(r"'(?P<text>[^']*)$")
_AFTER_VALUE = re.compile(r"(?P<argument>\w+)\s*=\s*'(?P<text>[^']*)$")
_RELATION = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|DESCRIBE|MODEL|RETRAIN|VIEW)\s+[\w$]*$", re.IGNORECASE)
_ENGINE_NAME = re.compile(r"\bDROP\s+ML_ENGINE\s+(?:IF\s+EXISTS\s+)?\w*$", re.IGNORECASE)
_FILE = re.compile(r"\b(?:FROM|JOIN|ATTACH|COPY|TO)\s+'[^']*$", re.IGNORECASE)
_TASK = re.compile(r"\btask\s*=\s*'([\w-]+)'", re.IGNORECASE)
_CREATE = re.compile(r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?P<kind>ML_ENGINE|MODEL|PREDICTOR)\b", re.IGNORECASE)
_USING = re.compile(r"\bUSING\b(?!\s*\()", re.IGNORECASE)
_ALIAS = r"\b(?P<table>[\w$]+|\"[^\"]+\")\s+(?:AS\s+)?\"?{name}\"?(?![\w$])"

OUR_KEYWORDS = ("ML_ENGINE", "ML_ENGINES", "MODEL", "MODELS", "PREDICT", "RETRAIN", "EVALUATE", "huggingface_api")
"""Words of statements for engines and models, which DuckDB's list has not."""


class DatabaseNames(NamedTuple):
    """What is in a database.

    Attributes:
        keywords: Of SQL.
        columns: DatabaseNames of columns by that of their table, view or model.
        models: DatabaseNames of models.
        engines: DatabaseNames of engines.
    """

    keywords: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    models: tuple[str, ...]
    engines: tuple[str, ...]


class SQLCompleter(Completer):
    """Completes statements.

    Args:
        names: Gives what is in the database; called for each completion.
    """

    def __init__(self, names: Callable[[], DatabaseNames]) -> None:
        self._names = names
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Offer what may stand at the cursor.

        Args:
            document: What is written, and where the cursor is.
            complete_event: Passed on for names of files.

        Yields:
            The completions.
        """
        before = document.text_before_cursor
        if before.lstrip().startswith((".", "\\")):
            yield from _dot_commands(before.lstrip())
            return
        statement = _statement_before(before)
        if (text := _OPEN_TEXT.search(statement)) and statement.count("'") % 2:
            if _FILE.search(statement):
                path = Document(text["text"])
                yield from self._paths.get_completions(path, complete_event)
            else:
                yield from _matching(self._values(statement), text["text"])
            return
        word = _word_before(statement)
        yield from _matching(self._words(statement, word), word)

    def _words(self, statement: str, word: str) -> Iterable[str]:
        names = self._names()
        if (qualified := _QUALIFIED.search(statement)) is not None:
            return _columns_of(qualified["quoted"] or qualified["name"], statement, names)
        if _ENGINE_NAME.search(statement):
            return names.engines
        if _RELATION.search(statement):
            return sorted({*names.columns, *names.models})
        if (arguments := _arguments(statement)) is not None:
            return arguments
        columns = {column for each in names.columns.values() for column in each}
        keywords = (*names.keywords, *OUR_KEYWORDS)
        cased = keywords if word[:1].isupper() or not word else [each.lower() for each in keywords]
        return [*sorted({*columns, *names.columns, *names.models}), *cased]

    def _values(self, statement: str) -> Iterable[str]:
        """Texts that the argument before the cursor takes."""
        value = _AFTER_VALUE.search(statement)
        argument = value["argument"].lower() if value else ""
        if argument == "engine":
            return self._names().engines
        if argument == "task":
            from ...tasks import TASKS

            return sorted(TASKS)
        if argument == "endpoint":
            return ("local", "https://")
        if argument in ("column", "column2"):
            return sorted({column for each in self._names().columns.values() for column in each})
        return ()


def _arguments(statement: str) -> list[str] | None:
    """The names of arguments where the cursor is among them, else None."""
    if not (clauses := list(_USING.finditer(statement))):
        return None
    if statement[clauses[-1].end() :].rstrip().endswith("="):
        return []
    from ...config.reference import arguments_of, settings_arguments
    from ...config.settings import EngineSettings, ModelSettings

    create = _CREATE.match(statement)
    if create and create["kind"].upper() == "ML_ENGINE":
        return list(settings_arguments(EngineSettings))
    names = list(settings_arguments(ModelSettings))
    if create:
        names.append("engine")
    if task := _TASK.search(statement):
        from ...tasks import ALIASES, TASKS

        definition = TASKS.get(ALIASES.get(task[1], task[1]))
        names += [argument.name for argument in arguments_of(definition)] if definition else []
    return sorted(set(names))


def _columns_of(name: str, statement: str, names: DatabaseNames) -> Iterable[str]:
    """The columns of a table or model, or of what has that alias in the statement."""
    by_name = {table.lower(): columns for table, columns in names.columns.items()}
    if name.lower() in by_name:
        return by_name[name.lower()]
    for match in re.finditer(_ALIAS.format(name=re.escape(name)), statement, re.IGNORECASE):
        if (columns := by_name.get(match["table"].strip('"').lower())) is not None:
            return columns
    return ()


def _dot_commands(line: str) -> Iterator[Completion]:
    name, space, argument = line.partition(" ")
    if not space:
        yield from _matching((each.names[0] for each in COMMANDS), name)
    elif name == ".mode":
        yield from _matching(FORMATS, argument)


def _matching(candidates: Iterable[str], word: str) -> Iterator[Completion]:
    folded = word.lower()
    seen = set()
    for candidate in candidates:
        if candidate.lower().startswith(folded) and candidate != word and candidate not in seen:
            seen.add(candidate)
            yield Completion(candidate, start_position=-len(word))


def _word_before(text: str) -> str:
    match = _WORD.search(text)
    return match[0] if match else ""


def _statement_before(text: str) -> str:
    """What is written of the statement in which the cursor is. Semicolons in texts are seldom where names are."""
    return text.rpartition(";")[2]


def names_of(connection: Connection) -> DatabaseNames:
    """Read what is in a database.

    Args:
        connection: With no result open.

    Returns:
        The names; those of tables are missing where the database cannot be asked now, as in a transaction that failed.
    """
    keywords: list[tuple[str]] = []
    tables: list[tuple[str, list[str]]] = []
    with suppress(Exception):  # completion is no place for errors
        keywords = connection.duckdb.execute("SELECT upper(keyword_name) FROM duckdb_keywords()").fetchall()
        tables = connection.duckdb.execute(
            "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() WHERE NOT internal "
            "AND schema_name <> 'huggingface' GROUP BY table_name ORDER BY table_name"
        ).fetchall()
    catalog = connection.catalog
    models = [model for model in catalog.models() if model.active]
    columns = {name: tuple(names) for name, names in tables}
    columns.update({model.name: _outputs(model, connection) for model in models})
    return DatabaseNames(
        tuple(word for (word,) in keywords),
        columns,
        tuple(model.name for model in models),
        tuple(engine.name for engine in catalog.engines()),
    )


def _outputs(model: Model, connection: Connection) -> tuple[str, ...]:
    """The columns that a model gives; none where its engine was dropped, or an argument is no longer known."""
    from ...config.validation import model_settings
    from ...inference.runtime.columns import column_types
    from ...sql.models import settings_without_key

    with suppress(Exception):
        engine = settings_without_key(connection.catalog.engine_of(model))
        return tuple(column_types(model_settings(model.arguments, engine)))
    return ()
