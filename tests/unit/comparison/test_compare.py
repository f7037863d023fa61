"""Models compared from Python: what is asked, measured, and said of those that fail."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler import InputError, compare
from huggingface_api_handler.comparison import Comparison
from huggingface_api_handler.comparison.labels import Labels
from huggingface_api_handler.comparison.measures import Said, measure
from tests.conftest import Reply, Service

TEXTS = [f"{mood} {number}" for number in range(10) for mood in ("good", "bad")]
TRUTH = ["positive" if text.startswith("good") else "negative" for text in TEXTS]
TABLE = pd.DataFrame({"text": TEXTS, "label": TRUTH})


def answer_of(model: str, text: str) -> list[dict[str, Any]]:
    """`right` is always right, `half` says that all is good, `codes` answers in labels of its own."""
    is_good = text.startswith("good") or model == "half"
    names = ("LABEL_1", "LABEL_0") if model == "codes" else ("POSITIVE", "NEGATIVE")
    best, other = names if is_good else names[::-1]
    return [{"label": best, "score": 0.9}, {"label": other, "score": 0.1}]


@pytest.fixture(autouse=True)
def models(service: Service) -> Service:
    def answer(body: Any, _headers: dict[str, str], path: str) -> Any:
        model = path.rpartition("/")[2]
        if model == "refused":
            return Reply({"error": "this key may not"}, 401)
        if model == "gone":
            return Reply({"error": "no such model"}, 404)
        texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
        if model == "picky" and any("bad 3" in text for text in texts):
            return Reply({"error": "not this one"}, 422)
        return [answer_of(model, text) for text in texts]

    service.answer = answer
    return service


def compared(service: Service, models: list[Any], **arguments: Any) -> pd.DataFrame:
    wanted = {"column": "text", "task": "text-classification", "truth": "label", "sample": None, **arguments}
    return compare(TABLE, models=models, engine={"endpoint": f"{service.url}/models"}, **wanted)


def test_a_row_for_each_model_says_how_good_it_is(service: Service) -> None:
    table = compared(service, ["right", "half"]).set_index("model")
    assert list(table["accuracy"]) == [1.0, 0.5]
    assert table.loc["half", "accuracy_low"] == pytest.approx(0.2993, abs=1e-4)
    assert table.loc["half", "accuracy_high"] == pytest.approx(0.7007, abs=1e-4)
    assert list(table["f1"]) == [1.0, pytest.approx(1 / 3)]
    assert table["agreement"].isna().tolist() == [True, False]
    assert table.loc["half", "agreement"] == 0.5
    assert list(table["answered"]) == [20, 20]
    assert list(table["task"]) == ["text-classification"] * 2
    assert (table["seconds"] > 0).all()
    assert table["note"].isna().all()


def test_dollars_that_nobody_knows_are_not_zero(service: Service) -> None:
    table = compared(service, ["right"])
    assert table["usd"].isna().all() and table["usd_per_1000"].isna().all()


def test_the_answers_of_a_comparison_are_found_again(service: Service) -> None:
    first = compared(service, ["right", "half"])
    assert first["requests"].gt(0).all() and len(service.asked) == first["requests"].sum()
    service.asked.clear()
    again = compared(service, ["right", "half"])
    assert service.asked == []
    assert list(again["stored"]) == [20, 20]
    assert list(again["accuracy"]) == list(first["accuracy"])
    assert again["seconds_per_1000"].isna().all()


def test_a_model_that_fails_is_a_row_with_its_reason(service: Service) -> None:
    table = compared(service, ["right", "refused", "gone", "half"]).set_index("model")
    assert "this key may not" in str(table.loc["refused", "note"])
    assert "no such model" in str(table.loc["gone", "note"])
    assert list(table["answered"]) == [20, 0, 0, 20]
    assert list(table["failed"]) == [0, 20, 20, 0]
    assert table.loc[["refused", "gone"], ["accuracy", "f1", "agreement"]].isna().all(axis=None)
    assert table.loc["half", "accuracy"] == 0.5
    assert table.loc["gone", "requests"] == 1
    assert table.loc["gone", "usd"] == 0.0  # so little was paid, which says nothing of its price
    assert table.loc[["refused", "gone"], ["usd_per_1000", "seconds_per_1000"]].isna().all(axis=None)


def test_a_row_that_fails_is_counted_and_not_measured(service: Service) -> None:
    table = compared(service, ["picky", "right"]).set_index("model")
    assert [table.loc["picky", name] for name in ("answered", "failed", "accuracy")] == [19, 1, 1.0]
    assert table.loc["picky", "errors"] == {"rejected input": 1}
    assert table.loc["right", "agreement"] == 1.0


def test_without_a_truth_models_are_compared_with_each_other(service: Service) -> None:
    table = compared(
        service, ["right", "half", "codes", "other"], truth=None, labels={"positive": "LABEL_1", "negative": "LABEL_0"}
    )
    assert table[["accuracy", "f1"]].isna().all(axis=None)
    assert list(table["agreement"])[1:] == [0.5, 1.0, 1.0]
    assert list(table["majority_agreement"]) == [1.0, 0.5, 1.0, 1.0]
    pairs = table.attrs["comparison"]["pairwise"]
    assert pairs["half"] == {"right": 0.5, "codes": 0.5, "other": 0.5}


def test_labels_of_a_models_own_are_named(service: Service) -> None:
    table = compared(service, ["codes"])
    assert table["accuracy"][0] == 0.0
    assert table["note"][0] == (
        "20 of its answers are no label of the truth ('label_1', 'label_0'). If they mean one, say which with labels, "
        "such as {'negative': ['label_1']}"
    )
    named = compared(service, ["codes"], labels={"positive": "LABEL_1", "negative": "LABEL_0"})
    assert (named["accuracy"][0], named["note"][0]) == (1.0, None)


def test_a_sample_is_the_same_for_all_models_and_again(service: Service) -> None:
    table = compared(service, ["right", "half"], sample=6)
    positions = table.attrs["comparison"]["sample"]
    assert len(positions) == 6
    assert {TEXTS[place] for place in positions} == {
        text for body in service.asked for text in (body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]])
    }  # fmt: skip
    assert compared(service, ["right"], sample=6).attrs["comparison"]["sample"] == positions
    assert list(table["answered"]) == [6, 6]


def test_rows_without_input_or_truth_are_left_out(service: Service) -> None:
    table = pd.DataFrame({"text": ["good 1", None, "bad 2"], "label": ["positive", "positive", ""]})
    out = compare(table, models=["right"], column="text", task="text-classification", truth="label",
                  engine={"endpoint": f"{service.url}/models"})  # fmt: skip
    assert out["answered"][0] == 1
    assert (out.attrs["comparison"]["rows"], out.attrs["comparison"]["without_value"]) == (1, 2)


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="several columns 'label'"):
        compare(pd.concat([TABLE, TABLE[["label"]]], axis=1), models=["a"], column="text", truth="label")


def test_a_note_shows_labels_of_any_answer_as_one_short_line() -> None:
    said = Said("a", "t", [chr(27) + "[2J" + chr(0x202E) + "w" * 3000] * 2, [True] * 2)
    note = measure([said], ["p", "q"], ["p", "q"])[0]["note"]
    assert isinstance(note, str) and note.isprintable() and len(note) < 400


def test_names_of_a_label_may_be_numbers() -> None:
    given: Any = {"positive": 1, "negative": [0]}  # as JSON of the command line has them
    assert [Labels(given).read(cell) for cell in (1, "1", 0.0)] == ["positive", "positive", "negative"]


def test_tasks_that_are_told_labels_get_those_of_the_truth(service: Service) -> None:
    service.answer = lambda body, headers, path: {
        "labels": body["parameters"]["candidate_labels"],
        "scores": [0.9, 0.1] if body["inputs"].startswith("bad") else [0.1, 0.9],
    }
    table = compared(service, ["right"], task="zero-shot-classification")
    assert service.asked[0]["parameters"]["candidate_labels"] == ["negative", "positive"]
    assert table["accuracy"][0] == 1.0


def test_a_model_may_have_arguments_and_a_name_of_its_own(service: Service) -> None:
    table = compared(service, ["right", {"model": "right", "name": "strict", "threshold": 0.95}])
    assert list(table["model"]) == ["right", "strict"]
    assert list(table["accuracy"]) == [1.0, 0.0]


def test_a_model_without_a_task_says_why_it_was_not_asked(service: Service) -> None:
    table = compared(service, ["owner/name", {"model": "right", "task": "text-classification"}], task=None)
    assert "it could not be looked up for the model 'owner/name'" in table["note"][0]
    assert table["accuracy"][1] == 1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"models": []}, "models takes a list of models"),
        ({"models": "right"}, "models takes a list of models"),
        ({"models": ["right", "right"]}, "two of the models are called 'right'"),
        ({"models": ["right"], "column": "txet"}, "no column 'txet'; did you mean 'text'"),
        ({"models": ["right"], "truth": "labels"}, "no column 'labels'; did you mean 'label'"),
        ({"models": [None]}, "models takes names, and maps of arguments, and not None"),
        ({"models": [{"name": "mine"}], "task": None}, "one of the models has no name"),
        ({"models": ["right"], "sample": 0}, "sample takes a number of rows from 1 on"),
        ({"models": ["right"], "sample": "all"}, "sample takes a number of rows from 1 on, and not 'all'"),
        ({"models": ["right"], "labels": "positive,negative"}, "labels takes a list of labels"),
        ({"models": ["right"], "using": {"output": "all"}}, "only labels can be compared"),
        ({"models": ["right"], "task": "feature-extraction"}, "only labels can be compared"),
        ({"models": ["right"], "task": "text-clasification"}, "text-clasification"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_asked(
    service: Service, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        compared(service, **arguments)
    assert service.asked == service.fetched == []


def test_what_it_would_ask_is_counted_without_asking(service: Service) -> None:
    compared(service, ["right"], sample=6)
    service.asked.clear()
    comparison = Comparison.of(
        TABLE, models=["right", "half"], column="text", task="text-classification", sample=10,
        engine={"endpoint": f"{service.url}/models"},
    )  # fmt: skip
    found = [(each.model, each.distinct_inputs, each.stored, each.usd) for each in comparison.estimates()]
    assert found == [("right", 10, 6, None), ("half", 10, 0, None)]
    assert service.asked == []


def test_dollars_are_of_the_inputs_that_were_asked() -> None:
    usage = {"distinct": 50, "stored": 30, "requests": 20, "usd": 0.004, "seconds": 2.0, "usd_note": "of one provider"}
    asked = Said("a", "t", ["x"] * 60, [True] * 60, usage)
    stored = Said("b", "t", ["x"] * 60, [True] * 60, {"distinct": 50, "stored": 50, "requests": 0, "usd": 0.0})
    unknown = Said("c", "t", ["x"] * 60, [True] * 60, {**usage, "usd": None})
    rows = measure([asked, stored, unknown], None, [])
    assert [row["usd"] for row in rows] == [0.004, 0.0, None]
    assert [row["usd_per_1000"] for row in rows] == [pytest.approx(0.2), None, None]
    assert [row["seconds_per_1000"] for row in rows] == [pytest.approx(100.0), None, pytest.approx(100.0)]
    assert rows[0]["note"] == "of one provider"
