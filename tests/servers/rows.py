"""Rows by their number. Other numbers have other texts, pictures and sounds."""

from __future__ import annotations

import io
import math
import random
import struct
import wave
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

Row: TypeAlias = Mapping[str, Any]
"""The cells of a row, by column."""

WORDS = [
    "cat",
    "dog",
    "mat",
    "good",
    "bad",
    "happy",
    "person",
    "sunny",
    "day",
    "capital",
    "france",
    "paris",
    "stars",
    "repository",
    "transformers",
    "datasets",
    "example",
    "animal",
    "car",
    "red",
    "blue",
    "text",
    "about",
    "hello",
    "world",
    "legal",
    "refund",
]
LABELS = ["animal", "car", "legal"]


def words(number: int, count: int = 0) -> str:
    """A text of words that the tiny models know."""
    chosen = random.Random(f"text {number}")
    return " ".join(chosen.choices(WORDS, k=count or chosen.randint(5, 12)))


def text(number: int) -> Row:
    """A text."""
    return {"text": words(number)}


def pair(number: int) -> Row:
    """Two texts; four in a row share their first."""
    return {"text": words(-1 - number // 4), "text2": words(number)}


def question(number: int) -> Row:
    """A question and the text that holds its answer."""
    return {"text": words(number, 3), "context": words(-1 - number, 20)}


def masked(number: int) -> Row:
    """A text with a word left out."""
    first, second, *rest = words(number).split()
    return {"text": " ".join([first, second, "[MASK]", *rest])}


def picture(number: int) -> bytes:
    """A PNG of 32 x 32 pixels."""
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def image(number: int) -> Row:
    """A picture."""
    return {"image": picture(number)}


def image_question(number: int) -> Row:
    """A picture and a question on it."""
    return {"image": picture(number), "question": words(number, 4)}


def sound(number: int) -> bytes:
    """A WAV of a third of a second: a tone, and another one over it."""
    rate = 16_000
    chosen = random.Random(f"sound {number}")
    first, second = chosen.uniform(100, 2000), chosen.uniform(100, 7000)
    samples = (
        0.3 * math.sin(first * n / rate * 6.283) + 0.3 * math.sin(second * n / rate * 6.283) for n in range(rate // 3)
    )
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(b"".join(struct.pack("<h", int(32_000 * sample)) for sample in samples))
    return file.getvalue()


def audio(number: int) -> Row:
    """A sound."""
    return {"audio": sound(number)}


def table_row(number: int) -> Row:
    """A row of numbers."""
    chosen = random.Random(f"row {number}")
    return {"a": round(chosen.uniform(0, 9), 3), "b": round(chosen.uniform(0, 9), 3)}


TOO_LONG: Row = {"text": words(0, 300)}
NO_IMAGE: Row = {"image": b"\x89PNG\r\n\x1a\n but no more"}
NO_SOUND: Row = {"audio": b"RIFF\x24\x00\x00\x00WAVE but no more"}
