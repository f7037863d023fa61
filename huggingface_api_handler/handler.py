"""MindsDB's verbs, and nothing else: arguments in, settings stored, DataFrames out."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
import pandas as pd
from mindsdb.integrations.libs.base import BaseMLEngine

from .cancellation import cancellation
from .config.settings import EngineSettings, ModelSettings
from .config.validation import engine_settings, merge_select_overrides, model_settings
from .errors import HuggingFaceAPIError, InputError
from .inference.protocols import discovery
from .inference.protocols.preflight import check_engine, describe_model, task_of
from .inference.runtime.dataframe import predict_frame
from .inference.storage.scope import Scope
from .inference.storage.sqlite import open_store
from .inference.telemetry import usage_log
from .tasks.listing import arguments_of

_STORED, _SERVED, _SCOPE = "using", "served", "scope"
_DESCRIPTIONS = ("settings", "task", "model", "usage")


class HuggingFaceInferenceAPIHandler(BaseMLEngine):  # type: ignore[misc]  # MindsDB ships no types
    """Hugging Face inference in SQL. All state is in MindsDB's storages, so any process can serve any statement."""

    name = "huggingface_api"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.generative = True  # CREATE MODEL ... FROM may bring a table without the target column

    def create_engine(self, connection_args: dict[str, Any]) -> None:
        """CREATE ML_ENGINE: refuse wrong arguments and a refused key; an unreachable host is only a warning."""
        with _without_traceback():
            check_engine(engine_settings(connection_args))
            self.engine_storage.json_set(_SCOPE, {"id": secrets.token_hex(16)})

    def update_engine(self, connection_args: dict[str, Any]) -> None:
        """A new key or address: what is stored stays this engine's."""
        with _without_traceback():
            check_engine(engine_settings(connection_args))

    @staticmethod
    def create_validation(target: Any, args: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """CREATE MODEL, before anything is recorded. May run in another process than ``create``."""
        storage = kwargs.get("handler_storage")
        with _without_traceback():
            _new_model(target, args, _engine(storage))

    def create(self, target: Any, df: pd.DataFrame | None = None, args: dict[str, Any] | None = None) -> None:
        """Store the checked arguments: task, column, model and the rest. Nothing is trained."""
        with _without_traceback():
            engine = _engine(self.engine_storage)
            using, checked = _new_model(target, args, engine)
            self.model_storage.json_set(_STORED, using)
            self.model_storage.json_set(_SERVED, {"id": secrets.token_hex(8), **discovery.discover(engine, checked)})

    def predict(self, df: pd.DataFrame, args: dict[str, Any] | None = None) -> pd.DataFrame:
        """Answer each row of ``df``. Vectors, lists and maps become JSON text, which SQL can hold."""
        changes = (args or {}).get("using") or {}
        with _without_traceback(), cancellation(in_threads="threads" in changes) as cancel:
            engine = _engine(self.engine_storage)
            found = self.model_storage.json_get(_SERVED) or discovery.Discovery()
            discovery.restore(found)
            model = model_settings(merge_select_overrides(self._using(), changes), engine)
            out = predict_frame(df, model, engine, cancel=cancel, scope=self._scope(found))
        for column in (model.target, f"{model.target}_explain", *(model.output_schema or ())):
            if column in out.columns:
                out[column] = [_as_sql(value) for value in out[column]]
        return out

    def finetune(self, df: pd.DataFrame | None = None, args: dict[str, Any] | None = None) -> None:
        """FINETUNE is refused: models run on the service, which this engine only asks."""
        raise InputError(
            "huggingface_api runs models and does not train them. Fine-tune on Hugging Face, then CREATE MODEL "
            "with that model"
        ) from None

    def describe(self, attribute: str | None = None) -> pd.DataFrame:
        """DESCRIBE model: the names of its tables; DESCRIBE model.settings and its like: those tables."""
        if attribute is None:
            return pd.DataFrame({"tables": list(_DESCRIPTIONS)})
        with _without_traceback():
            engine = _engine(self.engine_storage)
            model = model_settings(self._using(), engine)
            if attribute == "settings":
                return _table("argument", self._using())
            if attribute == "task":
                return _task_table(model)
            if attribute == "usage":
                found = self.model_storage.json_get(_SERVED) or {}
                return usage_log.usage_table(open_store(engine.cache_dir), str(self._scope(found).model))
            if attribute == "model":
                return _table("property", describe_model(engine, model))
            raise InputError(f"DESCRIBE knows {', '.join(_DESCRIPTIONS)}, and not {attribute!r}")

    def _scope(self, found: Mapping[str, Any]) -> Scope:
        """Whose answers and receipts these are, by names of our own: MindsDB reuses the numbers of what is dropped."""
        kept = self.engine_storage.json_get(_SCOPE)
        if not kept:
            kept = {"id": secrets.token_hex(16)}
            self.engine_storage.json_set(_SCOPE, kept)
        return Scope(kept["id"], f"{kept['id']} {found.get('id')}")

    def _using(self) -> dict[str, Any]:
        stored: dict[str, Any] | None = self.model_storage.json_get(_STORED)
        if not stored:
            raise InputError(
                "this model has no stored settings: it was created by another handler. Drop it and create it again"
            )
        return stored


@contextmanager
def _without_traceback() -> Iterator[None]:
    # MindsDB prints the traceback of what leaves an ML process; ours has nothing for the person beyond its sentence.
    try:
        yield
    except HuggingFaceAPIError as error:
        raise error.with_traceback(None) from None


def _engine(storage: Any) -> EngineSettings:
    return engine_settings(storage.get_connection_args() if storage is not None else None)


def _new_model(
    target: Any, args: Mapping[str, Any] | None, engine: EngineSettings
) -> tuple[dict[str, Any], ModelSettings]:
    using = dict((args or {}).get("using") or {})
    using.pop("target", None)
    name = target[0] if isinstance(target, (list, tuple)) and target else target
    model = using.get("model", using.get("model_name"))
    if "task" not in using and isinstance(model, str):
        using["task"] = task_of(model, engine)
    checked = model_settings({**using, "target": name or "prediction"}, engine)
    stored = {**using, "task": checked.task, "model": checked.model, "target": checked.target, **checked.columns}
    return stored, checked


def _as_sql(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, (list, dict)) else value


def _table(first: str, values: Mapping[str, Any]) -> pd.DataFrame:
    texts = [value if isinstance(value, str) else orjson.dumps(value).decode() for value in values.values()]
    return pd.DataFrame({first: list(values), "value": texts})


def _task_table(model: ModelSettings) -> pd.DataFrame:
    given = {**model.columns, **model.parameters}
    rows = [
        (name, kind, required, _as_sql(given.get(name)), description)
        for name, kind, required, description in arguments_of(model.definition)
    ]
    return pd.DataFrame(rows, columns=["argument", "type", "required", "given", "description"])
