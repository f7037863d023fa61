"""Named entities."""

from __future__ import annotations

from starlette.testclient import TestClient

from ..conftest import ask

ENTITIES = "/models/dslim/bert-base-NER"


def test_entities_have_groups_words_positions_and_the_one_score(client: TestClient) -> None:
    text = "Angela Merkel met Tim Cook of Apple in Berlin on Monday."
    found = ask(client, ENTITIES, text)
    assert [(entity["entity_group"], entity["word"]) for entity in found] == [
        ("PER", "Angela Merkel"),
        ("PER", "Tim Cook"),
        ("ORG", "Apple"),
        ("LOC", "Berlin"),
    ]
    assert all(set(entity) == {"entity_group", "score", "word", "start", "end"} for entity in found)
    assert all(entity["score"] == 1 for entity in found)
    assert all(text[entity["start"] : entity["end"]] == entity["word"] for entity in found)
    assert ask(client, ENTITIES, ["nothing here", text]) == [[], found]
    assert ask(client, ENTITIES, text, ignore_labels=["PER"]) == found[2:]
