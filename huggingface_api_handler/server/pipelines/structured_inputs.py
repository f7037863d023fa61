"""What the tasks of pipelines may be sent, beyond texts and sentence pairs."""

from __future__ import annotations

from typing import Any

from ..protocol.errors import invalid_field
from ..protocol.request_body import ModelInputs
from . import media_codecs


def parse_video(inputs: Any) -> ModelInputs:
    """One video: its bytes, or base64, or a `data:` URI."""
    return ModelInputs([_content(inputs, "inputs")], False, -1)


def parse_image_question(inputs: Any) -> ModelInputs:
    """`{"image": base64, "question": text}`; the item is (bytes, question)."""
    fields = _fields(inputs, ("image", "question"))
    question = _text(fields["question"], "inputs.question")
    return ModelInputs([(_content(fields["image"], "inputs.image"), question)], False, len(question))


def parse_context_question(inputs: Any) -> ModelInputs:
    """`{"question": text, "context": text}`; the item is (question, context)."""
    fields = _fields(inputs, ("question", "context"))
    question = _text(fields["question"], "inputs.question")
    context = _text(fields["context"], "inputs.context")
    return ModelInputs([(question, context)], False, len(question) + len(context))


def parse_table_question(inputs: Any) -> ModelInputs:
    """`{"query": text, "table": {column: [cell, ...]}}`, or `question` for `query`; the item is (query, table)."""
    if isinstance(inputs, dict) and "query" not in inputs and "question" in inputs:
        inputs = {**inputs, "query": inputs["question"]}
    fields = _fields(inputs, ("query", "table"))
    query = _text(fields["query"], "inputs.query")
    table = fields["table"]
    if not isinstance(table, dict) or not table or not all(isinstance(cells, list) for cells in table.values()):
        raise invalid_field("inputs.table", "expected an object that has a list of cells for each column")
    lengths = {len(cells) for cells in table.values()}
    if len(lengths) > 1 or lengths == {0}:
        raise invalid_field("inputs.table", "the columns are empty or differ in length")
    # TAPAS reads texts alone.
    texts = {name: ["" if cell is None else str(cell) for cell in cells] for name, cells in table.items()}
    return ModelInputs([(query, texts)], False, len(query))


def _content(value: Any, field: str) -> bytes:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if not isinstance(value, str):
        raise invalid_field(field, "expected a file as base64 or as a data: URI")
    return media_codecs.decode_base64(value, field)


def _fields(inputs: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(inputs, dict):
        raise invalid_field("inputs", f"expected an object with {' and '.join(f'`{name}`' for name in names)}")
    for name in names:
        if name not in inputs:
            raise invalid_field(f"inputs.{name}", "field required")
    return inputs


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise invalid_field(field, "expected a text")
    return value
