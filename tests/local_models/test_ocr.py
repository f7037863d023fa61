"""Text in images is read; what is no image is refused."""

from __future__ import annotations

import io

import pytest
from starlette.testclient import TestClient

from .conftest import ask

OCR = "local/ocr-rapid"
MODELS = (OCR,)
LINES = ["Invoice number 2047", "Total due: 319.50 EUR"]


def picture(lines: list[str], mode: str = "RGB", kind: str = "PNG") -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new(mode, (800, 240), (255, 255, 255, 0) if mode == "RGBA" else "white")
    font = ImageFont.load_default(44)
    for row, line in enumerate(lines):
        ImageDraw.Draw(image).text((30, 30 + 100 * row), line, fill="black", font=font)
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def squeezed(text: str) -> list[str]:
    """Without spaces, which the model sometimes drops."""
    return [line.replace(" ", "") for line in text.splitlines()]


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGB", "PNG"), ("RGB", "JPEG"), ("RGBA", "PNG"), ("L", "PNG"), ("RGB", "GIF")]
)
def test_lines_are_read_in_their_order(client: TestClient, mode: str, kind: str) -> None:
    [answer] = ask(client, OCR, picture(LINES, mode, kind))
    assert set(answer) == {"generated_text"}
    assert squeezed(answer["generated_text"]) == squeezed("\n".join(LINES))


@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream"])
def test_a_raw_body_is_read(client: TestClient, content_type: str) -> None:
    path = "/models/Salesforce/blip-image-captioning-large"
    response = client.post(path, content=picture(LINES), headers={"content-type": content_type})
    assert response.status_code == 200 and response.json() == ask(client, OCR, picture(LINES))


def test_a_picture_without_text_gives_an_empty_text(client: TestClient) -> None:
    assert ask(client, OCR, picture([])) == [{"generated_text": ""}]


@pytest.mark.parametrize("body", [b"", b"junk" * 99, b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"0" * 50])
def test_what_is_no_image_is_refused_in_the_recorded_words(client: TestClient, body: bytes) -> None:
    response = client.post(f"/models/{OCR}", content=body, headers={"content-type": "image/png"})
    assert response.status_code == 400
    assert response.json() == {"error": ["Error in `inputs`: Invalid image: {}"]}


def test_a_cut_off_image_is_refused(client: TestClient) -> None:
    response = client.post(f"/models/{OCR}", content=picture(LINES)[:900], headers={"content-type": "image/png"})
    assert response.status_code == 400


def test_an_image_of_too_many_pixels_is_413(client: TestClient) -> None:
    from PIL import Image

    file = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(file, "PNG")
    response = client.post(f"/models/{OCR}", content=file.getvalue(), headers={"content-type": "image/png"})
    assert response.status_code == 413
