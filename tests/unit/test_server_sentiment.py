"""The shipped sentiment head is as good as its metadata says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app, linear_head, weights

HELD_OUT = Path(__file__).parents[2] / "training" / "held_out.tsv"
MODEL = "/models/local/sentiment"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(), headers={"x-wait-for-model": "true"}) as client:
        yield client


def best_labels(client: TestClient, texts: list[str]) -> list[str]:
    labels: list[str] = []
    for start in range(0, len(texts), 128):
        response = client.post(MODEL, json={"inputs": texts[start : start + 128], "parameters": {"top_k": 1}})
        assert response.status_code == 200, response.text
        labels += [best["label"] for [best] in response.json()]
    return labels


@pytest.mark.same_on_every_python
def test_held_out_accuracy_is_at_least_84_percent_and_what_the_metadata_says(client: TestClient) -> None:
    rows = [line.split("\t", 1) for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 2000 and {label for label, _ in rows} == {"POSITIVE", "NEGATIVE"}
    answers = best_labels(client, [text for _, text in rows])
    accuracy = sum(answer == label for answer, (label, _) in zip(answers, rows, strict=True)) / len(rows)
    assert accuracy >= 0.84
    # Another processor may round one text in a thousand to the other side.
    assert accuracy == pytest.approx(linear_head.facts()["held_out_accuracy"], abs=0.002)
    assert f"{linear_head.facts()['held_out_accuracy']:.1%} right" in client.get(MODEL).json()["quality"]


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("POSITIVE", "I like you. I love you."),
        ("POSITIVE", "Best headphones I have ever owned, the sound is amazing."),
        ("POSITIVE", "The pasta was delicious and the staff were friendly."),
        ("POSITIVE", "A funny, moving film with a wonderful cast."),
        ("POSITIVE", "Great value, works perfectly and arrived early."),
        ("NEGATIVE", "I hate you."),
        ("NEGATIVE", "It broke after two days and the company refused a refund."),
        ("NEGATIVE", "The food was cold, the waiter was rude and we left hungry."),
        ("NEGATIVE", "A dull, pointless film. I walked out after an hour."),
        ("NEGATIVE", "Terrible battery, do not buy this phone."),
        ("NEGATIVE", "This is not good."),
    ],
)
def test_an_obvious_review_is_read_right(client: TestClient, label: str, text: str) -> None:
    assert best_labels(client, [text]) == [label]


def test_the_head_in_the_package_is_small_and_the_recorded_one() -> None:
    assert linear_head.HEAD.stat().st_size < 2_000_000
    assert weights.digest(linear_head.HEAD) == linear_head.facts()["sha256"]


def test_a_head_survives_writing_and_reading(tmp_path: Path) -> None:
    head = linear_head.load()
    linear_head.write(tmp_path / "head.npz", head)
    again = linear_head.read(tmp_path / "head.npz")
    assert again.words == head.words and again.characters == head.characters
    assert again.bias == head.bias and again.vector.tolist() == head.vector.tolist()


def test_damaged_weights_are_refused_with_the_way_to_repair_them(tmp_path: Path) -> None:
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(b"damaged")
    with pytest.raises(weights.WeightsError, match=r"model\.onnx have SHA-256 .* To repair: pip install it"):
        weights.checked(damaged, "0" * 64, "pip install it")
    with pytest.raises(weights.WeightsError, match="Cannot read the weights absent"):
        weights.checked(tmp_path / "absent", "0" * 64, "pip install it")
