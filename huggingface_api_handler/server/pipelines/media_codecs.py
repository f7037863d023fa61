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

from ..models.image_decoding import open_image
from ..protocol.errors import invalid_audio, invalid_field
from ..protocol.media_limits import MAX_AUDIO_S, MAX_VIDEO_PIXELS, audio_too_long, video_too_large
from ..protocol.outputs import MediaFile
from .transformers_types import PILImage

# Of all channels together.
_BLOCK_SAMPLES = 1 << 18


def decode_image(content: bytes) -> PILImage:
    """Decode an image, turned as its EXIF orientation says.

    Args:
        content: An image file.

    Returns:
        The image in RGB.

    Raises:
        HTTPError: 400 for what is no image, 413 for over 50 million pixels.
    """
    image: PILImage = open_image(content).convert("RGB")
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
        HTTPError: 400 for what is no audio, and for an empty file; 413 for more than 30 minutes.
    """
    soundfile: Any = importlib.import_module("soundfile")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            blocks = list(_resampled_blocks(file, sample_rate_hz))
    except (soundfile.SoundFileError, TypeError, ValueError):
        raise invalid_audio() from None
    if not blocks:
        raise invalid_field("inputs", "the sound is empty")
    return np.concatenate(blocks)


def _resampled_blocks(file: Any, sample_rate_hz: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield samples of one channel, at most 30 minutes of them, whatever the file's header says."""
    soxr: Any = importlib.import_module("soxr")
    # Without this, the pipelines would want torchaudio for it.
    resampler = soxr.ResampleStream(file.samplerate, sample_rate_hz, 1, dtype="float32")
    num_read = 0
    while len(block := file.read(max(1, _BLOCK_SAMPLES // file.channels), dtype="float32", always_2d=True)):
        num_read += len(block)
        # Before it is resampled: at a rate of 1 Hz, a block would become gigabytes.
        if num_read > MAX_AUDIO_S * file.samplerate:
            raise audio_too_long()
        mono: npt.NDArray[np.float32] = block.mean(axis=1)
        yield mono if file.samplerate == sample_rate_hz else resampler.resample_chunk(mono)
    if num_read and file.samplerate != sample_rate_hz:
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


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


def check_video(path: str, num_frames: int) -> None:
    """Check that as many frames of a video as a model takes fit into memory, by decoding it once, frame by frame.

    Args:
        path: The video file.
        num_frames: How many frames the model takes.

    Raises:
        HTTPError: 413 for larger frames than MAX_VIDEO_PIXELS allows.
        av.FFmpegError: It is no video.
    """
    av: Any = importlib.import_module("av")
    max_pixels = MAX_VIDEO_PIXELS // num_frames
    with av.open(path) as container:
        stream = container.streams.video[0]
        # A frame in the stream may be larger than the header says; FFmpeg itself gives up on those far beyond.
        stream.codec_context.options = {"max_pixels": str(MAX_VIDEO_PIXELS)}
        if stream.width * stream.height > max_pixels:
            raise video_too_large()
        for frame in container.decode(stream):
            if frame.width * frame.height > max_pixels:
                raise video_too_large()
