"""Runs a statement with models: bound whole before anything is asked, then asked, then run."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

import orjson

from ..config.normalize import suggest
from ..errors import InputError
from ..inference.runtime.context import Query
from ..redaction import preview
from .asking import Asker
from .blocks import Relation
from .confirming import ConfirmedPredictions
from .database import Database, Parameters, with_named_parameters
from .estimates import TYPES, Estimates
from .local_files import refuse_changed
from .model_joins import JoinedModel
from .models import BoundModel, bind_model
from .names import PROJECT, with_views
from .planner import Planner
from .predictions import BoundOnly, Predictions, dropped_on_error
from .result import Result
from .targets import is_already_there, refuse_kept
from .tokens import Statement, statements_of

if TYPE_CHECKING:
    from .catalog_items import Model
    from .connection import Connection


_NO_COLUMN = re.compile(r'Values list "(.+?)" does not have a column named "(.+?)"')

_READS = (("SELECT",), ("FROM",), ("VALUES",), ("TABLE",), ("SUMMARIZE",))
"""First words of statements that change nothing, so that their rows are read as they are wanted."""

_DESCRIBES = (("DESCRIBE",), ("DESC",))
"""First words of statements that read no rows of what they are about."""


def run_with_models(connection: Connection, statement: Statement, parameters: Parameters | None) -> Result:
    """Run a statement that names models or views over them.

    Args:
        connection: The connection.
        statement: One statement.
        parameters: The values of its parameters.

    Returns:
        Its result.

    Raises:
        InputError: It cannot be run as it is. No request was sent.
        InferenceError: A model answered no row.
        duckdb.Error: DuckDB cannot run it. Where it does not bind, no request was sent.
        KeyboardInterrupt: It was interrupted. What was answered is stored, and the same statement asks for the rest.
    """
    prepared = _Prepared(connection, statement, parameters)
    database = prepared.database
    unchecked = prepared.planner()
    if not unchecked.has_models:
        return connection.plain(prepared.statement.source, prepared.values or None)
    asker = Asker(connection.session, connection.progress)
    predictions = prepared.predictions(asker)
    refuse_kept(prepared.statement)
    if is_already_there(prepared.statement, database.rows):
        return Result((), ())
    with database.transaction(), closing(asker), dropped_on_error(predictions):
        prepared.check(unchecked)
        planner = prepared.planner()
        files = planner.files()
        sql = planner.run(predictions)
        asker.finish()
        database.execute(sql)
        is_read = prepared.statement.words[:1] in _READS
        counted = None if is_read else Result.of_open(connection.duckdb).complete()
        refuse_changed(files, planner.files())

    def end() -> None:
        """Drop the predictions, and keep what the statement changed."""
        database.end(predictions.close)
        refuse_changed(files, planner.files())

    result = Result.of_open(connection.duckdb, connection.at_end(end)) if counted is None else counted
    result.queries = asker.queries()
    if counted is not None:
        database.end(predictions.close)
    return result


def explain_with_models(connection: Connection, statement: Statement, parameters: Parameters | None) -> Result:
    """What a statement would ask of each model. Sends nothing.

    Args:
        connection: The connection.
        statement: The statement, without EXPLAIN.
        parameters: The values of its parameters.

    Returns:
        A row for each model in the statement.

    Raises:
        InputError: It cannot be run as it is.
        duckdb.Error: It does not bind.
    """
    prepared = _Prepared(connection, statement, parameters)
    with prepared.database.transaction():
        prepared.check(prepared.planner())
        estimates = Estimates(prepared.database, prepared.needed, prepared.dry_query)
        with dropped_on_error(estimates):
            prepared.planner().run(estimates)
        prepared.database.end(estimates.close)
    return Result(list(TYPES), list(TYPES.values()), [estimate.row() for estimate in estimates.found])


class _Prepared:
    """A statement whose names and parameters are as the planner wants them."""

    def __init__(self, connection: Connection, statement: Statement, parameters: Parameters | None) -> None:
        catalog = connection.catalog

        def query_of(name: str) -> str | None:
            """The SELECT of a view over a model."""
            view = catalog.view(name)
            if view is None:
                return None
            connection.trust.refuse_foreign(view)
            return connection.renamed(statements_of(view.query)[0]).source

        self._connection = connection
        named, self.values = with_named_parameters(statement, parameters)
        self.statement = with_views(named, query_of)
        self.database = Database(connection.duckdb, self.values)
        self._bound: dict[tuple[str, int, bytes], BoundModel] = {}
        self._bindings: dict[JoinedModel, tuple[Model, dict[str, object]]] = {}

    def planner(self) -> Planner:
        """A planner of the statement, of which nothing is run."""
        self._planner = Planner(self.statement.text, self.statement.tokens, self._resolve, self.database)
        return self._planner

    def needed(self, model: JoinedModel) -> set[str]:
        """The outputs of a model that the statement reads."""
        return self._planner.needs.outputs(model)

    def check(self, planner: Planner) -> None:
        """Bind the whole statement, with empty tables in the place of predictions.

        Args:
            planner: Of the statement, which is used up.

        Raises:
            duckdb.Error: It does not bind.
            InputError: It does not, for a reason that has to do with a model.
        """
        if self.statement.words[:1] == ("ANALYZE",):
            raise InputError("EXPLAIN ANALYZE is not there for models yet. EXPLAIN says what they would be asked")
        labels = planner.labels()
        self.statement.refuse_other_models({*labels, *(model.name for model in labels.values())})
        predictions = BoundOnly(self.database, self.needed)
        with dropped_on_error(predictions):
            self.database.check(planner.run(predictions), self._explained)
        predictions.close()

    def _explained(self, message: str) -> InputError | None:
        """An error of DuckDB in words of models; None where it is about something else."""
        column = _NO_COLUMN.search(message)
        for name, model in self._planner.labels().items():
            if column is None or column[1].lower() != name.lower():
                continue
            if column[2].lower() in {each.lower() for each in model.inputs}:
                return InputError(f"{name}.{column[2]} is what the model reads. Compare the column it is read from")
            return InputError(f"the model {name} gives no {preview(column[2])}{suggest(column[2], model.outputs)}")
        return None

    def predictions(self, asker: Asker) -> Predictions:
        """Where the predictions come from, once the connection agrees to what they cost. DESCRIBE needs none."""
        if self.statement.words[:1] in _DESCRIBES:
            return BoundOnly(self.database, self.needed)
        confirm = self._connection.confirm
        if confirm is None:
            return Predictions(self.database, asker.ask, self.needed)
        return ConfirmedPredictions(self.database, asker, self.needed, self.dry_query, confirm)

    def dry_query(self, model: JoinedModel) -> Query:
        """A query of a model that only counts."""
        named, arguments = self._bindings[model]
        return bind_model(named, {**arguments, "dry_run": True}, self._connection).query(self._connection.session)

    def _resolve(self, relation: Relation) -> JoinedModel | None:
        parts = relation.name[1:] if relation.name[0].lower() == PROJECT and len(relation.name) > 1 else relation.name
        name, *version = parts
        if len(version) > 1 or (version and not version[0].isdigit()):
            return None
        model = self._connection.catalog.model(name, int(version[0]) if version else None)
        if model is None:
            return None
        position = self.statement.tokens[relation.reference_start].start
        arguments = self.statement.arguments_at(position, relation.alias or model.name, model.name)
        key = (model.name, model.version, orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS))
        if key not in self._bound:
            self._bound[key] = bind_model(model, arguments, self._connection)
            self._bindings[self._bound[key]] = model, arguments
        return self._bound[key]
