"""The models of the law, and what they predict, written twice: for a service, and in SQL.

A prediction is a function of the model's name and of the input alone: some digits of a hash. Inputs with ``fail`` in them
are refused by the service, so their rows have an error.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from tests.conftest import Reply

REFUSAL = "this text cannot be read"
ERROR = f"rejected input 422: {REFUSAL}"
LABELS = ("POSITIVE", "NEGATIVE")


@dataclass(frozen=True)
class Model:
    """A model of the catalog.

    Attributes:
        name: As CREATE MODEL writes it.
        target: The column that PREDICT names.
        inputs: The columns that it reads.
    """

    name: str
    target: str
    inputs: tuple[str, ...]

    @property
    def outputs(self) -> tuple[tuple[str, str], ...]:
        """Its columns, each with its type, in order."""
        value = "float" if self.is_pair else "text"
        confidence = () if self.is_pair else ((f"{self.target}_confidence", "float"),)
        explain, error = (f"{self.target}_explain", "json"), (f"{self.target}_error", "text")
        return ((self.target, value), *confidence, explain, error)

    @property
    def is_pair(self) -> bool:
        """Whether it reads two texts and says how alike they are."""
        return len(self.inputs) == 2

    @property
    def create(self) -> str:
        """CREATE MODEL, on the engine ``law``."""
        columns = ", ".join(
            f"{argument} = '{name}'" for argument, name in zip(("column", "column2"), self.inputs, strict=False)
        )
        task = "text-ranking" if self.is_pair else "text-classification"
        return (
            f"CREATE MODEL {self.name} PREDICT {self.target} USING engine = 'law', task = '{task}', {columns}, "
            f"model = '{self.name.lower()}', on_error = 'null'"
        )


MODELS = (
    Model("mood", "sentiment", ("text",)),
    Model("Kind", "kind", ("Review Text",)),
    Model("second_mood", "sentiment", ("text",)),
    Model("verdict", "verdict", ("sentiment",)),
    Model("alike", "score", ("question", "text")),
)
"""One whose input has a blank in its name, two of one target, one whose input is another's output, one of two inputs."""


def answer(body: Any, headers: dict[str, str], path: str) -> Any:
    """What the service answers, for ``tests.conftest.Service``."""
    if not isinstance(body, dict):
        return Reply({"error": "not found"}, 404)
    model = path.removeprefix("/models/").partition("/")[0]
    if "texts" in body:
        if "fail" in body["query"] + "".join(body["texts"]):
            return Reply({"error": REFUSAL}, 422)
        ranks = [_share(model, f"{body['query']}|{text}") for text in body["texts"]]
        return [{"index": index, "score": rank} for index, rank in enumerate(ranks)]
    inputs = body["inputs"]
    texts = inputs if isinstance(inputs, list) else [inputs]
    if any("fail" in text for text in texts):
        return Reply({"error": REFUSAL}, 422)
    return [_scores(model, text) for text in texts]


def _share(model: str, text: str) -> float:
    return (1 + int(_hash(model, text)[:4], 16) % 499) / 1000


def _hash(model: str, text: str) -> str:
    return hashlib.md5(f"{model} {text}".encode()).hexdigest()


def _scores(model: str, text: str) -> list[dict[str, Any]]:
    share = _share(model, text)
    first, second = LABELS if _hash(model, text)[4] < "8" else LABELS[::-1]
    thousandths = round(share * 1000)
    return [{"label": first, "score": (1000 - thousandths) / 1000}, {"label": second, "score": share}]


def as_subselect(model: Model, inputs: tuple[str, ...]) -> str:
    """The predictions of a model for one row, for plain DuckDB.

    Args:
        model: The model.
        inputs: SQL of each of its inputs.

    Returns:
        A SELECT of one row, with the columns of the model.
    """
    first, second = LABELS
    texts = ", ".join(f"({text})::VARCHAR AS __x{place}" for place, text in enumerate(inputs))
    text = "CASE WHEN trim(__x0) <> '' AND trim(__x1) <> '' THEN __x0 || '|' || __x1 END" if model.is_pair else "__x0"
    share = "(1 + ('0x' || substr(__hash, 1, 4))::INTEGER % 499)"
    is_first = "substr(__hash, 5, 1) < '8'"
    explain = (
        f"""json('{{"' || CASE WHEN {is_first} THEN '{first}' ELSE '{second}' END || '":' || (1000 - {share}) / 1000 || """
        f"""',"' || CASE WHEN {is_first} THEN '{second}' ELSE '{first}' END || '":' || {share} / 1000 || '}}')"""
    )
    label = f"CASE WHEN {is_first} THEN '{first}' WHEN __hash IS NOT NULL THEN '{second}' END"
    values = (f"{share} / 1000", "NULL::JSON") if model.is_pair else (label, f"(1000 - {share}) / 1000", explain)
    failed = "trim(__x) <> '' AND contains(__x, 'fail')"
    columns = ", ".join(
        f"{value} AS {name}"
        for value, (name, _) in zip((*values, f"CASE WHEN __failed THEN '{ERROR}' END"), model.outputs, strict=True)
    )
    return (
        f"SELECT {columns} FROM (SELECT {failed} AS __failed, CASE WHEN trim(__x) <> '' AND NOT ({failed}) THEN "
        f"md5('{model.name.lower()} ' || __x) END AS __hash FROM (SELECT {text} AS __x FROM (SELECT {texts})))"
    )
