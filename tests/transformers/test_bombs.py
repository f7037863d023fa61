"""A small file that decodes to gigabytes is refused, or costs a few hundred megabytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.server.pipelines import media_codecs
from huggingface_api_handler.server.protocol.errors import HTTPError
from huggingface_api_handler.server.protocol.media_limits import MAX_VIDEO_PIXELS
from tests.support.media_bombs import MANY_SAMPLES, MAX_PEAK_MB, PRINT_OUTCOME, flac_silence, icon, png
from tests.support.memory import run_measured

from .fixtures import Asker

DECODE_AUDIO = """
from huggingface_api_handler.server.pipelines.media_codecs import decode_audio
decode = lambda content: decode_audio(content, 16_000)
"""
DECODE_IMAGE = """
import numpy
from huggingface_api_handler.server.pipelines.media_codecs import decode_image
decode = lambda content: numpy.asarray(decode_image(content))
"""


@pytest.mark.parametrize(
    "content",
    [flac_silence(57_866), flac_silence(117_866, declared_samples=MANY_SAMPLES), flac_silence(200, rate_hz=1)],
    ids=["unknown length", "a length too long", "one sample a second"],
)
def test_hours_of_silence_are_refused_before_they_fill_the_memory(content: bytes) -> None:
    outcome, peak_mb = run_measured(DECODE_AUDIO + PRINT_OUTCOME, content)
    assert outcome == "413" and peak_mb < MAX_PEAK_MB


@pytest.mark.parametrize("declared_samples", [65_535, MANY_SAMPLES])
def test_a_header_that_promises_much_costs_nothing(declared_samples: int) -> None:
    content = flac_silence(200, declared_samples=declared_samples)
    outcome, peak_mb = run_measured(DECODE_AUDIO + PRINT_OUTCOME, content)
    assert outcome in ("(65535,)", "400") and peak_mb < MAX_PEAK_MB


@pytest.mark.parametrize("content", [png(12_000, 12_000), icon(12_000, 12_000)], ids=["PNG", "PNG in an icon"])
def test_too_large_an_image_is_refused_before_it_is_decoded(content: bytes) -> None:
    outcome, peak_mb = run_measured(DECODE_IMAGE + PRINT_OUTCOME, content)
    assert outcome == "413" and peak_mb < 150


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_sound_decoded_in_blocks_is_what_it_is_expected(rate_hz: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy
    import soundfile

    file = io.BytesIO()
    noise = numpy.random.default_rng(1).normal(0, 0.1, (5 * rate_hz, 2))
    soundfile.write(file, noise, rate_hz, format="FLAC")
    expected = media_codecs.decode_audio(file.getvalue(), 16_000)
    monkeypatch.setattr(media_codecs, "_BLOCK_SAMPLES", 1_000)
    assert numpy.array_equal(media_codecs.decode_audio(file.getvalue(), 16_000), expected)


def video(width: int, height: int, path: Path) -> str:
    """A video file of three frames."""
    import av

    with av.open(str(path), "w", format="matroska") as container:
        stream: Any = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(width, height, "yuvj420p")))
        container.mux(stream.encode())
    return str(path)


def test_more_pixels_than_fit_into_the_memory_are_refused(tmp_path: Path) -> None:
    path = video(2000, 1600, tmp_path / "film")
    media_codecs.check_video(path, 15)
    with pytest.raises(HTTPError) as error:
        media_codecs.check_video(path, 16)
    assert error.value.status == 413


def test_a_frame_larger_than_the_header_says_is_refused(tmp_path: Path) -> None:
    path = Path(video(640, 480, tmp_path / "film"))
    content = path.read_bytes()
    # Matroska's PixelWidth and PixelHeight. A JPEG has its own size too.
    lying = content.replace(bytes.fromhex("b0820280ba8201e0"), bytes.fromhex("b0820010ba820010"))
    assert lying != content
    path.write_bytes(lying)
    with pytest.raises(HTTPError):
        media_codecs.check_video(str(path), MAX_VIDEO_PIXELS // (640 * 480) + 1)


def test_too_many_frames_are_refused(ask: Asker, film: bytes) -> None:
    for num_frames in (1_000_000_000, 0, "many"):
        assert "num_frames" in ask.refused("video", film, num_frames=num_frames)
