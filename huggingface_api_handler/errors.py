"""The exceptions that this package raises on purpose."""

from __future__ import annotations

from .printable import printable
from .redaction import redact


class HuggingFaceAPIError(Exception):
    """Base of every error this package raises on purpose. ``str()`` is a message for people, with no key in it."""

    def __init__(self, *args: object) -> None:
        """Redact the message, and take out what cannot be printed.

        Args:
            args: The message. Keys and passwords in it are replaced by ``...``.
        """
        # Printable first: a key with invisible characters in it would not be recognised.
        super().__init__(*(redact(printable(arg)) if isinstance(arg, str) else arg for arg in args))


class InputError(HuggingFaceAPIError, ValueError):
    """A USING clause or a table cannot be used. No request was sent for it."""


class MissingArgumentError(InputError):
    """A USING clause leaves out an argument that is needed."""


class DryRunSummary(HuggingFaceAPIError):  # noqa: N818 - read as what it is
    """The figures of a dry run, where MindsDB would keep a table of them as predictions."""


class InferenceError(HuggingFaceAPIError, RuntimeError):
    """No prediction could be made. The message says why, and what to do about it."""


class SessionClosedError(InferenceError):
    """A session was used after it was closed, or closed while a query ran in it."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("the session is closed. Open another one: with Session() as session: ...")


class UnreadableAnswer(HuggingFaceAPIError, ValueError):  # noqa: N818 - read as what happened
    """A server's answer does not have the shape that its task has."""


class MediaError(HuggingFaceAPIError, ValueError):
    """An image, sound or video could not be loaded or saved. ``str()`` becomes its row's error."""
