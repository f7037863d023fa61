"""Samples as numbers become a file that plays, or the reason of their row."""

from __future__ import annotations

import io
import math
import wave
from typing import Any

import pytest

from huggingface_api_handler.errors import UnreadableAnswer
from huggingface_api_handler.inference.media.sniffing import content_type_of
from huggingface_api_handler.inference.media.wav import to_wav


def played(data: bytes) -> tuple[int, int, list[int]]:
    """Channels, sampling rate and samples, as the standard library reads them."""
    with wave.open(io.BytesIO(data)) as file:
        frames = file.readframes(file.getnframes())
        assert file.getsampwidth() == 2
        samples = [int.from_bytes(frames[at : at + 2], "little", signed=True) for at in range(0, len(frames), 2)]
        return file.getnchannels(), file.getframerate(), samples


@pytest.mark.parametrize(
    ("samples", "channels", "played_samples"),
    [
        ([0.0, 0.5, -0.5, 1.0, -1.0], 1, [0, 16384, -16384, 32767, -32767]),
        ([[0.0, 0.5]], 1, [0, 16384]),
        ([[[0.5]]], 1, [16384]),
        ([0, 1, -1], 1, [0, 32767, -32767]),
        ([1.5, -3.0, 0.5], 1, [32767, -32767, 16384]),
        ([[0.0, 1.0], [-1.0, 0.5]], 2, [0, -32767, 32767, 16384]),
    ],
)
def test_numbers_are_samples_of_16_bits(samples: Any, channels: int, played_samples: list[int]) -> None:
    data = to_wav(samples, 16000)
    assert played(data) == (channels, 16000, played_samples)
    assert content_type_of(data) == "audio/wav"


def test_a_sampling_rate_may_be_written_with_a_point() -> None:
    assert played(to_wav([0.5], 24000.0))[1] == 24000


@pytest.mark.parametrize(
    ("samples", "rate", "reason"),
    [
        ([0.5, math.nan], 16000, "not all numbers"),
        ([0.5, math.inf], 16000, "not all numbers"),
        ([0.5, None], 16000, "not all numbers"),
        ([0.5, "0.5"], 16000, "not all numbers"),
        ([0.5, True], 16000, "not all numbers"),
        ([0.5, 10**400], 16000, "not all numbers"),
        ([0.5, 12000.0], 16000, "not between -1 and 1, but up to 12000"),
        ([], 16000, "empty"),
        ([[]], 16000, "empty"),
        ([[], []], 16000, "empty"),
        ("text", 16000, "empty"),
        ([[0.5, 0.5], [0.5]], 16000, "not of one length"),
        ([[0.5], 0.5], 16000, "empty"),
        ([[0.5]] * 9, 16000, "9 channels"),
        ([0.5], None, "no sampling_rate"),
        ([0.5], "16000", "no sampling_rate"),
        ([0.5], True, "no sampling_rate"),
        ([0.5], 0, "sampling_rate of the sound is none"),
        ([0.5], -1, "sampling_rate of the sound is none"),
        ([0.5], 16000.5, "sampling_rate of the sound is none"),
        ([0.5], math.nan, "sampling_rate of the sound is none"),
        ([0.5], 10**9, "sampling_rate of the sound is none"),
        ([0.5], 10**400, "sampling_rate of the sound is none"),
    ],
)
def test_what_is_no_sound_is_the_rows_reason(samples: Any, rate: Any, reason: str) -> None:
    with pytest.raises(UnreadableAnswer, match=reason):
        to_wav(samples, rate)
