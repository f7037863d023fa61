"""Text tasks answer in the recorded shapes. The models are tiny and untrained: what they say means nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from .fixtures import Asker

TEXT = "the cat sat on the mat"
SHORT: dict[str, Any] = {"max_new_tokens": 4, "do_sample": False}


@pytest.mark.parametrize(
    ("name", "parameters", "wrapped"),
    [
        ("classes", {}, True),
        ("entities", {}, False),
        ("mask", {}, False),
        ("tokens", {}, False),
        ("sentences", {}, False),
        ("entailment", {"candidate_labels": ["cat", "dog"]}, False),
        ("writer", SHORT, True),
        ("summary", SHORT, True),
        ("translated", SHORT, True),
        ("rewritten", SHORT, True),
    ],
)
def test_a_list_is_answered_as_its_texts_alone(ask: Asker, name: str, parameters: Any, wrapped: bool) -> None:
    texts = ["the cat is [MASK] .", "a dog was on the [MASK] mat today !", "hello [MASK]"]
    alone = [ask(name, text, **parameters) for text in texts]
    together = ask(name, texts, **parameters)
    assert together == ([answer[0] for answer in alone] if wrapped else alone)
    assert ask(name, texts[:1], **parameters) == together[:1]


def test_all_labels_come_with_scores_best_first(ask: Asker) -> None:
    [labels] = ask("classes", TEXT)
    assert [set(label) for label in labels] == [{"label", "score"}] * 3
    assert labels == sorted(labels, key=lambda label: -label["score"])
    assert sum(label["score"] for label in labels) == pytest.approx(1, abs=1e-5)
    assert ask("classes", TEXT, top_k=1) == [labels[:1]]
    assert ask("classes", TEXT, function_to_apply="none") != [labels]
    assert ask("classes", TEXT * 30, truncation=True)


def test_entities_are_grouped_unless_told_otherwise(ask: Asker) -> None:
    found = ask("entities", TEXT)
    assert all(set(entity) == {"entity_group", "score", "word", "start", "end"} for entity in found)
    assert all(TEXT[entity["start"] : entity["end"]] == entity["word"] for entity in found)
    single = ask("entities", TEXT, aggregation_strategy="none")
    assert {"entity", "index"} <= set(single[0])
    assert ask("entities", TEXT, ignore_labels=["PER", "LOC"]) == []


def test_masks_have_candidates_and_several_masks_have_lists_of_them(ask: Asker) -> None:
    candidates = ask("mask", "the cat is [MASK] .", top_k=3)
    assert [set(item) for item in candidates] == [{"score", "token", "token_str", "sequence"}] * 3
    several = ask("mask", "the [MASK] is [MASK] .", top_k=2)
    assert [len(part) for part in several] == [2, 2]
    assert "No mask_token" in ask.refused("mask", "no mask here")


def test_zero_shot_ranks_the_labels(ask: Asker) -> None:
    answer = ask("entailment", TEXT, candidate_labels=["cat", "dog", "car"])
    assert all(set(pair) == {"label", "score"} for pair in answer)
    assert sorted(pair["label"] for pair in answer) == ["car", "cat", "dog"]
    scores = [pair["score"] for pair in answer]
    assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1, abs=1e-5)
    assert ask("entailment", TEXT, candidate_labels="cat, dog, car") == answer
    former = ask("entailment", TEXT, candidate_labels=["cat", "dog", "car"], output_format="object")
    assert former == {"sequence": TEXT, "labels": [pair["label"] for pair in answer], "scores": scores}
    [alone] = ask("entailment", TEXT, candidate_labels=["cat"], multi_label=True)
    both = ask("entailment", TEXT, candidate_labels=["cat", "dog"], multi_label=True)
    assert {pair["label"]: pair["score"] for pair in both}["cat"] == pytest.approx(alone["score"], abs=1e-5)
    assert "field required" in ask.refused("entailment", TEXT)


def test_a_model_without_pooling_gives_a_vector_for_each_token(ask: Asker) -> None:
    vectors = ask("tokens", TEXT)
    assert len(vectors) == 8 and all(len(vector) == 16 for vector in vectors)
    assert "vector for each token" in ask.refused("tokens", TEXT, normalize=True)


def test_a_sentence_model_pools_and_normalizes_as_its_folder_says(ask: Asker) -> None:
    vector = ask("sentences", TEXT)
    assert len(vector) == 16 and math.hypot(*vector) == pytest.approx(1, abs=1e-5)
    raw = ask("sentences", TEXT, normalize=False)
    assert math.hypot(*raw) != pytest.approx(1, abs=0.01)
    assert [value / math.hypot(*raw) for value in raw] == pytest.approx(vector, abs=1e-5)
    # Eight tokens are the folder's limit, two of them the marks at both ends.
    assert ask("sentences", TEXT + " is red") == vector
    assert ask("sentences", TEXT + " is red", truncation_direction="left") != vector


@pytest.mark.parametrize("name", ["sentences", "tokens"])
def test_similarity_is_the_cosine_of_mean_vectors(ask: Asker, name: str) -> None:
    inputs = {"source_sentence": "a cat", "sentences": ["a cat", "the car is red", "paris"]}
    scores = ask(name, inputs, "sentence-similarity")
    assert scores[0] == pytest.approx(1, abs=1e-5) and all(-1 <= score <= 1.00001 for score in scores)
    assert ask(name, inputs) == scores
    if name == "tokens":
        means = [_mean(ask(name, text)) for text in ("a cat", "paris")]
        assert scores[2] == pytest.approx(_cosine(*means), abs=1e-5)


def _mean(vectors: list[list[float]]) -> list[float]:
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]


def _cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)


def test_generation_leaves_the_prompt_out_unless_asked(ask: Asker) -> None:
    [short] = ask("writer", TEXT, **SHORT)
    assert set(short) == {"generated_text"} and not short["generated_text"].startswith(TEXT)
    [full] = ask("writer", TEXT, **SHORT, return_full_text=True)
    assert full["generated_text"].startswith(TEXT) and full["generated_text"] != TEXT
    assert ask("writer", TEXT, max_new_tokens=4, temperature=0) == [short]
    assert ask("writer", TEXT, generation_parameters=SHORT) == [short]


def test_a_seed_makes_sampling_repeatable(ask: Asker) -> None:
    one, other = (ask("writer", TEXT, max_new_tokens=8, do_sample=True, seed=seed) for seed in (1, 2))
    assert ask("writer", TEXT, max_new_tokens=8, do_sample=True, seed=1) == one != other
    [[first, second]] = ask("writer", TEXT, max_new_tokens=4, do_sample=True, num_return_sequences=2)
    assert set(first) == set(second) == {"generated_text"}


def test_a_stop_text_ends_generation(ask: Asker) -> None:
    [whole] = ask("writer", TEXT, max_new_tokens=8, do_sample=False)
    stop = whole["generated_text"].split()[0]
    [stopped] = ask("writer", TEXT, max_new_tokens=8, do_sample=False, stop=[stop])
    assert stopped["generated_text"].strip() == stop


def test_a_model_with_a_chat_template_chats(ask: Asker) -> None:
    body = {
        "model": "chatter",
        "messages": [{"role": "user", "content": "hello world"}],
        "max_tokens": 4,
        "temperature": 0,
    }
    answer = ask.client.post("/models/chatter/v1/chat/completions", json=body).json()
    assert (answer["object"], answer["model"]) == ("chat.completion", "chatter")
    [choice] = answer["choices"]
    assert choice["message"]["role"] == "assistant" and choice["finish_reason"] == "length"
    # "user : hello world assistant :" is the template's prompt.
    assert answer["usage"] == {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}
    assert ask.client.post("/v1/chat/completions", json=body).json()["choices"] == [choice]
    stop = choice["message"]["content"].split()[0]
    stopped = ask.client.post("/models/chatter/v1/chat/completions", json={**body, "stop": stop}).json()["choices"][0]
    assert stopped["finish_reason"] == "stop" and stop not in stopped["message"]["content"]
    without = ask.client.post("/models/writer/v1/chat/completions", json=body)
    assert without.status_code == 422 and without.json()["error"] == "Template error: template not found"
    assert set(ask("chatter", "hello", max_new_tokens=2)[0]) == {"generated_text"}


@pytest.mark.parametrize(
    ("name", "key"), [("summary", "summary_text"), ("translated", "translation_text"), ("rewritten", "generated_text")]
)
def test_seq2seq_tasks_have_their_own_key(ask: Asker, name: str, key: str) -> None:
    [answer] = ask(name, TEXT, **SHORT)
    assert set(answer) == {key} and isinstance(answer[key], str)


def test_an_answer_is_a_part_of_the_context(ask: Asker) -> None:
    context = "the capital of france is paris ."
    answer = ask("reader", {"question": "what is the capital of france ?", "context": context})
    assert set(answer) == {"score", "start", "end", "answer"}
    assert context[answer["start"] : answer["end"]] == answer["answer"]
    several = ask("reader", {"question": "what is it ?", "context": context}, top_k=2)
    assert len(several) == 2
    assert "`inputs.context`: field required" in ask.refused("reader", {"question": "what ?"})


def test_a_table_answer_has_cells_and_coordinates(ask: Asker) -> None:
    table = {"repository": ["transformers", "datasets"], "stars": ["36542", "4512"]}
    answer = ask("table", {"query": "how many stars ?", "table": table})
    assert set(answer) == {"answer", "coordinates", "cells", "aggregator"}
    assert len(answer["cells"]) == len(answer["coordinates"])
    numbers = {**table, "stars": [36542, 4512]}
    assert ask("table", {"question": "how many stars ?", "table": numbers}) == answer
    assert "differ in length" in ask.refused("table", {"query": "how ?", "table": {"a": ["1"], "b": []}})
