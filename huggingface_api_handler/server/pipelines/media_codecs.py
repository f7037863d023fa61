"""Images, audio and video between their files' bytes and what pipelines take and give.

A pipeline would also take a URL or a path of this machine as its input; bytes are decoded here, so that a request
can name neither.
"""

from __future__ import annotations

import base64
import importlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from ..protocol.errors import invalid_audio, invalid_field, invalid_image
from ..protocol.outputs import MediaFile
from .transformers_types import PILImage


def decode_image(content: bytes) -> PILImage:
    """Decode an image, turned as its EXIF orientation says.

    Args:
        content: An image file.

    Returns:
        The image in RGB.

    Raises:
        HTTPError: 400 for what is no image.
    """
    pil_image: Any = importlib.import_module("PIL.Image")
    pil_operations: Any = importlib.import_module("PIL.ImageOps")
    try:
        with pil_image.open(io.BytesIO(content)) as opened:
            image: PILImage = pil_operations.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, pil_image.DecompressionBombError) as error:
        raise invalid_image() from error
    return image


def encode_png(image: PILImage) -> bytes:
    """Encode an image.

    Args:
        image: The image.

    Returns:
        A PNG file.
    """
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def encode_png_base64(image: PILImage) -> str:
    """Encode an image for JSON.

    Args:
        image: The image.

    Returns:
        A PNG file as base64.
    """
    return base64.b64encode(encode_png(image)).decode("ascii")


def image_file(image: PILImage) -> MediaFile:
    """Make an output of an image.

    Args:
        image: The image.

    Returns:
        A PNG file.
    """
    return MediaFile(encode_png(image), "image/png")


def decode_audio(content: bytes, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """Decode an audio file; its channels are averaged.

    Args:
        content: A WAV, FLAC, OGG or MP3 file.
        sample_rate_hz: Samples a second to give.

    Returns:
        Samples of shape (samples,), -1 to 1.

    Raises:
        HTTPError: 400 for what is no audio, and for an empty file.
    """
    soundfile: Any = importlib.import_module("soundfile")
    soxr: Any = importlib.import_module("soxr")
    try:
        samples, found_rate_hz = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError, ValueError):
        raise invalid_audio() from None
    if not len(samples):
        raise invalid_field("inputs", "the sound is empty")
    mono: npt.NDArray[np.float32] = samples.mean(axis=1)
    if found_rate_hz == sample_rate_hz:
        return mono
    # Without this, the pipelines would want torchaudio for it.
    resampled: npt.NDArray[np.float32] = soxr.resample(mono, found_rate_hz, sample_rate_hz)
    return resampled


def audio_file(samples: npt.ArrayLike, sample_rate_hz: int) -> MediaFile:
    """Make an output of audio, in the format recorded from Hugging Face.

    Args:
        samples: Samples of shape (samples,), (channels, samples) or (1, channels, samples), -1 to 1.
        sample_rate_hz: Samples a second.

    Returns:
        A FLAC file.
    """
    soundfile: Any = importlib.import_module("soundfile")
    channels = np.atleast_2d(np.squeeze(np.asarray(samples, dtype=np.float32)))
    file = io.BytesIO()
    soundfile.write(file, np.clip(channels, -1, 1).T, sample_rate_hz, format="FLAC")
    return MediaFile(file.getvalue(), "audio/flac")


@contextmanager
def temporary_video_file(content: bytes) -> Iterator[str]:
    """Keep a video in a file for as long as the block runs: the pipeline opens videos by their path alone.

    Args:
        content: A video file.

    Yields:
        Path of the file.
    """
    with tempfile.NamedTemporaryFile(suffix=".video") as file:
        file.write(content)
        file.flush()
        yield file.name
