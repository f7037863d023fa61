"""Zero-shot classification ranks labels by topic."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from ..conftest import ask

ZERO_SHOT = "/models/facebook/bart-large-mnli"


def test_zero_shot_ranks_the_labels_of_the_recorded_request(client: TestClient) -> None:
    text = (
        "Hi, I recently bought a device from your company but it is not working as advertised "
        "and I would like to get reimbursed!"
    )
    answer = ask(client, ZERO_SHOT, text, candidate_labels=["legal", "refund", "faq"])
    assert answer[0]["label"] == "refund" and {pair["label"] for pair in answer} == {"legal", "refund", "faq"}
    scores = [pair["score"] for pair in answer]
    assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1)
    assert ask(client, ZERO_SHOT, [text], candidate_labels="legal,refund,faq") == [answer]


def test_multi_label_judges_each_label_alone(client: TestClient) -> None:
    text = "The central bank raised interest rates by half a point."
    both = ask(client, ZERO_SHOT, text, candidate_labels=["economy", "banking", "cooking"], multi_label=True)
    alone = ask(client, ZERO_SHOT, text, candidate_labels=["banking"], multi_label=True)
    scores = {pair["label"]: pair["score"] for pair in both}
    assert scores["economy"] > 0.5 and scores["banking"] > 0.5 and scores["cooking"] < 0.5
    assert scores["banking"] == pytest.approx(alone[0]["score"])


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("The striker scored twice in the final minutes of the match.", ["sport", "politics", "technology"]),
        ("Parliament voted on the new election law.", ["politics", "sport", "music"]),
        ("Simmer the onions in butter, then add stock and cream.", ["cooking", "science", "travel"]),
        ("The doctor prescribed antibiotics for the infection.", ["health", "cars", "music"]),
        ("I was charged twice for the same order.", ["billing", "shipping", "praise"]),
    ],
)
def test_a_clear_topic_is_found(client: TestClient, text: str, labels: list[str]) -> None:
    answer = ask(client, ZERO_SHOT, text, candidate_labels=labels[::-1])
    assert answer[0]["label"] == labels[0]


def test_the_hypothesis_template_changes_the_question(client: TestClient) -> None:
    text = "I was charged twice."
    labels = ["billing", "praise"]
    default = ask(client, ZERO_SHOT, text, candidate_labels=labels)
    named = ask(client, ZERO_SHOT, text, candidate_labels=labels, hypothesis_template="This text is about {}.")
    other = ask(client, ZERO_SHOT, text, candidate_labels=labels, hypothesis_template="A complaint over {}")
    assert default == named != other


def test_the_former_form_is_sent_on_request(client: TestClient) -> None:
    text, labels = "I was charged twice.", ["praise", "billing"]
    pairs = ask(client, ZERO_SHOT, text, candidate_labels=labels)
    former = {
        "sequence": text,
        "labels": [pair["label"] for pair in pairs],
        "scores": [pair["score"] for pair in pairs],
    }
    assert ask(client, ZERO_SHOT, text, candidate_labels=labels, output_format="object") == former
    assert ask(client, ZERO_SHOT, [text], candidate_labels=labels, output_format="object") == [former]
    assert ask(client, ZERO_SHOT, text, candidate_labels=["one"])[0]["label"] == "one"
