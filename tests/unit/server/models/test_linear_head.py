"""The shipped sentiment head is the recorded one."""

from __future__ import annotations

from pathlib import Path

from huggingface_api_handler.server import weights
from huggingface_api_handler.server.models import linear_head


def test_the_head_in_the_package_is_small_and_the_recorded_one() -> None:
    assert linear_head.HEAD_PATH.stat().st_size < 2_000_000
    assert weights.file_sha256(linear_head.HEAD_PATH) == linear_head.metadata()["sha256"]


def test_a_head_survives_writing_and_reading(tmp_path: Path) -> None:
    head = linear_head.load_head()
    linear_head.write_head(tmp_path / "head.npz", head)
    again = linear_head.read_head(tmp_path / "head.npz")
    assert again.words == head.words and again.characters == head.characters
    assert again.bias == head.bias and again.vector.tolist() == head.vector.tolist()
