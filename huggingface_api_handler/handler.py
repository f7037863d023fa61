"""MindsDB's verbs, and nothing else: arguments in, settings stored, DataFrames out."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol, TypeVar

import orjson
import pandas as pd
from mindsdb.integrations.libs.base import BaseMLEngine

from .cancellation import cancellation
from .config.normalize import Using, as_map
from .config.reference import arguments_of
from .config.settings import EngineSettings, ModelSettings
from .config.validation import engine_settings, merge_select_overrides, model_settings
from .errors import HuggingFaceAPIError, InputError, MissingArgumentError
from .inference.protocols import discovery
from .inference.protocols.endpoint_policy import is_public_only
from .inference.protocols.preflight import MAX_INPUT_TOKENS, check_engine, describe_model, task_of
from .inference.runtime.context import Query
from .inference.runtime.dataframe import predict_frame
from .inference.runtime.session import default_session
from .inference.storage.scope import Scope
from .inference.telemetry import usage_log
from .select_statement import input_frame, min_failures, refuse_to_be_kept

# Keys in MindsDB's storages, which models of earlier versions have.
_USING_KEY = "using"
_DISCOVERY_KEY = "served"
_SCOPE_KEY = "scope"
_DESCRIPTIONS = ("settings", "task", "model", "usage")

MindsDBArgs = Mapping[str, object]
"""What MindsDB hands to a verb: ``using``, the USING clause, beside arguments of its own."""

Target = str | Sequence[str] | None
"""The column that PREDICT names; MindsDB hands over a list of one in some statements."""

_Value = TypeVar("_Value")

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
        with _without_traceback():
            check_engine(engine_settings(connection_args), default_session().http)
            self.engine_storage.json_set(_SCOPE_KEY, {"id": secrets.token_hex(16)})

    def update_engine(self, connection_args: Using) -> None:
        """Take a new key or address. Stored answers stay this engine's.

        Args:
            connection_args: The USING clause.

        Raises:
            InputError: An argument is wrong.
            InferenceError: The key is refused.
        """
        with _without_traceback():
            check_engine(engine_settings(connection_args), default_session().http)

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
        with _without_traceback():
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
        with _without_traceback():
            engine = _engine(self.engine_storage)
            using, model = _new_model(target, args, engine)
            self.model_storage.json_set(_USING_KEY, using)
            discovered = {"id": secrets.token_hex(8), **discovery.discover(engine, model, default_session().http)}
            self.model_storage.json_set(_DISCOVERY_KEY, discovered)

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
        with _without_traceback():
            overrides = _using_of(args)
            with cancellation(in_threads="threads" in overrides) as cancel:
                engine = _engine(self.engine_storage)
                discovered = self.model_storage.json_get(_DISCOVERY_KEY) or discovery.Discovery()
                default_session().servers.restore(discovered, engine)
                using = merge_select_overrides(self._using(), overrides)
                model = model_settings(using, engine, statement="SELECT")
                frame = input_frame(df, model)
                scope, fewest = self._scope(discovered), min_failures(overrides)
                out = predict_frame(frame, model, engine, cancel=cancel, scope=scope, min_failures=fewest)
            if model.dry_run:
                refuse_to_be_kept(out, df, model)
        for column in (model.target, f"{model.target}_explain", *model.output_fields):
            if column in out.columns:
                out[column] = [_as_sql(value) for value in out[column]]
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
        if attribute is None:
            return pd.DataFrame({"tables": list(_DESCRIPTIONS)})
        with _without_traceback():
            engine = _engine(self.engine_storage)
            model = model_settings(self._using(), engine)
            discovered = self.model_storage.json_get(_DISCOVERY_KEY) or discovery.Discovery()
            if attribute == "settings":
                return _table("argument", self._using())
            if attribute == "task":
                return _task_table(model)
            if attribute == "usage":
                return usage_log.usage_table(
                    default_session().store(engine.cache_dir), str(self._scope(discovered).model)
                )
            if attribute == "model":
                session = default_session()
                session.servers.restore(discovered, engine)
                described = describe_model(engine, model, session.http, session.servers)
                query = Query.of(model, engine, session, None)
                if (length := session.http.submit(query.found_length()).result()) is not None:
                    described[MAX_INPUT_TOKENS] = length
                return _table("property", described)
            raise InputError(f"DESCRIBE knows {', '.join(_DESCRIPTIONS)}, and not {attribute!r}")

    def _scope(self, discovered: Mapping[str, object]) -> Scope:
        """Whose answers and usage these are, by ids of our own: MindsDB reuses the numbers of what is dropped."""
        stored = self.engine_storage.json_get(_SCOPE_KEY)
        if not stored:
            stored = {"id": secrets.token_hex(16)}
            self.engine_storage.json_set(_SCOPE_KEY, stored)
        return Scope(stored["id"], f"{stored['id']} {discovered.get('id')}")

    def _using(self) -> dict[str, object]:
        stored: dict[str, object] | None = self.model_storage.json_get(_USING_KEY)
        if not stored:
            raise InputError(
                "this model has no stored settings: it was created by another handler. Drop it and create it again"
            )
        return stored


@contextmanager
def _without_traceback() -> Iterator[None]:
    # MindsDB prints the traceback of what leaves an ML process; ours tells the person nothing beyond its sentence.
    try:
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
    using = dict(_using_of(args))
    using.pop("target", None)
    name = target[0] if isinstance(target, (list, tuple)) and target else target
    model = using.get("model", using.get("model_name"))
    if "task" not in using and isinstance(model, str):
        using["task"] = task_of(model, engine)
    try:
        settings = model_settings({**using, "target": name or "prediction"}, engine)
    except MissingArgumentError as error:  # RETRAIN looks the same from here
        raise InputError(
            f"{error}. In RETRAIN ... USING give all arguments again: MindsDB puts them in the place of the former ones"
        ) from None
    is_public_only(settings.endpoint, engine)  # refuses a private address, before anything is recorded
    checked = {"task": settings.task, "model": settings.model, "target": settings.target}
    return {**using, **checked, **settings.columns}, settings


def _as_sql(value: _Value) -> _Value | str:
    return orjson.dumps(value).decode() if isinstance(value, (list, dict)) else value


def _table(key_column: str, values: Mapping[str, object]) -> pd.DataFrame:
    texts = [value if isinstance(value, str) else orjson.dumps(value).decode() for value in values.values()]
    return pd.DataFrame({key_column: list(values), "value": texts})


def _task_table(model: ModelSettings) -> pd.DataFrame:
    values: dict[str, object] = {**model.columns, **model.parameters}
    rows = [
        (argument.name, argument.type, argument.required, _as_sql(values.get(argument.name)), argument.description)
        for argument in arguments_of(model.definition)
    ]
    return pd.DataFrame(rows, columns=["argument", "type", "required", "given", "description"])
