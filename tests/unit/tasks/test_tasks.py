"""Answers in every recorded shape are read into the right prediction, and others are refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InputError, UnreadableAnswer
from huggingface_api_handler.inference.protocols.hf_inference import form_of
from huggingface_api_handler.inference.protocols.openai_chat import OpenAIChat, chat_payload
from huggingface_api_handler.tasks import TASKS, InvalidCell, Media, MediaRef, read_inputs
from huggingface_api_handler.tasks.input_types import (
    Conversation,
    LabelledText,
    MediaQuestion,
    PromptedMedia,
    Repair,
    TableQuestion,
    TableRow,
    TextPair,
)
from huggingface_api_handler.tasks.prompts import fill, template_columns

ENDPOINT = engine_settings({"endpoint": "http://127.0.0.1:1"})
COLUMNS: dict[str, dict[str, Any]] = {
    "question-answering": {"context_column": "c"},
    "sentence-similarity": {"column2": "u"},
    "zero-shot-classification": {"candidate_labels": ["a", "b"]},
    "zero-shot-image-classification": {"candidate_labels": ["a", "b"]},
    "zero-shot-object-detection": {"candidate_labels": ["a", "b"]},
    "text-ranking": {"column2": "u"},
    "visual-question-answering": {"question_column": "q"},
    "document-question-answering": {"question_column": "q"},
    "table-question-answering": {"table_column": "b"},
    "tabular-classification": {"columns": ["t", "u"]},
    "tabular-regression": {"columns": ["t", "u"]},
}


def settings_for(task: str, **more: Any) -> Any:
    model = {} if TASKS[task].default_model else {"model": "a/b"}
    column = {} if task.startswith("tabular") else {"column": "t"}
    return model_settings({"task": task, **column, "target": "y", **model, **COLUMNS.get(task, {}), **more}, ENDPOINT)


def read(task: str, answer: Any, item: Any = "text", **more: Any) -> Any:
    return TASKS[task].read(answer, item, settings_for(task, **more))


def payload(task: str, inputs: Sequence[Any], settings: Any) -> Any:
    """What a request carries, as the protocol of the task writes it."""
    if OpenAIChat().supports(TASKS[task]):
        return chat_payload(TASKS[task], inputs, settings)
    return form_of(TASKS[task]).encode(inputs, settings)


def json_body(task: str, inputs: Sequence[Any], settings: Any) -> dict[str, Any]:
    """The body of a request that is JSON, with whatever it holds."""
    body = payload(task, inputs, settings)
    assert isinstance(body, dict)
    return body


P, N = {"label": "POS", "score": 0.9}, {"label": "NEG", "score": 0.1}


@pytest.mark.parametrize("answer", [[P, N], [N, P], [[P, N]], [[N, P]]])
def test_the_best_label_wins_wherever_it_stands(answer: Any) -> None:
    assert read("text-classification", answer) == ("POS", 0.9, {"POS": 0.9, "NEG": 0.1})


def test_classification_outputs() -> None:
    assert read("text-classification", [N, P], output="scores").value == {"POS": 0.9, "NEG": 0.1}
    assert read("text-classification", [N, P], output="all").value == [P, N]
    assert read("text-classification", [P, N], threshold=0.95).value == "uncertain"
    assert read("text-classification", [P, N], threshold=0.95, below_threshold="?").value == "?"
    assert read("text-classification", [P, N], threshold=0.9).value == "POS"
    assert read("text-classification", P).value == "POS"
    assert read("text-classification", [{"label": "POS"}, {"label": "NEG"}]) == (
        "POS",
        None,
        {"POS": None, "NEG": None},
    )


def test_labels_rename_in_the_models_order_or_by_name() -> None:
    numbered = [{"label": "LABEL_1", "score": 0.8}, {"label": "LABEL_0", "score": 0.2}]
    assert read("text-classification", numbered, labels=["ham", "spam"]).value == "spam"
    assert read("text-classification", [P, N], labels={"POS": "good"}).value == "good"
    assert read("text-classification", [P, N], labels=["neg", "neutral", "pos"]) == (
        "pos",
        0.9,
        {"pos": 0.9, "neg": 0.1},
    )
    with pytest.raises(UnreadableAnswer, match=r"labels = \{'POS'"):
        read("text-classification", [P, N], labels=["bad", "good"])
    with pytest.raises(UnreadableAnswer, match="only 1 names"):
        read("text-classification", numbered, labels=["ham"])


def test_zero_shot_in_both_shapes() -> None:
    both = {"sequence": "text", "labels": ["b", "a"], "scores": [0.7, 0.3]}
    listed = [{"label": "a", "score": 0.3}, {"label": "b", "score": 0.7}]
    for answer in (both, [both], listed):
        assert read("zero-shot-classification", answer) == ("b", 0.7, {"b": 0.7, "a": 0.3})
    multi = {"labels": ["a", "b"], "scores": [0.9, 0.6]}
    assert read("zero-shot-classification", multi, multi_label=True).value == ["a", "b"]
    assert read("zero-shot-classification", multi, multi_label=True, threshold=0.8).value == ["a"]
    assert read("zero-shot-classification", multi, multi_label=True, threshold=0.95).value == "uncertain"
    assert read("zero-shot-classification", both, ("text", ("a", "b"))).value == "b"


def test_labels_that_nobody_asked_for_are_refused() -> None:
    with pytest.raises(UnreadableAnswer, match="not asked for"):
        read("zero-shot-classification", {"labels": ["x", "a"], "scores": [0.7, 0.3]})


def test_entities() -> None:
    entities = [{"entity_group": "PER", "word": "Ann", "start": 0, "end": 3, "score": 0.9},
                {"entity": "ORG", "word": "ACME"}, {"entity_group": "PER", "word": "Bo"}]  # fmt: skip
    assert read("token-classification", entities) == (entities, None, {"PER": ["Ann", "Bo"], "ORG": ["ACME"]})
    assert read("token-classification", []) == ([], None, {})


def test_answers_to_questions() -> None:
    worse, best = (
        {"answer": "x", "score": 0.1, "start": 0, "end": 1},
        {"answer": "y", "score": 0.8, "start": 2, "end": 3},
    )
    assert read("question-answering", best) == ("y", 0.8, {"score": 0.8, "start": 2, "end": 3})
    assert read("question-answering", [worse, best]).value == "y"


def test_masks() -> None:
    answer = [
        {"sequence": "the world", "score": 0.2, "token_str": "the"},
        {"sequence": "my world", "score": 0.7, "token_str": "my"},
    ]
    assert read("fill-mask", answer, "[MASK] world") == ("my world", 0.7, {"my world": 0.7, "the world": 0.2})
    two = [[{"token_str": " a", "score": 0.5}], [{"token_str": "b", "score": 0.5}]]
    assert read("fill-mask", two, "[MASK] and <mask>!").value == "a and b!"
    with pytest.raises(UnreadableAnswer):
        read("fill-mask", two, "[MASK] alone")


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("bert-base-uncased", "[MASK] x"),
        ("distilroberta-base", "<mask> x"),
        ("answerdotai/ModernBERT-base", "[MASK] x"),
    ],
)
def test_a_mask_is_sent_as_the_model_wants_it(model: str, sent: str) -> None:
    for text in ("[MASK] x", "<mask> x"):
        assert json_body("fill-mask", [text], settings_for("fill-mask", model=model))["inputs"] == sent
    assert json_body("fill-mask", ["[MASK]"], settings_for("fill-mask", mask_token="___"))["inputs"] == "___"


@pytest.mark.parametrize(("task", "key"), [("summarization", "summary_text"), ("translation", "translation_text")])
def test_texts_alone_and_in_lists(task: str, key: str) -> None:
    for answer in ({key: "short"}, [{key: "short"}], [[{key: "short"}]], [{key: "short"}, {key: "second best"}]):
        assert read(task, answer).value == "short"


@pytest.mark.parametrize("deep", [[1.0, 2.0], [[1.0, 2.0]], [[[1.0, 2.0]]], [[[[1.0, 2.0]]]]])
def test_vectors_one_to_four_levels_deep(deep: Any) -> None:
    assert read("feature-extraction", deep).value == [1.0, 2.0]


def test_token_vectors_are_pooled() -> None:
    tokens = [[[1.0, 2.0], [3.0, 4.0]]]
    assert read("feature-extraction", tokens).value == [2.0, 3.0]
    assert read("feature-extraction", tokens, pooling="cls").value == [1.0, 2.0]
    assert read("feature-extraction", tokens, pooling="none").value == tokens[0]


def test_similarity_is_grouped_by_source_and_split_by_sentence() -> None:
    task, settings = TASKS["sentence-similarity"], settings_for("sentence-similarity")
    assert payload(task.name, [TextPair("s", "a"), TextPair("s", "b")], settings) == {
        "inputs": {"source_sentence": "s", "sentences": ["a", "b"]}
    }
    assert form_of(task).split([0.1, 0.2], 2) == [0.1, 0.2]
    assert task.read(0.1, TextPair("s", "a"), settings).value == 0.1
    for answer, count in (([0.1, 0.2], 1), ([0.1], 2), ({"x": 1}, 1)):
        with pytest.raises(UnreadableAnswer):
            form_of(task).split(answer, count)


def test_generation_and_chat() -> None:
    assert read("text-generation", [{"generated_text": "hi"}]).value == "hi"
    details = {"generated_text": "hi", "details": {"finish_reason": "length", "generated_tokens": 3}}
    assert read("text-generation", details).explain == {"finish_reason": "length", "tokens": 3}
    chat = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "usage": {"total_tokens": 9}}
    assert read("chat-completion", chat) == ("hi", None, {"finish_reason": "stop", "tokens": 9})
    asked = settings_for("chat-completion", system_prompt="Be brief", max_tokens=5)
    body = json_body("chat-completion", ["Hello"], asked)
    assert body["messages"] == [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hello"}]
    assert body["max_tokens"] == 5


def test_a_column_may_bring_whole_conversations() -> None:
    task, settings = TASKS["chat-completion"], settings_for("chat-completion", column=None, messages_column="m")
    turns = [{"role": "user", "content": "Grüße"}, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": [{"type": "text", "text": "?"}]}]  # fmt: skip
    own = [{"role": "system", "content": "Mine"}, *turns]
    cells = [turns, json.dumps(turns), own, None, " ", "{", "[]", '[{"role": "user"}]', "Hello", [1], [{"role": "user", "content": "\ud800"}]]  # fmt: skip
    rows = read_inputs(task, pd.DataFrame({"m": cells}), settings)
    assert rows[0] == rows[1] != rows[2]
    assert hash(rows[0]) == hash(rows[1])
    assert rows[3:5] == [None, None]
    assert all(isinstance(row, InvalidCell) for row in rows[5:])
    assert json_body(task.name, [rows[0]], settings)["messages"] == turns
    briefed = settings_for("chat-completion", column=None, messages_column="m", system_prompt="Be brief")
    assert json_body(task.name, [rows[0]], briefed)["messages"] == [{"role": "system", "content": "Be brief"}, *turns]
    assert json_body(task.name, [rows[2]], briefed)["messages"] == own
    assert isinstance(rows[0], Conversation)
    repaired = json_body(task.name, [Repair(rows[0], "no", "again")], settings)["messages"]
    assert [message["content"] for message in repaired[3:]] == ["no", "again"]
    for other in ({"column": "t"}, {"prompt_template": "{{t}}"}):
        with pytest.raises(InputError, match=r"messages_column.* not both"):
            model_settings({"task": "chat", "messages_column": "m", "target": "y", **other}, ENDPOINT)


def test_a_template_asks_about_the_image_of_its_row() -> None:
    task = TASKS["image-text-to-text"]
    using = {"task": "image-text-to-text", "column": "i", "target": "y"}
    frame = pd.DataFrame({"i": [b"1", b"2", None], "name": ["Ann", None, "Bo"]})
    rows = read_inputs(task, frame, model_settings({**using, "prompt_template": "Is it {{name}}?"}))
    assert rows == [PromptedMedia(MediaRef(b"1", "image"), "Is it Ann?"), None, None]
    rows = read_inputs(task, frame, model_settings({**using, "prompt_template": "Who?"}))
    assert rows == [*(PromptedMedia(MediaRef(cell, "image"), "Who?") for cell in (b"1", b"2")), None]
    asked = json_body(task.name, [PromptedMedia(IMAGE, "Who?")], model_settings({**using, "prompt_template": "Who?"}))
    assert asked["messages"][0]["content"][0] == {"type": "text", "text": "Who?"}
    with pytest.raises(InputError, match="prompt_column or prompt_template"):
        model_settings({**using, "prompt_template": "Who?", "prompt_column": "name"})
    with pytest.raises(InputError, match="name of an input column"):
        model_settings({**using, "prompt_template": "{{y}}"})


IMAGE = Media(b"\x89PNG", "image/png")


def test_media_goes_raw_without_parameters_and_as_base64_with_them() -> None:
    body = form_of(TASKS["image-classification"]).encode
    assert body([IMAGE], settings_for("image-classification")) is IMAGE
    assert body([IMAGE], settings_for("image-classification", top_k=2)) == {
        "inputs": "iVBORw==",
        "parameters": {"top_k": 2},
    }
    asked = payload(
        "visual-question-answering", [MediaQuestion(IMAGE, "what?")], settings_for("visual-question-answering")
    )
    assert asked == {"inputs": {"image": "iVBORw==", "question": "what?"}}
    labels = payload("zero-shot-image-classification", [IMAGE], settings_for("zero-shot-image-classification"))
    assert labels == {"inputs": "iVBORw==", "parameters": {"candidate_labels": ["a", "b"]}}
    prompted = payload("image-to-image", [PromptedMedia(IMAGE, "red")], settings_for("image-to-image"))
    assert prompted == {"inputs": "iVBORw==", "parameters": {"prompt": "red"}}
    chat = json_body("image-text-to-text", [PromptedMedia(IMAGE, "what?")], settings_for("image-text-to-text"))
    assert chat["messages"][0]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,iVBORw=="},
    }


def test_objects_are_ordered_and_counted() -> None:
    box = {"xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1}
    cat, dog = {"label": "cat", "score": 0.5, "box": box}, {"label": "dog", "score": 0.9, "box": box}
    assert read("object-detection", [cat, dog, cat]) == ([dog, cat, cat], None, {"dog": 1, "cat": 2})
    assert read("image-segmentation", [{"label": "sky", "mask": "iVBORw=="}]).explain == {"sky": 1}
    assert read("object-detection", []).value == []
    assert read("zero-shot-object-detection", [cat, dog, {**cat, "score": 0.7}]).explain == {"cat": 0.7, "dog": 0.9}


def test_made_media_is_read_from_bytes_and_from_base64() -> None:
    assert read("text-to-image", IMAGE) == (IMAGE, None, {"content_type": "image/png", "bytes": 4})
    assert read("depth-estimation", {"depth": "iVBORw==", "predicted_depth": [[1.0]]}).value.data == IMAGE.data
    assert read("text-to-image", [{"image": "data:image/png;base64,iVBORw=="}]).value == IMAGE
    tracks = [{"blob": "iVBORw==", "content-type": "audio/flac", "label": "a"}] * 2
    assert [media.content_type for media in read("audio-to-audio", tracks).value] == ["audio/flac"] * 2
    with pytest.raises(UnreadableAnswer, match="base64"):
        read("text-to-image", {"image": "not base64!"})


def test_speech_and_visual_answers() -> None:
    assert read("automatic-speech-recognition", {"text": "hi", "chunks": [{"text": "hi"}]}) == (
        "hi",
        None,
        [{"text": "hi"}],
    )
    assert (
        read("visual-question-answering", [{"score": 0.2, "answer": "3"}, {"score": 0.5, "answer": "2"}]).value == "2"
    )
    assert read("visual-question-answering", [{"score": 0.2, "answer": None}]).value is None
    with pytest.raises(UnreadableAnswer):
        read("visual-question-answering", [{"score": None}])


def test_tables_go_as_columns_and_rows_of_a_batch_in_one_request() -> None:
    task = TASKS["table-question-answering"]
    frame = pd.DataFrame({"t": ["how many?"] * 3, "b": ['{"a": ["1"]}', [{"a": 1}], "[1"]})
    rows = read_inputs(task, frame, settings_for("table-question-answering"))
    assert rows[0] == rows[1]
    assert isinstance(rows[2], InvalidCell)
    assert payload(task.name, [rows[0]], settings_for("table-question-answering")) == {
        "inputs": {"query": "how many?", "table": {"a": ["1"]}}
    }
    whole = model_settings({"task": "table-qa", "column": "t", "table_columns": ["n"], "target": "y"})
    frame = pd.DataFrame({"t": ["a?", "b?"], "n": [1, None]})
    questions = [TableQuestion(text, '{"n": ["1.0", ""]}') for text in ("a?", "b?")]
    assert read_inputs(task, frame, whole) == questions
    tabular = TASKS["tabular-regression"]
    frame = pd.DataFrame({"t": [1, 2, 3], "u": ["x", "y", None]})
    rows = read_inputs(tabular, frame, settings_for("tabular-regression"))
    assert rows == [TableRow(("1", "x")), TableRow(("2", "y")), None]
    assert payload(tabular.name, rows[:2], settings_for("tabular-regression")) == {
        "inputs": {"data": {"t": ["1", "2"], "u": ["x", "y"]}}
    }
    assert read("tabular-regression", 1.5).value == 1.5
    odd: list[Any] = [[1.0], "x", {}]
    for answer in odd:
        with pytest.raises(UnreadableAnswer):
            form_of(tabular).split(answer, 2)


def test_ranking_answers_come_back_to_their_texts() -> None:
    task = TASKS["text-ranking"]
    assert form_of(task).split([{"index": 1, "score": 0.9}, {"index": 0, "score": 0.1}], 2) == [0.1, 0.9]
    for answer in ([{"index": 0, "score": 0.9}], [{"index": 0, "score": 1}, {"index": 0, "score": 1}], [0.1, 0.2]):
        with pytest.raises(UnreadableAnswer):
            form_of(task).split(answer, 2)


NOT_ANSWERS: list[Any] = [None, 3, "text", {}, {"x": 1}, [3, "x"], [[[]]], [None], {"labels": ["a"], "scores": []}]


@pytest.mark.parametrize("answer", NOT_ANSWERS, ids=repr)
@pytest.mark.parametrize(
    "task",
    [
        name
        for name in TASKS
        if name not in ("sentence-similarity", "text-ranking", "tabular-classification", "tabular-regression")
    ],
)
def test_what_is_no_answer_is_refused(task: str, answer: Any) -> None:
    with pytest.raises(UnreadableAnswer):
        read(task, answer)


@pytest.mark.parametrize(
    ("task", "answer", "count"),
    [
        ("text-classification", [[P, N]], 2),  # ["a","b"] read as one sentence pair
        ("text-classification", [P, N], 2),  # one row's labels, or two rows' best: nobody can tell
        ("text-classification", [[P], [P], [P]], 2),
        ("text-classification", {"label": "POS"}, 2),
        ("zero-shot-classification", [P, N], 2),
        ("summarization", [{"summary_text": "x"}], 2),
        ("translation", [["x"], ["y"]], 2),
        ("token-classification", [{"word": "x"}, {"word": "y"}], 2),
        ("feature-extraction", [1.0, 2.0], 2),  # the first row's vector, of two dimensions
        ("fill-mask", [{"sequence": "x"}, {"sequence": "y"}], 2),
    ],
)
def test_an_answer_to_a_list_counts_only_when_its_shape_proves_it(task: str, answer: Any, count: int) -> None:
    with pytest.raises(UnreadableAnswer):
        form_of(TASKS[task]).split(answer, count)


def test_flat_best_labels_count_when_a_label_repeats() -> None:
    assert form_of(TASKS["text-classification"]).split([P, P, N], 3) == [P, P, N]


def test_inputs_keep_order_and_tell_null_blank_and_refused_apart() -> None:
    frame = pd.DataFrame({"t": ["a", None, float("nan"), "", "  \n", 5, b"x", "a", "é", "\ud800", pd.NA]})
    rows = read_inputs(TASKS["text-classification"], frame, settings_for("text-classification"))
    assert rows[:5] == ["a", None, None, None, None]
    assert isinstance(rows[5], InvalidCell)
    assert "int" in rows[5].reason
    assert isinstance(rows[6], InvalidCell)
    assert rows[7:9] == ["a", "é"]
    assert isinstance(rows[9], InvalidCell)
    assert rows[10] is None


@pytest.mark.parametrize(("values", "kind"), [([1, 2], "whole numbers"), ([1.5, None], "numbers"), ([True, False], "booleans"), (pd.to_datetime(["2026-01-01"]), "dates")])  # fmt: skip
def test_a_column_of_numbers_is_refused_with_the_way_out(values: Any, kind: str) -> None:
    with pytest.raises(InputError, match=f"holds {kind}.*CAST"):
        read_inputs(TASKS["text-classification"], pd.DataFrame({"t": values}), settings_for("text-classification"))


def test_a_column_of_nothing_but_null_is_answered_null() -> None:
    for values in ([None, None], [float("nan")] * 2):
        frame = pd.DataFrame({"t": values})
        assert read_inputs(TASKS["text-classification"], frame, settings_for("text-classification")) == [None, None]


def test_a_missing_column_is_named_with_those_that_exist() -> None:
    frame = pd.DataFrame({"review": ["a"], "id": [1], "__mindsdb_row_id": [0]})
    with pytest.raises(InputError, match=r"'t'.*'review', 'id'$"):
        read_inputs(TASKS["text-classification"], frame, settings_for("text-classification"))


def test_sql_finds_columns_without_regard_to_case_where_that_is_unambiguous() -> None:
    settings = settings_for("text-classification")
    assert read_inputs(TASKS["text-classification"], pd.DataFrame({"T": ["a"]}), settings) == ["a"]
    with pytest.raises(InputError, match="2 columns named 't'"):
        read_inputs(TASKS["text-classification"], pd.DataFrame([["a", "b"]], columns=["t", "t"]), settings)


def test_labels_may_come_from_a_column() -> None:
    settings = model_settings({"task": "zero-shot", "column": "t", "candidate_labels_column": "l", "target": "y"})
    frame = pd.DataFrame({"t": ["a", "b", "c", "d"], "l": [["x", "y"], "x, y", '["x","y"]', None]})
    task = TASKS["zero-shot-classification"]
    assert read_inputs(task, frame, settings) == [*(LabelledText(text, ("x", "y")) for text in "abc"), None]
    body = payload(task.name, [LabelledText(text, ("x", "y")) for text in "ab"], settings)
    assert body == {"inputs": ["a", "b"], "parameters": {"candidate_labels": ["x", "y"]}}


def test_templates_substitute_columns_and_do_nothing_else() -> None:
    assert template_columns("{{ a }} {{b}} {{a}}") == ["a", "b"]
    assert fill("{{ a }}-{{b}}", {"a": "{{b}}", "b": "2"}) == "{{b}}-2"
    settings = model_settings({"task": "chat", "prompt_template": "{{ x.__class__ }}", "target": "y"})
    with pytest.raises(InputError, match=r"x\.__class__"):
        read_inputs(TASKS["chat-completion"], pd.DataFrame({"x": ["a"]}), settings)
    settings = model_settings({"task": "chat", "prompt_template": "{{x}} has {{n}}", "target": "y"})
    frame = pd.DataFrame({"x": ["Ann", None], "n": [3, 4]})
    assert read_inputs(TASKS["chat-completion"], frame, settings) == ["Ann has 3", None]
