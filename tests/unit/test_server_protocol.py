"""The local inference server answers in the shapes recorded from Hugging Face."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app

SENTIMENT = "/models/distilbert/distilbert-base-uncased-finetuned-sst-2-english"
ZERO_SHOT = "/models/facebook/bart-large-mnli"
MINILM = "/models/sentence-transformers/all-MiniLM-L6-v2"
ENTITIES = "/models/dslim/bert-base-NER"
EVERY_MODEL = {
    "local/minilm-l6-v2-int8",
    "sentence-transformers/all-MiniLM-L6-v2",
    "local/sentiment",
    "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    "local/zero-shot-minilm",
    "facebook/bart-large-mnli",
    "local/entities-spacy-sm",
    "dslim/bert-base-NER",
}
# Known without their packages, which the extra `local-all` brings.
MORE_MODELS = {
    "local/whisper-base",
    "openai/whisper-large-v3",
    "local/piper-joe",
    "local/smollm2-135m-instruct",
    "Qwen/Qwen2.5-7B-Instruct",
    "local/translation-en-pt",
    "Helsinki-NLP/opus-mt-en-pt",
    "local/translation-pt-en",
    "Helsinki-NLP/opus-mt-pt-en",
    "local/efficientnet-lite0",
    "google/vit-base-patch16-224",
    "local/ocr-rapid",
    "Salesforce/blip-image-captioning-large",
}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(), headers={"x-wait-for-model": "true"}) as client:
        yield client


def ask(client: TestClient, path: str, inputs: object, **parameters: object) -> object:
    response = client.post(path, json={"inputs": inputs, "parameters": parameters})
    assert response.status_code == 200, response.text
    return response.json()


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


def test_zero_shot_ranks_the_labels_of_the_recorded_request(client: TestClient) -> None:
    text = (
        "Hi, I recently bought a device from your company but it is not working as advertised "
        "and I would like to get reimbursed!"
    )
    answer = ask(client, ZERO_SHOT, text, candidate_labels=["legal", "refund", "faq"])
    assert set(answer) == {"sequence", "labels", "scores"}
    assert answer["sequence"] == text and answer["labels"][0] == "refund"
    assert sorted(answer["labels"]) == ["faq", "legal", "refund"]
    assert answer["scores"] == sorted(answer["scores"], reverse=True)
    assert sum(answer["scores"]) == pytest.approx(1)
    assert ask(client, ZERO_SHOT, [text], candidate_labels="legal,refund,faq") == [answer]


def test_multi_label_judges_each_label_alone(client: TestClient) -> None:
    text = "The central bank raised interest rates by half a point."
    both = ask(client, ZERO_SHOT, text, candidate_labels=["economy", "banking", "cooking"], multi_label=True)
    alone = ask(client, ZERO_SHOT, text, candidate_labels=["banking"], multi_label=True)
    scores = dict(zip(both["labels"], both["scores"], strict=True))
    assert scores["economy"] > 0.5 and scores["banking"] > 0.5 and scores["cooking"] < 0.5
    assert scores["banking"] == pytest.approx(alone["scores"][0])


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
    assert answer["labels"][0] == labels[0]


def test_the_hypothesis_template_changes_the_question(client: TestClient) -> None:
    text = "I was charged twice."
    labels = ["billing", "praise"]
    default = ask(client, ZERO_SHOT, text, candidate_labels=labels)
    named = ask(client, ZERO_SHOT, text, candidate_labels=labels, hypothesis_template="This text is about {}.")
    other = ask(client, ZERO_SHOT, text, candidate_labels=labels, hypothesis_template="A complaint over {}")
    assert default == named != other


def test_one_text_has_a_flat_vector_and_a_list_has_a_list_of_them(client: TestClient) -> None:
    one = ask(client, f"{MINILM}/pipeline/feature-extraction", "Hi, who are you?")
    assert len(one) == 384 and math.hypot(*one) == pytest.approx(1, abs=1e-5)
    assert ask(client, MINILM, ["Hi, who are you?", "x"])[0] == pytest.approx(one, abs=1e-6)


def test_the_vector_is_that_of_the_hub_s_model(client: TestClient) -> None:
    # First numbers recorded from sentence-transformers/all-MiniLM-L6-v2 on Hugging Face; ours has 8-bit weights.
    recorded = [-0.015488003, 0.025685050, 0.090885900, 0.061985303, -0.040129248, -0.053392034, 0.097156003]
    ours = ask(client, MINILM, "Hi, who are you?")
    assert ours[:7] == pytest.approx(recorded, abs=0.02)


def test_normalize_and_truncate_are_honoured_in_both_places(client: TestClient) -> None:
    raw = ask(client, MINILM, "A cat.", normalize=False)
    assert math.hypot(*raw) != pytest.approx(1, abs=0.1)
    beside = client.post(MINILM, json={"inputs": "A cat.", "normalize": False})
    assert beside.json() == raw
    long = "word " * 300
    left = ask(client, MINILM, "start " + long, truncation_direction="left")
    right = ask(client, MINILM, "start " + long)
    assert left != right and len(right) == 384
    refused = client.post(MINILM, json={"inputs": long, "parameters": {"truncate": False}})
    assert refused.status_code == 413 and "Given: 302" in refused.json()["error"]


def test_similarity_gives_a_number_for_each_sentence(client: TestClient) -> None:
    inputs = {
        "source_sentence": "That is a happy person",
        "sourceSentence": "That is a happy person",
        "sentences": ["That is a happy dog", "That is a very happy person", "Today is a sunny day"],
    }
    scores = ask(client, f"{MINILM}/pipeline/sentence-similarity", inputs)
    assert len(scores) == 3 and scores[1] == max(scores) > 0.9 > scores[2]
    assert ask(client, MINILM, inputs) == scores


def test_entities_have_groups_words_and_positions_and_no_invented_scores(client: TestClient) -> None:
    text = "Angela Merkel met Tim Cook of Apple in Berlin on Monday."
    found = ask(client, ENTITIES, text)
    assert [(entity["entity_group"], entity["word"]) for entity in found] == [
        ("PER", "Angela Merkel"),
        ("PER", "Tim Cook"),
        ("ORG", "Apple"),
        ("LOC", "Berlin"),
    ]
    assert all(set(entity) == {"entity_group", "word", "start", "end"} for entity in found)
    assert all(text[entity["start"] : entity["end"]] == entity["word"] for entity in found)
    assert ask(client, ENTITIES, ["nothing here", text]) == [[], found]
    assert ask(client, ENTITIES, text, ignore_labels=["PER"]) == found[2:]


@pytest.mark.parametrize("prefix", ["/models", "/hf-inference/models"])
def test_both_prefixes_and_both_names_reach_the_same_model(client: TestClient, prefix: str) -> None:
    by_name = ask(client, f"{prefix}/local/sentiment", "Fine.")
    assert by_name == ask(client, f"{prefix}{SENTIMENT.removeprefix('/models')}/pipeline/text-classification", "Fine.")


def test_the_headers_of_hf_inference_are_sent(client: TestClient) -> None:
    first = client.post(SENTIMENT, json={"inputs": ["ab", "cde"]}).headers
    second = client.post(SENTIMENT, json={"inputs": "ab"}).headers
    assert first["x-compute-characters"] == "5" and second["x-compute-characters"] == "2"
    assert float(first["x-compute-time"]) >= 0
    assert first["x-request-id"] != second["x-request-id"]
    assert len(first["x-sha"]) == 64 and first["x-sha"] == second["x-sha"]


def test_every_model_says_what_it_is(client: TestClient) -> None:
    listed = {facts["id"]: facts for facts in client.get("/models").json()}
    assert set(listed) == EVERY_MODEL | MORE_MODELS
    for model_id, facts in listed.items():
        assert client.get(f"/models/{model_id}").json() == facts
        assert all(facts[name] for name in ("task", "package", "version", "license", "quality", "sha"))
        assert model_id in MORE_MODELS or "unavailable" not in facts
        assert facts["local_stand_in"] is not model_id.startswith("local/")
        assert facts["local_stand_in"] is (f"this is not {model_id}" in facts.get("note", ""))
    assert "Not an NLI model" in listed["facebook/bart-large-mnli"]["quality"]


def test_health_and_info_answer(client: TestClient) -> None:
    assert client.get("/health").status_code == 200
    info = client.get("/info").json()
    assert info["max_client_batch_size"] == 128
    tasks = {model["id"]: model["tasks"] for model in info["models"]}
    assert set(tasks) == EVERY_MODEL | MORE_MODELS
    assert tasks["local/minilm-l6-v2-int8"] == ["feature-extraction", "sentence-similarity"]
