"""The one exception that becomes an HTTP error response, and its usual cases."""

from __future__ import annotations

from collections.abc import Mapping

from .json_types import JSON


class HTTPError(Exception):
    """A request is answered with an error: `status`, and `{"error": error, **extra}` as JSON body.

    Attributes:
        status: HTTP status code, 400 to 599.
        body: JSON body of the response.
    """

    def __init__(self, status: int, error: str | list[str], **extra: JSON) -> None:
        """Describe the response.

        Args:
            status: HTTP status code, 400 to 599.
            error: What was wrong, with which value, and what to do.
            extra: Further keys of the JSON body.
        """
        super().__init__(error)
        self.status = status
        self.body: Mapping[str, JSON] = {"error": error, **extra}


def invalid_field(field: str, problem: str) -> HTTPError:
    """Build a 400 in the form of hf-inference: {"error": ["Error in `inputs`: ..."]}.

    Args:
        field: Path of the field, such as `inputs.0` or `parameters.top_k`.
        problem: What was expected, and what came.

    Returns:
        The error, for you to raise.
    """
    return HTTPError(400, [f"Error in `{field}`: {problem}"])


def batch_too_large(count: int, limit: int) -> HTTPError:
    """Build a 413 in the words of Text Embeddings Inference (router/src/http/server.rs).

    Args:
        count: Inputs in the request.
        limit: Most inputs that one request may have.

    Returns:
        The error, for you to raise.
    """
    return HTTPError(413, f"batch size {count} > maximum allowed batch size {limit}", error_type="Validation")


def input_too_long(message: str) -> HTTPError:
    """Build a 413 in the form of Text Embeddings Inference, so that clients treat both servers alike.

    Args:
        message: How long the input is, and how long it may be.

    Returns:
        The error, for you to raise.
    """
    return HTTPError(413, f"Input validation error: {message}", error_type="Validation")


def too_many_tokens(limit: int, given: int | str, status: int = 413) -> HTTPError:
    """Build the error for a text of too many tokens, in the words of Text Embeddings Inference.

    Args:
        limit: The most tokens of an input.
        given: How many the text has, or what else is known of that.
        status: HTTP status code.

    Returns:
        The error, for you to raise.
    """
    message = f"Input validation error: `inputs` must have less than {limit} tokens. Given: {given}"
    return HTTPError(status, message, error_type="Validation" if status == 413 else "validation")


def invalid_audio() -> HTTPError:
    """Build the 400 recorded from hf-inference for bytes that cannot be decoded as audio.

    Returns:
        The error, for you to raise.
    """
    return invalid_field("inputs", "Malformed soundfile")


def invalid_image() -> HTTPError:
    """Build the 400 recorded from hf-inference for bytes that cannot be decoded as an image.

    Returns:
        The error, for you to raise.
    """
    return invalid_field("inputs", "Invalid image: {}")
