"""Texts that are too long for the model, through ``predict`` and a server that counts tokens in its own way."""

from __future__ import annotations

import operator
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict, predict_batches
from huggingface_api_handler.inference.runtime.session import Session
from huggingface_api_handler.tasks.text_windows import estimate_tokens
from tests.conftest import Reply, Service

LIMIT = 60
"""Tokens that the server takes."""

STATED = "`inputs` must have less than {limit} tokens. Given: {tokens}"
NOT_STATED = "the input is too long"


def tokens(text: str) -> int:
    """As a server counts: other tokens than are estimated, and two more."""
    return round(1.25 * estimate_tokens(text)) + 2


def scores(text: str) -> list[dict[str, Any]]:
    words = text.split()
    share = sum(word.strip(".") == "good" for word in words) / len(words)
    return [{"label": "POS", "score": share}, {"label": "NEG", "score": 1 - share}]


@dataclass
class Encoder:
    """A server of encoders: it refuses what is too long, alone or in a list."""

    service: Service
    words: str = STATED
    limit: int = LIMIT
    answer: Callable[[str], Any] = scores
    accepts_batches: bool = True
    refused: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    odd: dict[str, Reply] = field(default_factory=dict)  # by a word of the text

    def __post_init__(self) -> None:
        self.service.answer = self.reply

    def reply(self, body: Any, _headers: Any, _path: str) -> Reply:
        inputs = body["inputs"]
        texts = inputs if isinstance(inputs, list) else [inputs]
        assert all(text.strip() for text in texts), "an empty part went out"
        if len(texts) > 1 and not self.accepts_batches:
            return Reply({"error": "lists are not supported"}, 422)
        for text in texts:
            for word, reply in self.odd.items():
                if word in text.split():
                    return reply
            if tokens(text) > self.limit:
                self.refused.append(text)
                words = self.words.format(limit=self.limit, tokens=tokens(text))
                return Reply({"error": words, "error_type": "Validation"}, 413)
        self.answered += texts
        answers = [self.answer(text) for text in texts]
        return Reply(answers if isinstance(inputs, list) else answers[0])

    def forget(self) -> None:
        self.service.asked.clear()
        self.refused.clear()
        self.answered.clear()

    @property
    def requests(self) -> int:
        return len(self.service.asked)

    def ask(self, texts: Any, session: Session | None = None, **using: Any) -> pd.DataFrame:
        """As a person would, in a session that knows nothing of the route but what is stored."""
        frame = texts if isinstance(texts, pd.DataFrame) else pd.DataFrame({"text": texts})
        task = {"task": "text-classification", "model": "m", "column": "text", "max_chunks": 1000, **using}
        if session is not None:
            return predict(frame, task, {"endpoint": f"{self.service.url}/models"}, session=session)
        with Session() as own:
            return predict(frame, task, {"endpoint": f"{self.service.url}/models"}, session=own)


@pytest.fixture
def encoder(service: Service) -> Encoder:
    return Encoder(service)


def document(words: int, seed: int = 0) -> str:
    """Sentences of 3 to 11 words, of which each says its number, so that no two are equal."""
    drawn = random.Random(f"{words} {seed}")
    sentences: list[str] = []
    left = words
    while left > 0:
        count = min(left, drawn.randrange(3, 12))
        left -= count
        body = [drawn.choice(("good", "bad", "plain", "things")) for _ in range(count - 1)]
        sentences.append(" ".join([f"s{len(sentences)}x{seed}", *body]) + ".")
    return " ".join(sentences)


def share_of_good(text: str) -> float:
    return float(scores(text)[0]["score"])


def mean_of(parts: list[dict[str, Any]], text: str) -> float:
    """The share of good words in each part, weighted by its length."""
    lengths = [part["end"] - part["start"] for part in parts]
    shares = [share_of_good(text[part["start"] : part["end"]]) for part in parts]
    return float(sum(map(operator.mul, lengths, shares)) / sum(lengths))


TABLE = [document(words, seed) for seed, words in enumerate([5, 20, 40, 200, 30, 57, 58, 59, 700, 1200, 12, 61, 90])]


@pytest.mark.parametrize("accepts_batches", [True, False])
@pytest.mark.parametrize("words", [STATED, NOT_STATED])
def test_every_text_is_answered_by_its_parts(encoder: Encoder, words: str, accepts_batches: bool) -> None:
    encoder.words, encoder.accepts_batches = words, accepts_batches
    out = encoder.ask(TABLE)
    assert out["prediction_error"].isna().all()
    for text, explain in zip(TABLE, out["prediction_explain"], strict=True):
        if tokens(text) > LIMIT:
            parts = explain["parts"]
            assert len(parts) >= tokens(text) / LIMIT
            assert " ".join(text[part["start"] : part["end"]] for part in parts) == text
            assert explain["POS"] == pytest.approx(mean_of(parts, text))
            assert "left_out" not in explain
        elif "parts" not in explain:  # one at the limit may have been estimated to be too long
            assert explain["POS"] == pytest.approx(share_of_good(text))
    usage = out.attrs["usage"]
    in_parts = [explain["parts"] for explain in out["prediction_explain"] if "parts" in explain]
    assert usage["long_texts"] == len(in_parts)
    assert usage["parts"] >= sum(map(len, in_parts))
    assert usage["answered"] == len(TABLE)


def test_what_the_server_says_of_its_length_is_used_from_then_on(encoder: Encoder) -> None:
    encoder.accepts_batches = False
    with Session() as session:
        encoder.ask([document(300)], session)
        assert len(encoder.refused) == 1
        encoder.forget()
        out = encoder.ask([document(1000, 1)], session)
    assert encoder.refused == []
    assert len(encoder.answered) == len(out["prediction_explain"][0]["parts"])
    encoder.forget()
    encoder.ask([document(900, 2)])  # another process
    assert encoder.refused == []


def test_a_length_that_nobody_says_is_found(encoder: Encoder) -> None:
    encoder.words = NOT_STATED
    with Session() as session:
        encoder.ask([document(50 + 5 * number, number) for number in range(30)], session)
        encoder.forget()
        texts = [document(1000, 100 + number) for number in range(10)]
        encoder.ask(texts, session)
    least = sum(map(tokens, texts)) / LIMIT
    assert len(encoder.answered) <= 1.5 * least
    assert len(encoder.refused) <= 0.1 * least


def test_a_second_query_asks_nothing_again(encoder: Encoder) -> None:
    for words in (STATED, NOT_STATED):
        encoder.words = words
        texts = [document(count, len(words) + count) for count in (10, 100, 500, 900)]
        first = encoder.ask(texts)
        encoder.forget()
        second = encoder.ask(texts)
        assert encoder.requests == 0
        pd.testing.assert_frame_equal(first, second)


def test_more_parts_are_asked_without_those_that_were(encoder: Encoder) -> None:
    text = document(600)
    few = encoder.ask([text], max_chunks=3)["prediction_explain"][0]
    assert len(few["parts"]) == 3
    assert few["left_out"] == {"text": few["parts"][-1]["end"]}
    answered = list(encoder.answered)
    encoder.forget()
    many = encoder.ask([text], max_chunks=1000)["prediction_explain"][0]
    assert many["parts"][:3] == few["parts"]
    assert "left_out" not in many
    assert not set(answered) & set(encoder.answered)
    encoder.forget()
    assert encoder.ask([text], max_chunks=2)["prediction_explain"][0]["parts"] == few["parts"][:2]
    assert encoder.requests == 0


def test_truncate_asks_for_the_first_part_alone(encoder: Encoder) -> None:
    texts = [document(600), document(10, 1)]
    out = encoder.ask(texts, long_text="truncate")
    explain = out["prediction_explain"][0]
    (part,) = explain["parts"]
    assert part["start"] == 0
    assert explain["left_out"] == {"text": part["end"]}
    assert explain["POS"] == pytest.approx(share_of_good(texts[0][: part["end"]]))
    assert "parts" not in out["prediction_explain"][1]


def test_error_leaves_the_row_to_the_server(encoder: Encoder) -> None:
    out = encoder.ask([document(600), document(10, 1)], long_text="error")
    assert "must have less than 60 tokens" in out["prediction_error"][0]
    assert out["prediction_error"][1] is None
    encoder.ask([document(600)])
    out = encoder.ask([document(600), document(10, 1)], long_text="error")  # though its parts are stored
    assert "must have less than 60 tokens" in out["prediction_error"][0]


def test_chunk_cuts_for_servers_that_cut_silently(encoder: Encoder) -> None:
    encoder.limit = 10**9
    text = document(3000)
    whole = encoder.ask([text])
    assert whole["prediction_explain"][0] == {"POS": share_of_good(text), "NEG": 1 - share_of_good(text)}
    parts = encoder.ask([text + " And more."], long_text="chunk")["prediction_explain"][0]["parts"]
    assert len(parts) > 1
    encoder.forget()
    encoder.ask([document(3000, 1)])  # what one query assumed says nothing to others
    assert encoder.requests == 1


def test_the_server_cuts_where_it_is_asked_to(encoder: Encoder) -> None:
    out = encoder.ask([document(600), document(20, 1)], truncation=True)
    assert "must have less than 60 tokens" in out["prediction_error"][0]  # this one does not
    encoder.answer = lambda _text: {"summary_text": "short"}
    summarization: dict[str, Any] = {"task": "summarization", "max_chunks": 100}
    out = encoder.ask([document(600), document(20, 1)], truncation="longest_first", **summarization)
    assert "must have less than 60 tokens" in out["prediction_error"][0]
    out = encoder.ask([document(600), document(20, 1)], truncation="do_not_truncate", **summarization)
    assert out["prediction_error"].isna().all()


def test_a_part_that_fails_fails_its_row_alone_and_is_asked_again_alone(encoder: Encoder) -> None:
    bad = document(500).replace("s40x0", "POISON")
    texts = [document(200, 1), bad, document(300, 2)]
    encoder.odd["POISON"] = Reply({"error": "flagged by our content filter"}, 400)
    out = encoder.ask(texts)
    assert out["prediction_error"][[0, 2]].isna().all()
    assert re.search(r"^rejected input 400: part \d+ of \d+ .*: flagged by our", out["prediction_error"][1])
    encoder.forget()
    encoder.odd.clear()
    out = encoder.ask(texts)
    assert out["prediction_error"].isna().all()
    assert encoder.requests == 1
    assert "POISON" in encoder.answered[0]


def test_a_part_is_tried_again_where_it_fails_in_passing(encoder: Encoder) -> None:
    failures = iter([Reply({"error": "oops"}, 500)])
    reply = encoder.reply

    def sometimes(body: Any, headers: Any, path: str) -> Reply:
        if "s30x0" in str(body) and tokens(str(body)) < 2 * LIMIT and (failure := next(failures, None)) is not None:
            return failure
        return reply(body, headers, path)

    encoder.service.answer = sometimes
    encoder.accepts_batches = False
    out = encoder.ask([document(500), document(9, 1)])
    assert out["prediction_error"].isna().all()
    assert next(failures, None) is None
    assert out.attrs["usage"]["retries"] == 1


def test_equal_parts_are_asked_once(encoder: Encoder) -> None:
    encoder.accepts_batches = False
    shared = document(400, 7)
    texts = [shared, f"{shared} The end.", f"{shared} Another end."]
    with Session() as session:
        encoder.ask([document(300, 8)], session)
        encoder.forget()
        encoder.ask(texts, session)
    assert len(encoder.answered) == len(set(encoder.answered))
    assert len(encoder.answered) <= 1.5 * tokens(shared) / LIMIT + 4


def test_a_server_that_refuses_everything_as_too_long_costs_little(encoder: Encoder) -> None:
    encoder.limit, encoder.words = 0, NOT_STATED
    with pytest.raises(InferenceError, match="the input is too long"):
        encoder.ask([document(1000, number) for number in range(40)], max_chunks=16)
    assert encoder.requests <= 60


def test_a_length_that_is_said_and_not_true_is_found(encoder: Encoder) -> None:
    encoder.words = "`inputs` must have less than 512 tokens"
    out = encoder.ask([document(1000, 3), document(700, 4), document(12)])
    assert out["prediction_error"].isna().all()


def test_a_budget_that_ends_between_parts_loses_none(encoder: Encoder) -> None:
    encoder.accepts_batches = False
    text = document(900)
    out = encoder.ask([text, document(5, 1)], max_requests=9)
    assert out["prediction_error"][0].startswith("not sent")
    answered = set(encoder.answered)
    encoder.forget()
    assert encoder.ask([text, document(5, 1)])["prediction_error"].isna().all()
    assert not answered & set(encoder.answered)


def test_a_dry_run_counts_parts(encoder: Encoder) -> None:
    encoder.accepts_batches = False
    texts = [document(900), document(5, 1)]
    with Session() as session:
        encoder.ask([document(300, 5)], session)
        counted = encoder.ask(texts, session, dry_run=True)
        encoder.forget()
        out = encoder.ask(texts, session)
    usage = out.attrs["usage"]
    assert counted["requests"][0] == encoder.requests == usage["requests"] == usage["parts"] + 1
    assert f"1 texts too long, in {usage['parts']} parts" in counted["prediction"][0]
    stored = encoder.ask(texts, dry_run=True)
    assert stored["requests"][0] == 0
    assert stored["stored"][0] == usage["parts"] + 1


def test_many_frames_are_one_query(encoder: Encoder) -> None:
    frames = [pd.DataFrame({"text": [document(50 * number + 5, number), None]}) for number in range(12)]
    using = {"task": "text-classification", "model": "m", "column": "text", "max_chunks": 100}
    with Session() as session:
        outs = list(predict_batches(frames, using, {"endpoint": f"{encoder.service.url}/models"}, session=session))
    for out in outs:
        assert out["prediction_error"].isna().all()
        assert out["prediction"].isna().tolist() == [False, True]


def test_without_a_store_all_goes_as_well(encoder: Encoder) -> None:
    out = encoder.ask(TABLE, cache=False)
    assert out["prediction_error"].isna().all()


def test_a_query_logs_of_how_many_texts_not_all_was_read_and_what_reads_more(
    encoder: Encoder, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [document(600), document(20, 1), document(300, 2)]
    encoder.ask(texts)
    assert "was read" not in caplog.text
    encoder.ask(texts, max_chunks=2, target="mood")
    (said,) = [record for record in caplog.records if "was read" in record.message]
    assert (said.levelname, said.message) == (
        "WARNING",
        "not all was read of 2 texts, which have more than max_chunks = 2 parts. Raise max_chunks to read more. "
        "mood_explain says from which character on nothing was read",
    )
    caplog.clear()
    encoder.ask(texts, long_text="truncate")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]

    def score(body: Any, *_: Any) -> Any:
        sides = [body["inputs"]["source_sentence"], *body["inputs"]["sentences"]]
        return Reply({"error": NOT_STATED}, 413) if max(map(tokens, sides)) > LIMIT else [0.5]

    encoder.service.answer = score
    pairs = pd.DataFrame({"text": [document(300), "short"], "other": ["short", "shorter"]})
    encoder.ask(pairs, task="sentence-similarity", column2="other")
    assert "1 pairs were cut to what the model reads" in caplog.text
