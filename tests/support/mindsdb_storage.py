"""What a handler uses of MindsDB's storages, in memory."""

from __future__ import annotations

import json
from typing import Any


class Storage:
    """What the handler uses of MindsDB's ModelStorage and HandlerStorage."""

    predictor_id = 1

    def __init__(self, connection: dict[str, Any] | None = None) -> None:
        self.connection = connection or {}
        self.values: dict[str, Any] = {}

    def get_connection_args(self) -> dict[str, Any]:
        return self.connection

    def json_set(self, name: str, value: Any) -> None:
        self.values[name] = json.loads(json.dumps(value))

    def json_get(self, name: str) -> Any:
        return self.values.get(name)
