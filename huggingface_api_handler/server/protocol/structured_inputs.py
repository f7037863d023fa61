"""Parsers of `inputs` for questions about a text, a table or an image, and for videos."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from .errors import invalid_field
from .inputs import NO_CHARACTERS, ModelInputs


class ImageQuestion(NamedTuple):
    """A question about an image."""

    image: bytes
    question: str


class ContextQuestion(NamedTuple):
    """A question, and the text that holds its answer."""

    question: str
    context: str


class TableQuestion(NamedTuple):
    """A question about a table: columns by name, all of one length, every cell a text."""

    query: str
    table: dict[str, list[str]]


def parse_video(inputs: object) -> ModelInputs[bytes]:
    """Parse one video file: the bytes of a raw body, base64, or a `data:` URI.

    Args:
        inputs: The request's `inputs`.

    Returns:
        The file's bytes as the only item; they are not decoded yet.

    Raises:
        HTTPError: 400 for another type, and for base64 that cannot be decoded.
    """
    return ModelInputs([_file_bytes(inputs, "inputs")], False, NO_CHARACTERS)


def parse_image_question(inputs: object) -> ModelInputs[ImageQuestion]:
    """Parse `{"image": base64, "question": text}`.

    Args:
        inputs: The request's `inputs`.

    Returns:
        The image's bytes and the question as the only item.

    Raises:
        HTTPError: 400 for another form.
    """
    fields = _required_fields(inputs, ("image", "question"))
    question = _text(fields["question"], "inputs.question")
    item = ImageQuestion(_file_bytes(fields["image"], "inputs.image"), question)
    return ModelInputs([item], False, len(question))


def parse_context_question(inputs: object) -> ModelInputs[ContextQuestion]:
    """Parse `{"question": text, "context": text}`.

    Args:
        inputs: The request's `inputs`.

    Returns:
        Question and context as the only item.

    Raises:
        HTTPError: 400 for another form.
    """
    fields = _required_fields(inputs, ("question", "context"))
    question = _text(fields["question"], "inputs.question")
    context = _text(fields["context"], "inputs.context")
    return ModelInputs([ContextQuestion(question, context)], False, len(question) + len(context))


def parse_table_question(inputs: object) -> ModelInputs[TableQuestion]:
    """Parse `{"query": text, "table": {column: [cell, ...]}}`; `question` may stand for `query`.

    Args:
        inputs: The request's `inputs`.

    Returns:
        Query and table as the only item. Cells become texts, null becomes an empty one.

    Raises:
        HTTPError: 400 for another form, and for columns that are empty or differ in length.
    """
    if isinstance(inputs, dict) and "query" not in inputs and "question" in inputs:
        inputs = {**inputs, "query": inputs["question"]}
    fields = _required_fields(inputs, ("query", "table"))
    query = _text(fields["query"], "inputs.query")
    table = fields["table"]
    if not isinstance(table, dict) or not table or not all(isinstance(cells, list) for cells in table.values()):
        raise invalid_field("inputs.table", "expected an object that has a list of cells for each column")
    lengths = {len(cells) for cells in table.values()}
    if len(lengths) > 1 or lengths == {0}:
        raise invalid_field("inputs.table", "the columns are empty or differ in length")
    # TAPAS reads texts alone.
    texts = {name: ["" if cell is None else str(cell) for cell in cells] for name, cells in table.items()}
    return ModelInputs([TableQuestion(query, texts)], False, len(query))


def _file_bytes(value: object, field: str) -> bytes:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if not isinstance(value, str):
        raise invalid_field(field, "expected a file as base64 or as a data: URI")
    text = value.partition(",")[2] if value.startswith("data:") else value
    try:
        content = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        content = b""
    if not content:
        problem = "expected a file as base64 or as a data: URI (or its bytes as the request's body)"
        raise invalid_field(field, problem)
    return content


def _required_fields(inputs: object, names: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(inputs, dict):
        raise invalid_field("inputs", f"expected an object with {' and '.join(f'`{name}`' for name in names)}")
    for name in names:
        if name not in inputs:
            raise invalid_field(f"inputs.{name}", "field required")
    return inputs


def _text(value: object, field: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise invalid_field(field, "expected a text")
    return value
