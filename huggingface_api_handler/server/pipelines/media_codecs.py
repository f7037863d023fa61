"""Images, sound and video between their files' bytes and what pipelines take and give.

A pipeline would also take a URL or a path of this machine as its input; bytes are decoded here, so that a request
can name neither.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from ..protocol import media_inputs
from ..protocol.errors import invalid_field


def decode_base64(text: str, field: str = "inputs") -> bytes:
    """The bytes of base64 or of a `data:` URI. Raises HTTPError 400."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        content = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        content = b""
    if not content:
        raise invalid_field(field, "expected a file as base64 or as a data: URI (or its bytes as the request's body)")
    return content


def decode_image(content: bytes) -> Any:
    """A Pillow image in RGB, turned as its EXIF orientation says. Raises HTTPError 400."""
    pillow: Any = importlib.import_module("PIL.Image")
    operations: Any = importlib.import_module("PIL.ImageOps")
    try:
        with pillow.open(io.BytesIO(content)) as opened:
            return operations.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise media_inputs.invalid_image() from error


def encode_png(picture: Any) -> bytes:
    """An image as a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def image_file(picture: Any) -> media_inputs.MediaFile:
    """An image as an answer that is a PNG file."""
    return media_inputs.MediaFile(encode_png(picture), "image/png")


def encode_png_base64(picture: Any) -> str:
    """An image as base64 of a PNG file."""
    return base64.b64encode(encode_png(picture)).decode("ascii")


def decode_audio(content: bytes, rate: int) -> npt.NDArray[np.float32]:
    """One channel of samples, `rate` a second, from WAV, FLAC, OGG or MP3. Raises HTTPError 400."""
    soundfile: Any = importlib.import_module("soundfile")
    soxr: Any = importlib.import_module("soxr")
    try:
        samples, found_rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError, ValueError):
        raise media_inputs.invalid_audio() from None
    if not len(samples):
        raise invalid_field("inputs", "the sound is empty")
    mono: npt.NDArray[np.float32] = samples.mean(axis=1)
    # Without this, the pipelines would want torchaudio for it.
    resampled: npt.NDArray[np.float32] = mono if found_rate == rate else soxr.resample(mono, found_rate, rate)
    return resampled


def audio_file(samples: Any, rate: int) -> media_inputs.MediaFile:
    """A FLAC file, the format recorded from Hugging Face.

    `samples` have shape (length,), (channels, length) or (1, channels, length) and lie between -1 and 1.
    """
    soundfile: Any = importlib.import_module("soundfile")
    channels = np.atleast_2d(np.squeeze(np.asarray(samples, dtype=np.float32)))
    file = io.BytesIO()
    soundfile.write(file, np.clip(channels, -1, 1).T, rate, format="FLAC")
    return media_inputs.MediaFile(file.getvalue(), "audio/flac")


@contextmanager
def temporary_video_file(content: bytes) -> Iterator[str]:
    """A file with the video for as long as the block runs: the pipeline opens videos by their path alone."""
    with tempfile.NamedTemporaryFile(suffix=".video") as file:
        file.write(content)
        file.flush()
        yield file.name
