"""The sentiment model answers in the recorded shape, and is as good as its metadata says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server.models import linear_head

from ..conftest import ask

SENTIMENT = "/models/distilbert/distilbert-base-uncased-finetuned-sst-2-english"


HELD_OUT = Path(__file__).parents[4] / "training" / "held_out.tsv"


MODEL = "/models/local/sentiment"


def best_labels(client: TestClient, texts: list[str]) -> list[str]:
    labels: list[str] = []
    for start in range(0, len(texts), 128):
        response = client.post(MODEL, json={"inputs": texts[start : start + 128], "parameters": {"top_k": 1}})
        assert response.status_code == 200, response.text
        labels += [best["label"] for [best] in response.json()]
    return labels


def test_one_text_is_classified_as_a_list_of_one_list(client: TestClient) -> None:
    [labels] = ask(client, SENTIMENT, "I like you. I love you.")
    assert [set(label) for label in labels] == [{"label", "score"}] * 2
    assert labels[0]["label"] == "POSITIVE" and labels[0]["score"] > 0.95
    assert labels[0]["score"] + labels[1]["score"] == pytest.approx(1)


def test_a_list_of_texts_is_classified_in_its_order(client: TestClient) -> None:
    answer = ask(client, SENTIMENT, ["I love it.", "I hate it.", "Wonderful!"])
    assert [labels[0]["label"] for labels in answer] == ["POSITIVE", "NEGATIVE", "POSITIVE"]
    assert ask(client, SENTIMENT, ["I hate it."]) == [answer[1]]


def test_top_k_and_function_to_apply_are_honoured(client: TestClient) -> None:
    [[best]] = ask(client, SENTIMENT, "I hate it.", top_k=1)
    assert best["label"] == "NEGATIVE"
    [raw] = ask(client, SENTIMENT, "I hate it.", function_to_apply="none")
    assert raw[0]["score"] == -raw[1]["score"] > 0
    assert best["score"] == pytest.approx(1 / (1 + math.exp(-2 * raw[0]["score"])))
    [sigmoid] = ask(client, SENTIMENT, "I hate it.", function_to_apply="sigmoid")
    assert sigmoid[0]["score"] == pytest.approx(1 / (1 + math.exp(-raw[0]["score"])))


@pytest.mark.same_on_every_python
def test_held_out_accuracy_is_at_least_84_percent_and_what_the_metadata_says(client: TestClient) -> None:
    rows = [line.split("\t", 1) for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 2000 and {label for label, _ in rows} == {"POSITIVE", "NEGATIVE"}
    answers = best_labels(client, [text for _, text in rows])
    accuracy = sum(answer == label for answer, (label, _) in zip(answers, rows, strict=True)) / len(rows)
    assert accuracy >= 0.84
    # Another processor may round one text in a thousand to the other side.
    assert accuracy == pytest.approx(linear_head.metadata()["held_out_accuracy"], abs=0.002)
    assert f"{linear_head.metadata()['held_out_accuracy']:.1%} right" in client.get(MODEL).json()["quality"]


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
