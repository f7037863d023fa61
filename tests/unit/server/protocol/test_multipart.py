"""Forms are taken apart, and damaged ones refused."""

from __future__ import annotations

import pytest

from huggingface_api_handler.server.protocol.errors import HTTPError
from huggingface_api_handler.server.protocol.multipart import Form, parse_form

TYPE = "multipart/form-data; boundary=xyz"


def part(head: str, content: bytes) -> bytes:
    return b"--xyz\r\ncontent-disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"


def test_fields_and_files_are_told_apart() -> None:
    sound = b"RIFF\r\n--xy\r\n\r\n\x00\xff"
    body = part('name="model"', "é".encode()) + part('name="a[]"', b"1") + part('name="a[]"', b"2")
    body += part('name="file"; filename="s.wav"\r\ncontent-type: audio/wav', sound) + b"--xyz--\r\n"
    assert parse_form(body, TYPE) == Form({"model": ["é"], "a[]": ["1", "2"]}, {"file": sound})


def test_a_field_is_read_by_its_name() -> None:
    form = Form({"a": ["1", "2"], "empty": [""]})
    assert (form.get("a"), form.get("empty"), form.get("missing")) == ("1", None, None)


FILE = part('name="file"; filename="s.wav"', b"x")


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (FILE + b"--xyz--", "application/json", "multipart/form-data"),
        (FILE + b"--xyz--", "multipart/form-data", "boundary"),
        (FILE + b"--xyz--", f"multipart/form-data; boundary={'x' * 71}", "70"),
        (FILE, TYPE, "cut off"),
        (b"", TYPE, "cut off"),
        (b"no form", TYPE, "cut off"),
        (FILE + FILE + b"--xyz--", TYPE, "several files"),
        (b"--xyz\r\nno headers\r\n--xyz--", TYPE, "no headers"),
        (b"--xyz\r\n" + b"a: " + b"b" * 9000 + b"\r\n\r\nx\r\n--xyz--", TYPE, "too long"),
        (b"--xyz\r\na: b\r\n\r\nx\r\n--xyz--", TYPE, "no name"),
        (part('name="a"', b"") * 65 + b"--xyz--", TYPE, "64 parts"),
    ],
)
def test_a_damaged_form_is_refused(body: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(HTTPError, match=reason) as refused:
        parse_form(body, content_type)
    assert refused.value.status == 400
