"""MindsDB's verbs, and nothing else: arguments in, settings stored, DataFrames out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol

import pandas as pd
from mindsdb.integrations.libs.base import BaseMLEngine

from . import lifecycle
from .cancellation import cancellation
from .config.normalize import Using, as_map
from .config.settings import EngineSettings, ModelSettings
from .config.validation import engine_settings
from .errors import HuggingFaceAPIError, InputError, MissingArgumentError
from .inference.dataframe import predict_frame
from .inference.runtime.session import default_session
from .inference.storage.scope import Scope
from .lifecycle import Target
from .ml_engines import SCOPE_KEY, find_engine
from .ml_process import recover_session
from .select_statement import input_frame, min_failures, refuse_budget_in_parts, refuse_to_be_kept
from .task_queue import refuse_lost_rows, result_awaited

# Keys in MindsDB's storages, which models of earlier versions have.
_USING_KEY = "using"
_DISCOVERY_KEY = "served"

MindsDBArgs = Mapping[str, object]
"""What MindsDB hands to a verb: ``using``, the USING clause, beside arguments of its own."""

if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):  # with which MindsDB serves /metrics, and its processes count together
    with suppress(ModuleNotFoundError):
        from .inference.telemetry import prometheus

        prometheus.register_default()


class ConnectionStorage(Protocol):
    """What ``create_validation`` reads of MindsDB's HandlerStorage."""

    def get_connection_args(self) -> Using | None:
        """Give the arguments of CREATE ML_ENGINE, as MindsDB stored them; None where there are none."""


class HuggingFaceInferenceAPIHandler(BaseMLEngine):  # type: ignore[misc]  # MindsDB ships no types
    """Hugging Face inference in SQL. All state is in MindsDB's storages, so any process can serve any statement."""

    name = "huggingface_api"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.generative = True  # CREATE MODEL ... FROM may bring a table without the target column

    def create_engine(self, connection_args: Using) -> None:
        """CREATE ML_ENGINE: check the arguments and the key.

        Args:
            connection_args: The USING clause.

        Raises:
            InputError: An argument is wrong.
            InferenceError: The key is refused. A host that cannot be reached is only a warning.
        """
        with _verb():
            lifecycle.checked_engine(connection_args, default_session())
            self.engine_storage.json_set(SCOPE_KEY, {"id": lifecycle.new_engine_id()})

    def update_engine(self, connection_args: Using) -> None:
        """Take a new key or address. Stored answers stay this engine's.

        Args:
            connection_args: The USING clause.

        Raises:
            InputError: An argument is wrong.
            InferenceError: The key is refused.
        """
        with _verb():
            lifecycle.checked_engine(connection_args, default_session())

    @staticmethod
    def create_validation(
        target: Target,
        args: MindsDBArgs | None = None,
        handler_storage: ConnectionStorage | None = None,
        **kwargs: object,
    ) -> None:
        """CREATE MODEL, before anything is recorded. May run in another process than ``create``.

        Args:
            target: The column that PREDICT names.
            args: MindsDB's arguments, with the USING clause under ``using``.
            handler_storage: The engine's storage.
            kwargs: What else MindsDB hands over; not read.

        Raises:
            InputError: An argument is wrong.
        """
        with _verb():
            _new_model(target, args, _engine(handler_storage))

    def create(self, target: Target, df: pd.DataFrame | None = None, args: MindsDBArgs | None = None) -> None:
        """CREATE MODEL: store the checked arguments. Nothing is trained.

        Args:
            target: The column that PREDICT names.
            df: Not read.
            args: MindsDB's arguments, with the USING clause under ``using``.

        Raises:
            InputError: An argument is wrong, or the provider does not serve the model.
        """
        with _verb():
            engine = _engine(self.engine_storage)
            using, model = _new_model(target, args, engine)
            self.model_storage.json_set(_USING_KEY, using)
            self.model_storage.json_set(_DISCOVERY_KEY, lifecycle.discover(engine, model, default_session()))

    def predict(self, df: pd.DataFrame, args: MindsDBArgs | None = None) -> pd.DataFrame:
        """SELECT: predict each row.

        Args:
            df: The input rows, with the columns that the model's arguments name.
            args: MindsDB's arguments, with the SELECT's USING clause under ``using``.

        Returns:
            As many rows, with the prediction and its columns. Vectors, lists and maps are JSON text, which SQL can
            hold.

        Raises:
            InputError: An argument or the table cannot be used. No request was sent.
            InferenceError: No row was answered, and rows failed.
            DryRunSummary: It is a dry run, and MindsDB would keep what it says as the predictions of the table.
        """
        with _verb():
            refuse_lost_rows(df)
            overrides = _using_of(args)
            with cancellation(in_threads="threads" in overrides) as cancel:
                engine = _engine(self.engine_storage)
                discovered = self._discovered()
                model = lifecycle.selected_settings(
                    self._using(), overrides, discovered, engine, default_session(), find_engine
                )
                refuse_budget_in_parts(overrides, model)
                frame = input_frame(df, model)
                scope, fewest = self._scope(discovered), min_failures(overrides)
                out = predict_frame(frame, model, engine, cancel=cancel, scope=scope, min_failures=fewest)
            if model.dry_run:
                refuse_to_be_kept(out, df, model)
        for column in (model.target, f"{model.target}_explain", *model.output_fields):
            if column in out.columns:
                out[column] = [lifecycle.as_sql(value) for value in out[column]]
        return out

    def finetune(self, df: pd.DataFrame | None = None, args: MindsDBArgs | None = None) -> None:
        """FINETUNE is refused: models run on the service, which this engine only calls.

        Args:
            df: Not read.
            args: Not read.

        Raises:
            InputError: Always, with what to do instead.
        """
        raise InputError(
            "huggingface_api runs models and does not train them. Fine-tune on Hugging Face, then CREATE MODEL "
            "with that model"
        ) from None

    def describe(self, attribute: str | None = None) -> pd.DataFrame:
        """DESCRIBE model and DESCRIBE model.attribute.

        Args:
            attribute: 'settings', 'task', 'model' or 'usage'; None for the list of these.

        Returns:
            The table of that name.

        Raises:
            InputError: There is no such table.
        """
        with _verb():
            if attribute is None:
                return pd.DataFrame({"tables": list(lifecycle.DESCRIPTIONS)})
            engine, using, discovered = _engine(self.engine_storage), self._using(), self._discovered()
            scope = self._scope(discovered)
            return lifecycle.describe(attribute, using, discovered, engine, scope, default_session())

    def _scope(self, discovered: Mapping[str, object]) -> Scope:
        """Whose answers and usage these are, by ids of our own: MindsDB reuses the numbers of what is dropped."""
        stored = self.engine_storage.json_get(SCOPE_KEY)
        if not stored:
            stored = {"id": lifecycle.new_engine_id()}
            self.engine_storage.json_set(SCOPE_KEY, stored)
        return lifecycle.scope_of(stored["id"], discovered)

    def _discovered(self) -> dict[str, object]:
        stored: dict[str, object] | None = self.model_storage.json_get(_DISCOVERY_KEY)
        return stored or {}

    def _using(self) -> dict[str, object]:
        stored: dict[str, object] | None = self.model_storage.json_get(_USING_KEY)
        if not stored:
            raise InputError(
                "this model has no stored settings: it was created by another handler. Drop it and create it again"
            )
        return stored


@contextmanager
def _verb() -> Iterator[None]:
    # MindsDB prints the traceback of what leaves an ML process; ours tells the person nothing beyond its sentence.
    try:
        with result_awaited():
            recover_session()
            yield
    except HuggingFaceAPIError as error:
        raise error.with_traceback(None) from None


def _engine(storage: ConnectionStorage | None) -> EngineSettings:
    return engine_settings(storage.get_connection_args() if storage is not None else None)


def _using_of(args: MindsDBArgs | None) -> Using:
    return as_map((args or {}).get("using") or None)


def _new_model(
    target: Target, args: MindsDBArgs | None, engine: EngineSettings
) -> tuple[dict[str, object], ModelSettings]:
    """The arguments to store, with what was filled in, and the settings made of them."""
    try:
        return lifecycle.new_model(target, _using_of(args), engine, find_engine)
    except MissingArgumentError as error:  # RETRAIN looks the same from here
        raise InputError(
            f"{error}. In RETRAIN ... USING give all arguments again: MindsDB puts them in the place of the former ones"
        ) from None
