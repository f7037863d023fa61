"""Samples of sound as numbers, which some servers send as JSON, to a file of 16 bits a sample."""

from __future__ import annotations

import io
import math
import wave
from array import array

from ...errors import UnreadableAnswer
from ...redaction import preview

_MAX_CHANNELS = 8
_MAX_SAMPLING_RATE_HZ = 768_000
_MAX_AMPLITUDE = 8.0  # models overshoot 1 a little; more means that the numbers are in another unit
_FULL_SCALE = 32_767
_BYTES_A_SAMPLE = 2


def to_wav(samples: object, sampling_rate: object) -> bytes:
    """Write samples as a WAV file.

    Args:
        samples: Numbers between -1 and 1, or a list of them for each channel, also within lists of one. What is beyond
            is clipped.
        sampling_rate: Samples a second of one channel.

    Returns:
        The bytes of the file.

    Raises:
        UnreadableAnswer: There are no samples, or they are something else.

    >>> len(to_wav([[0.0, 0.5, -0.5]], 16000))
    50
    """
    if isinstance(sampling_rate, bool) or not isinstance(sampling_rate, (int, float)):
        raise UnreadableAnswer("the sound has no sampling_rate")
    if not 1 <= sampling_rate <= _MAX_SAMPLING_RATE_HZ or sampling_rate != int(sampling_rate):
        raise UnreadableAnswer(f"the sampling_rate of the sound is none: {preview(sampling_rate)}")
    channels = [_checked(channel) for channel in _channels(samples)]
    if len({len(channel) for channel in channels}) != 1:
        raise UnreadableAnswer("the channels of the sound are not of one length")
    interleaved = array("h", bytes(_BYTES_A_SAMPLE * len(channels) * len(channels[0])))
    for number, channel in enumerate(channels):
        interleaved[number :: len(channels)] = channel
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(len(channels))
        writer.setsampwidth(_BYTES_A_SAMPLE)
        writer.setframerate(int(sampling_rate))
        writer.writeframes(interleaved)
    return file.getvalue()


def _channels(samples: object) -> list[object]:
    while isinstance(samples, list) and len(samples) == 1 and isinstance(samples[0], list):
        samples = samples[0]
    if not isinstance(samples, list) or not samples:
        raise UnreadableAnswer("the sound is empty")
    if not isinstance(samples[0], list):
        return [samples]
    if len(samples) > _MAX_CHANNELS:
        raise UnreadableAnswer(f"the sound has {len(samples):,} channels, more than {_MAX_CHANNELS}")
    return samples


def _checked(channel: object) -> array[int]:
    """The samples of one channel as whole numbers of 16 bits."""
    if not isinstance(channel, list) or not channel:
        raise UnreadableAnswer("a channel of the sound is empty")
    if not set(map(type, channel)) <= {int, float} or not _are_finite(channel):
        raise UnreadableAnswer("the samples of the sound are not all numbers (NaN: the model overflowed)")
    highest, lowest = max(channel), min(channel)
    peak = max(highest, -lowest)
    if peak > _MAX_AMPLITUDE:
        raise UnreadableAnswer(f"the samples of the sound are not between -1 and 1, but up to {peak:g}")
    if peak > 1:
        channel = [min(max(sample, -1.0), 1.0) for sample in channel]
    return array("h", [round(sample * _FULL_SCALE) for sample in channel])


def _are_finite(channel: list[float]) -> bool:
    try:
        return all(map(math.isfinite, channel))
    except OverflowError:  # a whole number of more than 300 digits
        return False
