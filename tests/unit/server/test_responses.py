"""A file is sent as it is."""

from __future__ import annotations

from huggingface_api_handler.server.protocol import outputs
from huggingface_api_handler.server.responses import output_response


def test_a_file_is_answered_as_it_is_with_its_type() -> None:
    response = output_response(outputs.MediaFile(b"RIFF", "audio/wav"), {"x-sha": "a"})
    assert response.body == b"RIFF" and response.headers["content-type"] == "audio/wav"
    assert response.headers["x-sha"] == "a" and response.headers["x-request-id"]
