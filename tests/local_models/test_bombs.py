"""A small file that decodes to gigabytes is refused, or costs a few hundred megabytes."""

from __future__ import annotations

import pytest

from tests.support.media_bombs import MANY_SAMPLES, MAX_PEAK_MB, PRINT_OUTCOME, flac_silence, icon, png
from tests.support.memory import run_measured

DECODE_AUDIO = """
from huggingface_api_handler.server.models.speech_recognition import decode_audio as decode
"""
DECODE_IMAGE = """
from huggingface_api_handler.server.models.image_decoding import decode_image as decode
"""


@pytest.mark.parametrize(
    "content",
    [
        flac_silence(57_866),
        flac_silence(117_866, declared_samples=65_535),
        flac_silence(57_866, declared_samples=MANY_SAMPLES),
        flac_silence(200, rate_hz=1),
    ],
    ids=["unknown length", "a length too short", "a length too long", "one sample a second"],
)
def test_hours_of_silence_are_refused_before_they_fill_the_memory(content: bytes) -> None:
    outcome, peak_mb = run_measured(DECODE_AUDIO + PRINT_OUTCOME, content)
    assert outcome == "413" and peak_mb < MAX_PEAK_MB


def test_a_header_that_promises_much_costs_nothing() -> None:
    outcome, peak_mb = run_measured(DECODE_AUDIO + PRINT_OUTCOME, flac_silence(200, declared_samples=MANY_SAMPLES))
    assert outcome.startswith("(") and peak_mb < MAX_PEAK_MB


def test_the_longest_sound_that_is_heard_fits_into_the_memory() -> None:
    # 439 blocks of 65,535 samples, which are 29.97 minutes.
    outcome, peak_mb = run_measured(DECODE_AUDIO + PRINT_OUTCOME, flac_silence(6_050))
    assert outcome == f"({439 * 65_535},)" and peak_mb < MAX_PEAK_MB


@pytest.mark.parametrize("content", [png(12_000, 12_000), icon(12_000, 12_000)], ids=["PNG", "PNG in an icon"])
def test_too_large_an_image_is_refused_before_it_is_decoded(content: bytes) -> None:
    outcome, peak_mb = run_measured(DECODE_IMAGE + PRINT_OUTCOME, content)
    assert outcome == "413" and peak_mb < 150


def test_the_largest_image_that_is_decoded_fits_into_the_memory() -> None:
    outcome, peak_mb = run_measured(DECODE_IMAGE + PRINT_OUTCOME, png(7_000, 7_000))
    assert outcome == "(7000, 7000, 3)" and peak_mb < MAX_PEAK_MB
