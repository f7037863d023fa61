"""The answers to the parts of a text make the answer to the whole, in the form that the task reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from math import hypot
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huggingface_api_handler.errors import UnreadableAnswer
from huggingface_api_handler.tasks import TASKS, Prediction
from huggingface_api_handler.tasks.chunking import Chunking, Part, Span
from huggingface_api_handler.tasks.input_types import ContextQuestion, LabelledText, TextPair
from huggingface_api_handler.tasks.merging import own_lengths, weights, with_parts
from tests.unit.tasks.test_tasks import settings_for

FAMILY = "\U0001f469\u200d\U0001f467"
"""A woman and a girl, who are one sign of three characters."""

WORDS = [
    "Ada",
    "Zo\u0308e",
    "E\u0301mile",
    f"X{FAMILY}",
    "Q\U0001d4d0",
    "\U0001f680Ariane",
    "and",
    "the",
    "m\u0301",
    "\U0001f680",
]
CAPITALISED = re.compile(r"(?<!\S)\U0001f680?[A-Z\u00c0-\u00dd]\S*")
FLOATS = st.floats(0, 1, allow_subnormal=False)


def chunking(task: str) -> Chunking:
    found = TASKS[task].chunking
    assert found is not None
    return found


def cut_into(task: str, item: Any, spans: Sequence[Span], answers: Sequence[Any]) -> list[Part]:
    part = chunking(task).part
    return [Part(span, part(item, span), answer) for span, answer in zip(spans, answers, strict=True)]


def merge(task: str, item: Any, spans: Sequence[Span], answers: Sequence[Any], **more: Any) -> Any:
    return chunking(task).merge(cut_into(task, item, spans, answers), item, settings_for(task, **more))


def merged(task: str, item: Any, spans: Sequence[Span], answers: Sequence[Any], **more: Any) -> Prediction:
    return TASKS[task].read(merge(task, item, spans, answers, **more), item, settings_for(task, **more))


def cut(length: int, cuts: Sequence[int], overlap: int = 0) -> list[Span]:
    """Spans that cover a text of a length, cut at some of its characters."""
    ends = [*sorted({at for at in cuts if 0 < at < length}), length]
    return [(max(0, start - overlap), end) for start, end in zip([0, *ends], ends, strict=False) if start < end]


# Which tasks are asked in parts.


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_task_that_reads_a_text_asks_it_in_parts_or_says_why_not(task: str) -> None:
    definition = TASKS[task]
    reads_text = any(
        column.data_type in ("text", "messages", "whole table") for column in definition.columns
    ) and not task.startswith("tabular")
    assert (definition.chunking is not None) + bool(definition.long_text_advice) == reads_text
    assert definition.explained or definition.chunking is None


# Weights.


def test_what_a_part_shares_with_the_next_counts_once() -> None:
    assert own_lengths([(0, 10), (6, 14), (14, 20)]) == [6, 8, 6]
    assert own_lengths([(0, 10), (12, 20)]) == [10, 8]
    assert weights([(5, 5)]) == [1.0]


@settings(deadline=None)
@given(st.integers(1, 500), st.lists(st.integers(0, 500), max_size=8), st.integers(0, 20))
def test_weights_are_shares_of_the_whole(length: int, cuts: list[int], overlap: int) -> None:
    spans = cut(length, cuts, overlap)
    assert sum(own_lengths(spans)) == length
    assert sum(weights(spans)) == pytest.approx(1)


# Labels.


def test_scores_are_the_mean_weighted_by_length() -> None:
    answers = [[{"label": "POS", "score": 0.8}, {"label": "NEG", "score": 0.2}], {"POS": 0.2, "NEG": 0.8}]
    got = merged("text-classification", "x" * 40, [(0, 10), (10, 40)], answers)
    assert got.value == "NEG"
    assert got.explain == pytest.approx({"NEG": 0.65, "POS": 0.35})


def test_scores_of_every_shape_are_merged() -> None:
    shapes: list[Any] = [
        [{"label": "A", "score": 0.5}, {"label": "B", "score": 0.5}],
        [[{"label": "A", "score": 0.5}, {"label": "B", "score": 0.5}]],
        {"labels": ["A", "B"], "scores": [0.5, 0.5]},
        {"A": 0.5, "B": 0.5},
    ]
    got = merge("text-classification", "x" * 40, cut(40, [10, 20, 30]), shapes)
    assert got == [{"label": "A", "score": 0.5}, {"label": "B", "score": 0.5}]


def test_a_label_that_a_part_does_not_name_has_no_score_there() -> None:
    answers = [{"label": "A", "score": 0.6}, {"label": "B", "score": 0.9}]
    assert merge("text-classification", "x" * 20, [(0, 10), (10, 20)], answers) == [
        {"label": "B", "score": 0.45},
        {"label": "A", "score": 0.3},
    ]
    assert merge("text-classification", "x" * 20, [(0, 10), (10, 20)], answers, top_k=1) == [
        {"label": "B", "score": 0.45}
    ]


def test_a_part_without_scores_is_said() -> None:
    answers = [{"label": "A", "score": 0.6}, {"label": "B"}]
    with pytest.raises(UnreadableAnswer, match="sent no scores"):
        merge("text-classification", "x" * 20, [(0, 10), (10, 20)], answers)


def test_classes_that_a_server_numbers_but_for_the_best_are_the_same_in_all_parts() -> None:
    answers = [
        [{"label": "good", "score": 0.7}, {"label": "LABEL_0", "score": 0.3}],
        [{"label": "bad", "score": 0.9}, {"label": "LABEL_1", "score": 0.1}],
    ]
    got = merged("text-classification", "x" * 20, [(0, 10), (10, 20)], answers)
    assert got.explain == pytest.approx({"bad": 0.6, "good": 0.4})
    plain = [[{"label": "LABEL_0", "score": 0.7}, {"label": "LABEL_1", "score": 0.3}]] * 2
    assert set(merged("text-classification", "x" * 20, [(0, 10), (10, 20)], plain).explain) == {"LABEL_0", "LABEL_1"}


def test_zero_shot_is_merged_with_one_and_with_several_labels() -> None:
    answers = [
        {"labels": ["a", "b"], "scores": [0.9, 0.1]},
        [{"label": "b", "score": 0.7}, {"label": "a", "score": 0.3}],
    ]
    spans = [(0, 10), (10, 20)]
    task = "zero-shot-classification"
    assert merged(task, "x" * 20, spans, answers).value == "a"
    assert merged(task, LabelledText("x" * 20, ("a", "b")), spans, answers).confidence == pytest.approx(0.6)
    assert merged(task, "x" * 20, spans, answers, multi_label=True, threshold=0.39).value == ["a", "b"]
    with pytest.raises(UnreadableAnswer, match="not asked for"):
        merged(task, "x" * 20, spans, [{"labels": ["x"], "scores": [0.9]}, answers[0]])


@settings(deadline=None)
@given(st.data(), st.lists(st.integers(1, 99), max_size=5), st.integers(0, 10))
def test_a_mean_lies_between_what_it_is_of(data: st.DataObject, cuts: list[int], overlap: int) -> None:
    spans = cut(100, cuts, overlap)
    scores = [data.draw(FLOATS) for _ in spans]
    answers = [[{"label": "A", "score": score}, {"label": "B", "score": 1 - score}] for score in scores]
    parts = cut_into("text-classification", "x" * 100, spans, answers)
    settings = settings_for("text-classification")
    whole: Any = chunking("text-classification").merge(parts, "x" * 100, settings)
    mean = {each["label"]: each["score"] for each in whole}
    assert min(scores) <= mean["A"] <= max(scores)
    assert mean["A"] + mean["B"] == pytest.approx(1)
    shuffled = data.draw(st.permutations(parts))
    assert chunking("text-classification").merge(shuffled, "x" * 100, settings) == whole


@settings(deadline=None)
@given(FLOATS)
def test_one_part_gives_what_it_says(score: float) -> None:
    answer = [{"label": "A", "score": score}]
    assert merge("text-classification", "some text", [(0, 9)], [answer]) == answer


@settings(deadline=None)
@given(st.lists(FLOATS, min_size=4, max_size=4), st.lists(st.integers(1, 99), min_size=3, max_size=3, unique=True))
def test_means_of_means_are_the_mean(scores: list[float], cuts: list[int]) -> None:
    spans = cut(100, cuts)
    for task, make in (
        ("text-classification", lambda score: [{"label": "A", "score": score}]),
        ("feature-extraction", lambda score: [score, 1.0, 2.0]),
    ):
        answers = [make(score) for score in scores]
        halves = [merge(task, "x" * 100, spans[:2], answers[:2]), merge(task, "x" * 100, spans[2:], answers[2:])]
        nested = merged(task, "x" * 100, [(0, spans[1][1]), (spans[2][0], 100)], halves)
        flat = merged(task, "x" * 100, spans, answers)
        assert (nested.explain or nested.value) == pytest.approx(flat.explain or flat.value)


# Vectors.


def test_vectors_are_the_mean_weighted_by_length() -> None:
    answers: list[Any] = [[2.0, 0.0], [[0, 4], [0, 8]]]  # the second is of two tokens
    assert merge("feature-extraction", "x" * 40, [(0, 10), (10, 40)], answers) == [0.5, 4.5]
    assert merge("feature-extraction", "x" * 40, [(0, 10), (10, 40)], answers, pooling="cls") == [0.5, 3.0]


def test_vectors_of_length_1_stay_so() -> None:
    got = merged("feature-extraction", "x" * 20, [(0, 10), (10, 20)], [[1.0, 0.0], [0.6, 0.8]]).value
    assert hypot(*got) == pytest.approx(1)
    assert got[1] / got[0] == pytest.approx(0.5)
    not_all = merged("feature-extraction", "x" * 20, [(0, 10), (10, 20)], [[1.0, 0.0], [3.0, 4.0]]).value
    assert not_all == [2.0, 2.0]
    assert merged("feature-extraction", "x" * 20, [(0, 10), (10, 20)], [[1.0, 0.0], [-1.0, 0.0]]).value == [0, 0]
    rounded = [0.6001, 0.7999]
    assert merged("feature-extraction", "x" * 20, [(0, 20)], [rounded]).value == rounded


def test_vectors_of_tokens_come_one_after_another() -> None:
    answers = [[[1, 2], [3, 4]], [[[5, 6]]]]
    assert merged("feature-extraction", "x" * 20, [(0, 10), (10, 20)], answers, pooling="none").value == [
        [1, 2],
        [3, 4],
        [5, 6],
    ]


@pytest.mark.parametrize("pooling", ["mean", "none"])
def test_vectors_of_several_lengths_are_refused(pooling: str) -> None:
    with pytest.raises(UnreadableAnswer, match="vectors of 2 and of 3 numbers"):
        merge("feature-extraction", "x" * 20, [(0, 10), (10, 20)], [[1, 2], [1, 2, 3]], pooling=pooling)


# Entities.


def entities(text: str, *, offsets: bool = True) -> list[dict[str, Any]]:
    """What a model finds that takes each word with a capital letter for a name."""
    return [
        {"entity_group": "PER", "word": match.group(), "score": 0.9}
        | ({"start": match.start(), "end": match.end()} if offsets else {})
        for match in CAPITALISED.finditer(text)
    ]


def merged_entities(text: str, spans: Sequence[Span], *, offsets: bool = True) -> Any:
    answers = [entities(text[slice(*span)], offsets=offsets) for span in spans]
    return merge("token-classification", text, spans, answers)


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=30), st.lists(st.integers(0, 150), max_size=4))
def test_entities_are_those_of_the_whole_wherever_it_is_cut(words: list[str], cuts: list[int]) -> None:
    text = " ".join(words)
    longest = max(map(len, words))
    far_apart = [at for at in sorted(set(cuts)) if at > 2 * longest]
    apart = [at for at, before in zip(far_apart, [0, *far_apart], strict=False) if at - before > 2 * longest]
    spans = cut(len(text), apart, overlap=longest)
    got = merged_entities(text, spans)
    assert got == entities(text)
    assert all(text[one["start"] : one["end"]] == one["word"] for one in got)


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=30), st.sets(st.integers(1, 29)), st.integers(0, 2))
def test_entities_are_those_of_sentences_asked_alone(words: list[str], cuts: set[int], overlap: int) -> None:
    text = " ".join(words)
    begins = [sum(len(word) + 1 for word in words[:at]) for at in range(len(words))]
    breaks = [0, *sorted(at for at in cuts if at < len(words)), len(words)]
    spans = [
        (begins[max(first - overlap, 0)], begins[last - 1] + len(words[last - 1])) for first, last in pairwise(breaks)
    ]
    for offsets in (True, False):
        assert merged_entities(text, sorted(set(spans)), offsets=offsets) == entities(text, offsets=offsets)


def test_an_entity_is_neither_doubled_nor_halved_where_parts_overlap() -> None:
    text = "we met Anna Maria Schmidt there"
    whole = {"entity_group": "PER", "word": "Anna Maria Schmidt", "start": 7, "end": 25}
    half = {"entity_group": "PER", "word": "Anna Maria", "start": 7, "end": 17}
    first_half = [
        {"entity_group": "PER", "word": "Anna", "start": 7, "end": 11},
        {**half, "word": "Maria", "start": 12},
    ]
    in_second = {**whole, "start": 4, "end": 22}
    spans = [(0, 17), (3, 31)]
    for answer in ([half], first_half):
        assert merge("token-classification", text, spans, [answer, [in_second]]) == [whole]
    # The other way round: the second part has its first word cut off, and the first has all of it.
    assert merge("token-classification", text, [(0, 31), (12, 31)], [[whole], [{**half, "start": 6, "end": 13}]]) == [
        whole
    ]


def test_entities_within_one_another_stay_where_a_part_had_them_so() -> None:
    nested = [
        {"entity": "ORG", "word": "Bank of Rome", "start": 0, "end": 12},
        {"entity": "LOC", "word": "Rome", "start": 8, "end": 12},
    ]
    for begin in (5, 8):
        rome = {"entity": "LOC", "word": "Rome", "start": 8 - begin, "end": 12 - begin}
        got = merge("token-classification", "Bank of Rome is old", [(0, 12), (begin, 19)], [nested, [rome]])
        assert got == nested


def test_entities_of_two_parts_that_overlap_are_one() -> None:
    text = "see the Old Town Hall now"
    first = {"entity": "LOC", "word": "Old Town", "start": 8, "end": 16}
    second = {"entity": "LOC", "word": "Town Hall", "start": 12, "end": 21}
    for spans, remaining in (([(0, 21), (2, 25)], first), ([(0, 16), (4, 25)], second)):
        moved = {**second, "start": 12 - spans[1][0], "end": 21 - spans[1][0]}
        assert merge("token-classification", text, spans, [[first], [moved]]) == [remaining]


def test_tokens_of_a_part_are_not_counted_in_the_whole() -> None:
    token = {"entity": "B-PER", "word": "Ada", "index": 1, "start": 0, "end": 3}
    remaining = {key: value for key, value in token.items() if key != "index"}
    got = merge("token-classification", "Ada Ada", [(0, 3), (4, 7)], [[token], {"entities": [token]}])
    assert got == [remaining, {**remaining, "start": 4, "end": 7}]
    assert merge("token-classification", "Ada", [(0, 3)], [[token]]) == [token]


def test_entities_without_offsets_get_none() -> None:
    def named(*words: str) -> list[dict[str, Any]]:
        return [{"entity_group": "X", "word": word, "start": None, "end": None} for word in words]

    text = "In New\nYork the U.S. Bank and McDonald met Ada"
    spans = [(0, 29), (16, len(text))]  # "U.S. Bank and" is in both
    answers = [named("new york", "u. s.", "bank"), named("U.S.", "Bank", "##Mc", "Ada", "nowhere")]
    assert merge("token-classification", text, spans, answers) == named(
        "new york", "u. s.", "bank", "##Mc", "Ada", "nowhere"
    )


def test_offsets_that_are_not_in_characters_lose_no_entity() -> None:
    answers = [
        [{"entity": "X", "word": "b", "start": 7, "end": 9}],
        [{"entity": "X", "word": "d", "start": 2, "end": 3}],
    ]
    assert [one["word"] for one in merge("token-classification", "aaa bcc d", [(0, 5), (5, 9)], answers)] == ["b", "d"]


# Answers to questions.

CONTEXT = "Ada lives in Rome. " * 2
QUESTION = ContextQuestion("Where?", CONTEXT)
HALVES = [(0, 18), (19, 37)]


def span(answer: str | None, score: float | None = None, start: int = 0, end: int = 0) -> dict[str, Any]:
    return {"answer": answer, "score": score, "start": start, "end": end} if score is not None else {"answer": answer}


def test_the_best_span_answers_with_its_place_in_the_whole() -> None:
    answers = [span("Ada", 0.3, 0, 3), [span("Rome", 0.6, 13, 17), span("in", 0.1, 10, 12)]]
    got = merged("question-answering", QUESTION, HALVES, answers)
    assert got == ("Rome", 0.6, {"score": 0.6, "start": 32, "end": 36})
    assert CONTEXT[32:36] == "Rome"


@pytest.mark.parametrize("empty", [None, "", " "])
def test_there_is_no_answer_only_where_no_part_has_one(empty: str | None) -> None:
    one = merged("question-answering", QUESTION, HALVES, [span(empty, 0.99), span("Rome", 0.2, 13, 17)])
    assert one[:2] == ("Rome", 0.2)
    none = merged("question-answering", QUESTION, HALVES, [span(empty, 0.99), [span(empty, 0.4), span("x", 0.3, 1, 2)]])
    assert none[:2] == (empty, 0.4)
    less_sure = [[span(empty, 0.99), span("Rome", 0.5, 13, 17)], span(empty, 0.4)]
    assert merged("question-answering", QUESTION, HALVES, less_sure, top_k=3)[:2] == (empty, 0.4)


def test_several_answers_are_best_first_and_each_once() -> None:
    overlapping = [(0, 18), (13, 37)]
    answers = [[span("Rome", 0.5, 13, 17), span("Ada", 0.4, 0, 3)], [span("Rome", 0.7, 0, 4), span("Ada", 0.2, 6, 9)]]
    assert merge("question-answering", QUESTION, overlapping, answers, top_k=3) == [
        span("Rome", 0.7, 13, 17),
        span("Ada", 0.4, 0, 3),
        span("Ada", 0.2, 19, 22),
    ]
    assert len(merge("question-answering", QUESTION, overlapping, answers, top_k=2)) == 2


def test_answers_without_scores_are_not_compared() -> None:
    with pytest.raises(UnreadableAnswer, match="no score"):
        merge("question-answering", QUESTION, HALVES, [span("Rome"), span("Ada", 0.2)])
    assert merged("question-answering", QUESTION, [(19, 37)], [{"answer": "Rome", "start": 13, "end": 17}]) == (
        "Rome",
        None,
        {"start": 32, "end": 36},
    )
    assert merged("question-answering", QUESTION, HALVES, [span("Rome"), span(None)]).value == "Rome"


# Summaries and translations.


@settings(deadline=None)
@given(st.lists(st.text("ab c\n.", min_size=1), min_size=2, max_size=6))
def test_summaries_come_in_the_order_of_the_text(texts: list[str]) -> None:
    spans = [(at, at + 1) for at in range(len(texts))]
    parts = cut_into("summarization", "x" * len(texts), spans, [{"summary_text": text} for text in texts])
    settings = settings_for("summarization")
    whole = TASKS["summarization"].read(chunking("summarization").merge(parts[::-1], "x", settings), "x", settings)
    assert whole.value.split() == " ".join(texts).split()


def test_a_summary_may_come_under_any_key() -> None:
    answers = [{"summary_text": "One."}, [{"generated_text": " Two. "}]]
    assert merged("summarization", "x" * 20, [(0, 10), (10, 20)], answers).value == "One. Two."
    assert merged("summarization", "x" * 20, [(0, 20)], [{"summary_text": " One. "}]).value == " One. "


@pytest.mark.parametrize(
    ("most", "parameters", "again"),
    [
        (100, {}, False),
        (39, {}, True),
        (100, {"max_length": 30}, True),
        (100, {"max_length": 36}, False),  # tokens are estimated
        (100, {"max_new_tokens": 20}, True),
        (100, {"max_output_length": 20}, True),
        (100, {"generate_parameters": {"max_length": 20}}, True),
    ],
)
def test_summaries_that_are_too_long_together_are_summarised(
    most: int, parameters: dict[str, Any], again: bool
) -> None:
    ask_again = chunking("summarization").ask_again
    assert ask_again is not None
    text = "word " * 40
    settings = settings_for("summarization", **parameters)
    answer = {"summary_text": text}
    assert ask_again(answer, most, lambda text: len(text.split()), settings) == (text if again else None)


@settings(deadline=None)
@given(st.text("ab \n\t\U0001f600\u6f22e\u0301", min_size=1, max_size=80), st.lists(st.integers(0, 80), max_size=6))
def test_the_blanks_of_the_source_stand_between_translations(text: str, cuts: list[int]) -> None:
    spans = cut(len(text), cuts)
    answers = [{"translation_text": text[slice(*span)].strip() or " "} for span in spans]
    if len(spans) > 1:
        assert merged("translation", text, spans, answers).value == text
    else:
        assert merged("translation", text, spans, answers).value == answers[0]["translation_text"]


def test_what_is_left_out_of_a_text_is_not_in_its_translation() -> None:
    text = "One two.\n\nThree.  Four five."
    answers = [{"translation_text": "Un deux."}, [{"generated_text": "Trois."}]]
    assert merged("translation", text, [(0, 8), (10, 16)], answers).value == "Un deux.\n\nTrois."


def test_a_script_without_spaces_gets_them_in_a_translation() -> None:
    text = "\u4f60\u597d\u3002\u518d\u89c1\u3002"
    answers = [{"translation_text": "Hello."}, {"translation_text": "Goodbye."}]
    assert merged("translation", text, [(0, 3), (3, 6)], answers).value == "Hello. Goodbye."


# Pairs.


def test_a_pair_is_cut_to_one_part() -> None:
    pair = TextPair("a " * 50, "b " * 50)
    for task, ends in (("sentence-similarity", (35, 35)), ("text-ranking", (35, 31))):
        settings, count = settings_for(task), lambda text: len(text.split())
        spans = chunking(task).cut(pair, 38 if task == "text-ranking" else 20, count, settings)
        assert spans == [ends]
        assert chunking(task).left_out(pair, spans, settings) == {"t": ends[0], "u": ends[1]}
        assert merged(task, pair, spans, [0.5]).value == 0.5


# Parts in the column of explanations.


def test_explain_tells_the_parts_with_their_scores() -> None:
    spans = [(0, 10), (10, 20)]
    answers = [{"POS": 0.75, "NEG": 0.25}, {"POS": 0.25, "NEG": 0.75}]
    task, settings = TASKS["text-classification"], settings_for("text-classification")
    parts = cut_into(task.name, "x" * 20, spans, answers)
    read = [task.read(part.answer, part.item, settings) for part in parts]
    got = with_parts(merged(task.name, "x" * 20, spans, answers), parts, read, {"t": 20})
    assert got.explain == {
        "POS": 0.5,
        "NEG": 0.5,
        "parts": [
            {"start": 0, "end": 10, "value": "POS", "confidence": 0.75},
            {"start": 10, "end": 20, "value": "NEG", "confidence": 0.75},
        ],
        "left_out": {"t": 20},
    }


def test_explain_tells_the_parts_of_a_task_without_scores() -> None:
    parts = [Part((0, 5), "abcde", [1.0])]
    assert with_parts(Prediction([1.0]), parts, [Prediction([1.0])], {}).explain == {"parts": [{"start": 0, "end": 5}]}


def test_explain_of_a_pair_tells_only_what_was_left_out() -> None:
    parts = [Part((3, 4), TextPair("abc", "defg"), 0.5)]
    assert with_parts(Prediction(0.5), parts, [Prediction(0.5)], {"t": 3}) == (0.5, None, {"left_out": {"t": 3}})
    assert with_parts(Prediction(0.5), parts, [Prediction(0.5)], {}) == (0.5, None, None)


def test_a_label_called_parts_keeps_its_score_in_the_target() -> None:
    settings = settings_for("text-classification", output="scores")
    answer = [{"label": "parts", "score": 0.9}, {"label": "left_out", "score": 0.1}]
    prediction = TASKS["text-classification"].read(answer, "text", settings)
    got = with_parts(prediction, [Part((0, 4), "text", answer)], [prediction], {"t": 4})
    assert got.value == {"parts": 0.9, "left_out": 0.1}
    assert [part["start"] for part in got.explain["parts"]] == [0]
    assert got.explain["left_out"] == {"t": 4}
