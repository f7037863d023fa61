"""Named entities."""

from __future__ import annotations

from starlette.testclient import TestClient

from ..conftest import ask

ENTITIES = "/models/dslim/bert-base-NER"


def test_entities_have_groups_words_positions_and_scores(client: TestClient) -> None:
    text = "Angela Merkel met Tim Cook of Apple in Berlin on Monday."
    found = ask(client, ENTITIES, text)
    assert [(entity["entity_group"], entity["word"]) for entity in found] == [
        ("PER", "Angela Merkel"),
        ("PER", "Tim Cook"),
        ("ORG", "Apple"),
        ("LOC", "Berlin"),
    ]
    assert all(set(entity) == {"entity_group", "score", "word", "start", "end"} for entity in found)
    assert all(0 < entity["score"] <= 1 for entity in found)
    assert all(text[entity["start"] : entity["end"]] == entity["word"] for entity in found)
    assert ask(client, ENTITIES, ["nothing here", text]) == [[], found]
    assert ask(client, ENTITIES, text, ignore_labels=["PER"]) == found[2:]


def test_an_entity_that_could_be_read_in_two_ways_has_a_lower_score(client: TestClient) -> None:
    [clear] = ask(client, ENTITIES, "She moved to Berlin.")
    scores = [entity["score"] for entity in ask(client, ENTITIES, "jordan met chelsea at mercury on the amazon.")]
    assert clear["score"] > 0.99 and min(scores, default=1.0) < clear["score"]
