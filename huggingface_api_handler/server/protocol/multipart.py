"""Bodies of type multipart/form-data: https://www.rfc-editor.org/rfc/rfc7578."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser

from .errors import HTTPError

_MAX_PARTS = 64
_MAX_PART_HEAD_BYTES = 8_192
_MAX_BOUNDARY_CHARS = 70


@dataclass(frozen=True)
class Form:
    """A form, taken apart.

    Attributes:
        fields: The values of each field, in order.
        files: The bytes of each file, by the name of its field.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        """Read a field that has one value.

        Args:
            name: The field's name.

        Returns:
            Its first value, or None where it is missing or empty.
        """
        return next(iter(self.fields.get(name, ())), None) or None


def parse_form(raw: bytes, content_type: str) -> Form:
    """Parse a form.

    Args:
        raw: The whole body.
        content_type: Value of the `Content-Type` header.

    Returns:
        Its fields and files.

    Raises:
        HTTPError: 400 for another content type, for a form that is cut off or damaged, and for one with more than 64
            parts or two files of one name.
    """
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_boundary("")
    if message.get_content_type() != "multipart/form-data" or not boundary:
        raise HTTPError(400, "Send the file as a form, of type multipart/form-data with a boundary.")
    if len(boundary) > _MAX_BOUNDARY_CHARS or not boundary.isascii():
        raise HTTPError(400, f"The form's boundary is not ASCII, or longer than {_MAX_BOUNDARY_CHARS} characters.")
    # The first boundary may be at the very start.
    _, *parts = (b"\r\n" + raw).split(b"\r\n--" + boundary.encode(), _MAX_PARTS + 1)
    if len(parts) > _MAX_PARTS:
        raise HTTPError(400, f"The form has more than {_MAX_PARTS} parts.")
    if not parts or not parts[-1].startswith(b"--"):
        raise HTTPError(400, "The form is cut off: its last boundary is missing.")
    form = Form()
    for part in parts[:-1]:
        _add_part(form, part)
    return form


def _add_part(form: Form, part: bytes) -> None:
    head, separator, content = part.partition(b"\r\n\r\n")
    if not separator or len(head) > _MAX_PART_HEAD_BYTES:
        raise HTTPError(400, "A part of the form has no headers, or too long ones.")
    headers = BytesHeaderParser().parsebytes(head.lstrip() + b"\r\n\r\n")
    name = headers.get_param("name", header="content-disposition")
    if not isinstance(name, str):
        raise HTTPError(400, "A part of the form has no name.")
    if headers.get_filename() is None:
        form.fields.setdefault(name, []).append(content.decode("utf-8", "replace"))
    elif name in form.files:
        raise HTTPError(400, f"The form has several files named {name[:80]!r}. Send one in a request.")
    else:
        form.files[name] = content
