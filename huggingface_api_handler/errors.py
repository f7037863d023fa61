"""The exceptions that this package raises on purpose."""

from __future__ import annotations

from .redaction import redact


class HuggingFaceAPIError(Exception):
    """Base of every error this package raises on purpose. ``str()`` is a sentence for the person, with no key in it."""

    def __init__(self, *told: object) -> None:
        super().__init__(*(redact(part) if isinstance(part, str) else part for part in told))


class InputError(HuggingFaceAPIError, ValueError):
    """A USING clause or a table that cannot be used as given. No request was sent for it."""


class InferenceError(HuggingFaceAPIError, RuntimeError):
    """Inference did not happen, with the reason and what to do about it."""


class UnreadableAnswer(HuggingFaceAPIError, ValueError):  # noqa: N818 - read as what happened
    """A server answered, in a shape that the task does not have."""


class MediaError(HuggingFaceAPIError, ValueError):
    """An image, sound or video that cannot be had from its cell, or not be kept. ``str()`` is its row's error."""
