"""From the bytes of a request to `inputs`, `parameters` and options; `inputs` stay unchecked here."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from .errors import HTTPError, invalid_field
from .json_types import Parameters
from .media_types import is_media

MAX_BODY_BYTES = 10_000_000

_MAX_SIGNATURE_BYTES = 16
# Python's garbage collector looks at each many times: three million empty lists keep other requests waiting for 4 s.
_MAX_CONTAINERS = 500_000

_MEDIA_CONTENT_TYPES = ("image/", "audio/", "video/")
# They say nothing of a body: the first is nobody's choice, the second curl's default for any.
_UNKNOWN_CONTENT_TYPES = ("application/octet-stream", "application/x-www-form-urlencoded")
# Text Embeddings Inference reads these beside `inputs`, the Inference API inside `parameters`.
_PARAMETERS_BESIDE_INPUTS = ("normalize", "truncate", "truncation_direction", "prompt_name")


@dataclass(frozen=True)
class RequestBody:
    """A request, taken apart.

    Attributes:
        inputs: The JSON value of `inputs`, or the bytes of a raw media body. A task checks it.
        parameters: Parameters by name, unchecked.
        wait_for_model: False where the client wants a 503 while a model loads; None where it does not say.
        stream: The client wants the output as it comes.
    """

    inputs: object
    parameters: Parameters
    wait_for_model: bool | None = None
    stream: bool = False


def parse_request_body(raw: bytes, content_type: str) -> RequestBody:
    """Parse a body of any kind: with a media type the body is the input itself, else it is JSON.

    Where the type says nothing, the first bytes do.

    Args:
        raw: The whole body.
        content_type: Value of the `Content-Type` header; empty when there is none.

    Returns:
        The parts of the request.

    Raises:
        HTTPError: 400 and 413, as `parse_json_body` does.
    """
    content_type = content_type.strip().lower()
    if content_type.startswith(_MEDIA_CONTENT_TYPES):
        return RequestBody(raw, {})
    if not content_type or content_type.startswith(_UNKNOWN_CONTENT_TYPES):
        if is_media(raw[:_MAX_SIGNATURE_BYTES]):
            return RequestBody(raw, {})
        # A file of a format that is not known here goes to the model, whose decoder may know it.
        if content_type.startswith("application/octet-stream") and raw.lstrip()[:1] != b"{":
            return RequestBody(raw, {})
    return parse_json_body(raw)


def parse_json_body(raw: bytes) -> RequestBody:
    """Parse `{"inputs": ..., "parameters": {...}, "options": {...}}`; other keys are ignored.

    Args:
        raw: The whole body.

    Returns:
        The parts of the request.

    Raises:
        HTTPError: 400 for what is not JSON (text that is not UTF-8, NaN and too deep nesting included), and for an
            object without `inputs` or with parameters of another type; 413 as `parse_json` does.
    """
    content = parse_json(raw, "inputs")
    if not isinstance(content, dict):
        type_name = json_type_name(content)
        raise HTTPError(400, f"The body is a JSON {type_name}; send an object with the key `inputs`.")
    if "inputs" not in content:
        raise invalid_field("inputs", "field required")
    parameters = _get_object(content, "parameters")
    beside_inputs = {name: content[name] for name in _PARAMETERS_BESIDE_INPUTS if name in content}
    wait_for_model = _get_object(content, "options").get("wait_for_model")
    return RequestBody(
        content["inputs"],
        {**beside_inputs, **parameters},
        wait_for_model if isinstance(wait_for_model, bool) else None,
        content.get("stream") is True,
    )


def parse_json(raw: bytes, key: str) -> object:
    """Parse a body of bounded size, and of a bounded number of lists and objects.

    Args:
        raw: The whole body.
        key: What an object must have, for the error.

    Returns:
        The JSON value.

    Raises:
        HTTPError: 400 for what is not JSON, 413 for over 500,000 lists and objects. Brackets in texts count too.
    """
    if raw.count(b"[") + raw.count(b"{") > _MAX_CONTAINERS:
        most = f"{_MAX_CONTAINERS:,} lists and objects"
        raise HTTPError(413, f"The body has over {most}, or as many brackets in its texts. Send fewer inputs.")
    try:
        content: object = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise HTTPError(400, f"The body is not valid JSON: {error}. Send an object with the key `{key}`.") from None
    return content


def parse_object(raw: bytes, *keys: str) -> dict[str, object]:
    """Parse a body that must be an object.

    Args:
        raw: The whole body.
        keys: What it must have, for the error.

    Returns:
        The object.

    Raises:
        HTTPError: As `parse_json` does, and 400 for another value.
    """
    content = parse_json(raw, keys[0])
    if not isinstance(content, dict):
        names = f"the key{'s' * (len(keys) > 1)} {' and '.join(f'`{key}`' for key in keys)}"
        raise HTTPError(400, f"The body is not a JSON object; send one with {names}.")
    return content


def json_type_name(value: object) -> str:
    """Name a value's type as JSON does.

    Args:
        value: A parsed JSON value, or the bytes of a raw body.

    Returns:
        string, number, boolean, list, object, null, or "raw media body" for bytes.
    """
    if isinstance(value, bool):
        return "boolean"
    names: dict[type, str] = {str: "string", int: "number", float: "number", list: "list", dict: "object"}
    return "raw media body" if isinstance(value, bytes) else names.get(type(value), "null")


def _get_object(content: Parameters, name: str) -> Parameters:
    value = content.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_field(name, f"expected an object, got {json_type_name(value)}")
    return value
