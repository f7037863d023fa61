"""A MindsDB handler that sends no request. Benchmark 5 subtracts its time from ours."""

from __future__ import annotations

from typing import Any

import pandas as pd
from mindsdb.integrations.libs.base import BaseMLEngine


class NoopHandler(BaseMLEngine):  # type: ignore[misc]  # MindsDB ships no types
    """Answers every row with the same text, and with ``columns = 'all'`` in as many columns as ours."""

    name = "bench_noop"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.generative = True

    @staticmethod
    def create_validation(target: Any, args: Any = None, **_kwargs: Any) -> None:
        """Accept any arguments."""

    def create(self, target: str, df: pd.DataFrame | None = None, args: dict[str, Any] | None = None) -> None:
        """Store the target column and whether the answers have all columns."""
        columns = ((args or {}).get("using") or {}).get("columns")
        self.model_storage.json_set("settings", {"target": target, "all": columns == "all"})

    def predict(self, df: pd.DataFrame, args: dict[str, Any] | None = None) -> pd.DataFrame:
        """The same answer for each row of ``df``."""
        settings = self.model_storage.json_get("settings")
        target, more = settings["target"], {}
        if settings["all"]:
            scores = '{"POSITIVE":0.500000,"NEGATIVE":0.500000}'
            more = {f"{target}_confidence": 0.5, f"{target}_explain": scores, f"{target}_error": None}
        return pd.DataFrame({target: "POSITIVE", **more}, index=df.index)
