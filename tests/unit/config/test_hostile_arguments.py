"""USING arguments and cells of every wrong kind: refused in a sentence before any request, or sent just as given.

Each argument that an engine, a model or a task has is given each of the values below: the tables are made of the
settings and tasks themselves, so that a new argument is tried without a line here.
"""

from __future__ import annotations

import datetime
import decimal
import itertools
import json
import math
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from huggingface_api_handler.config.normalize import KEY_NAMES
from huggingface_api_handler.config.settings import EngineSettings, ModelSettings
from huggingface_api_handler.config.validation import engine_settings, merge_select_overrides, model_settings
from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.protocols.hf_inference import form_of
from huggingface_api_handler.tasks import TASKS, Task, parameters_of
from tests.conftest import Reply, Service

pytestmark = pytest.mark.same_on_every_python
LONGEST_SENTENCE = 2000
SLOWEST = 3.0
SECRET = "hf_" + "s3cret" * 6

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
CELLS = {"text": "some text", "labels": "a, b", "image": PNG, "audio": b"fLaC\x00", "video": b"RIFF\x00\x00\x00\x00AVI ", "table": '{"a": ["1"]}', "values": "1", "whole table": "1"}  # fmt: skip


class Rude:
    """An object that answers nothing."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


def nested(kind: type, levels: int) -> Any:
    value: Any = "end"
    for _ in range(levels):
        value = [value] if kind is list else {"a": value}
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value += [value, value]
    return value


VALUES: dict[str, Any] = {
    "1 MB of text": "x" * 1_000_000,
    "1 MB of braces": "{{" * 500_000,
    "1 MB of spaces": "{{" + " " * 1_000_000,
    "1 MB of digits": "9" * 1_000_000,
    "NUL": "a\x00b",
    "line breaks": "a\r\nX-Injected: 1",
    "lone surrogate": "a\ud800b",
    "lone surrogate inside": {"a": ["\udfff"]},
    "quotes": "a'b\"c`d; DROP TABLE x --",
    "template": "{{ x.__class__ }}",
    "format": "{0.__class__} %s %(x)s ${x} {% if x %}",
    "empty": "",
    "blank": " \t",
    "bytes": b"\xff\xfe",
    "bytearray": bytearray(b"1"),
    "true": True,
    "minus one": -1,
    "half": 0.5,
    "number as text": "1",
    "number beyond JSON": 10**30,
    "number beyond text": 10**5000,
    "beyond floats": "1e999",
    "NaN": math.nan,
    "infinity": -math.inf,
    "NaN as text": "nan",
    "decimal": decimal.Decimal("1.5"),
    "date": datetime.date(2020, 1, 1),
    "set": {"a"},
    "numpy": np.int64(3),
    "array": np.arange(3),
    "table": pd.DataFrame({"a": [1]}),
    "NA": pd.NA,
    "object": object(),
    "rude object": Rude(),
    "function": print,
    "empty list": [],
    "empty map": {},
    "list of None": [None],
    "list of numbers": [1, 2],
    "list of lists": [["a"], ["b"]],
    "map of numbers": {"a": 1},
    "keys that are no text": {1: "a", None: "b"},
    "1,000 levels of lists": nested(list, 1000),
    "1,000 levels of maps": nested(dict, 1000),
    "10,000 levels as text": "[" * 10_000 + "]" * 10_000,
    "10,000 levels of maps as text": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "100 levels as text": json.dumps(nested(list, 100)),
    "JSON that is cut off": '{"a": [1',
    "NaN in JSON": '{"a": NaN}',
    "surrogate in JSON": '["\\ud800"]',
    "a list that holds itself": endless(),
    "10,000 items": [f"item {number}" for number in range(10_000)],
    "10,000 keys": {f"key {number}": "str" for number in range(10_000)},
    "200,000 items": ["a"] * 200_000,
}


@pytest.fixture(scope="module")
def refusing() -> Iterator[Service]:
    """A service that remembers what it was asked, and refuses it."""
    running = Service()
    running.answer = lambda *_: Reply({"error": "seen"}, 400)
    yield running
    running.close()


@pytest.fixture
def asked(refusing: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.chdir(tmp_path)  # a value that is taken for a folder is made here
    refusing.asked.clear()
    refusing.paths.clear()
    return refusing


FORMS_OF_JSON = 4
"""In which a chat server that says only no is asked for JSON: the first one's refusal may be of the form."""


def whole(task: Task) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A table of one row and the least arguments with which ``task`` would be asked."""
    using: dict[str, Any] = {"task": task.name, "model": "m", "target": "prediction"}
    cells: dict[str, Any] = {}
    for column in task.columns:
        if column.required or column.argument in ("column", "table_column"):
            cells[f"its {column.argument}"] = [CELLS[column.data_type]]
            using[column.argument] = [f"its {column.argument}"] if column.data_type == "values" else f"its {column.argument}"  # fmt: skip
    if task.required_parameters:
        using["candidate_labels"] = ["a", "b"]
    return pd.DataFrame(cells), using


def outcome(service: Service, frame: pd.DataFrame, using: Any, engine: Any = None) -> str | None:
    """The sentence of refusal, or None where the one row was sent. Anything else is a fault."""
    started = time.process_time()
    try:
        out = predict(frame, using, {"endpoint": f"{service.url}/models", **(engine or {})})
        if "requests" in out.columns:  # a dry run
            assert service.asked == []
            return None
        raise AssertionError("the service refuses everything")
    except InputError as error:
        sentence = str(error)
        assert service.asked == []
        assert 10 < len(sentence) <= LONGEST_SENTENCE
        sentence.encode()
        assert "\x00" not in sentence
        return sentence
    except InferenceError as error:
        if "max_tokens_total = 1 was reached" in str(error):  # which is less than any row takes
            assert service.asked == []
            return None
        assert "seen" in str(error) or "not reached" in str(error)
        form = service.asked[0].get("response_format")
        is_ours = isinstance(form, dict) and "type" in form  # a person's own is sent as it is, once
        assert len(service.asked) == (FORMS_OF_JSON if is_ours else 1)
        return None
    finally:
        assert time.process_time() - started < SLOWEST


def same(given: Any, stored: Any) -> bool:
    """Whether ``stored`` is what a person meant who wrote ``given``."""
    if isinstance(given, bool) or isinstance(stored, bool):
        return bool(given) == stored and (type(given) is bool or given in (0, 1, "1", "true"))
    if isinstance(given, str) and not isinstance(stored, str):
        words = [part.strip() for part in given.split(",") if part.strip()]
        return stored in (words, [*dict.fromkeys(words)]) or stored == json.loads(given)
    return bool(given == stored) and isinstance(given, (str, int, float, list, dict))


# Parameters that are the same in several tasks are tried with one of those.
PARAMETERS = [*{(form_of(task).encode, parameter): (task.name, name) for task in TASKS.values() for name, parameter in parameters_of(task).items()}.values()]  # fmt: skip


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_parameters_are_refused_or_sent_as_given(
    asked: Service, name: str, parameter: str, record_property: Any
) -> None:
    record_property("arguments", len(VALUES))  # beside this one test: a report counts them
    task = TASKS[name]
    frame, using = whole(task)
    using.pop(parameter, None)
    for value, given in VALUES.items():
        asked.asked.clear()
        sentence = outcome(asked, frame, {**using, "parameters": {parameter: given}})
        if sentence is not None:
            assert parameter in sentence, value
            continue
        body = asked.asked[0]
        sent = {**body, **body.get("parameters", {})}
        assert same(given, sent[parameter]), value


MODEL_ARGUMENTS = sorted({*ModelSettings.model_fields, *(column.argument for task in TASKS.values() for column in task.columns)})  # fmt: skip


def task_of(argument: str) -> Task:
    """A task that has the argument."""
    mine = [task for task in TASKS.values() if argument in task.arguments | {column.argument for column in task.columns}]  # fmt: skip
    return mine[0] if mine else TASKS["text-classification"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("argument", MODEL_ARGUMENTS)
def test_model_arguments_are_refused_or_kept_as_given(asked: Service, argument: str, value: str) -> None:
    given = VALUES[value]
    frame, using = whole(task_of(argument))
    if argument == "prompt_template":
        del using["column"]
    sentence = outcome(asked, frame, {**using, argument: given})
    if sentence is not None:
        assert argument in sentence
        return
    settings = model_settings({**using, argument: given}, engine_settings({"endpoint": asked.url}))
    stored = settings.columns.get(argument, getattr(settings, argument, None))
    if argument == "parameters":
        assert stored == {} == given
    elif argument == "options":
        assert given == {}
    else:
        assert same(given, stored)
    if argument == "model":
        assert asked.paths == [f"/models/{given}"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("argument", sorted({*EngineSettings.model_fields, *KEY_NAMES}))
def test_engine_arguments_are_refused_or_kept_as_given(asked: Service, argument: str, value: str) -> None:
    given = VALUES[value]
    frame, using = whole(TASKS["text-classification"])
    engine = {argument: given} if argument != "provider" else {argument: given, "endpoint": None}
    sentence = outcome(asked, frame, using, engine)
    if sentence is not None:
        assert argument in sentence
        return
    stored = getattr(engine_settings({argument: given}), "api_key" if argument in KEY_NAMES else argument)
    if argument in KEY_NAMES:
        assert stored.get_secret_value() == given.strip()
        assert asked.headers[-1]["authorization"] == f"Bearer {given.strip()}"
    else:
        assert same(given, stored)


@pytest.mark.parametrize("value", [name for name, value in VALUES.items() if isinstance(value, str)])
@pytest.mark.parametrize("where", ["argument", "parameter", "option", "engine", "select"])
def test_names_of_arguments_are_refused_whatever_they_are(asked: Service, where: str, value: str) -> None:
    frame, using = whole(TASKS["text-classification"])
    name = VALUES[value] or "x y"
    more: dict[str, dict[str, object]] = {
        "argument": {name: 1},
        "parameter": {"parameters": {name: 1}},
        "option": {"options": {name: 1}},
    }
    if where == "select":
        with pytest.raises(InputError) as error:
            model_settings(merge_select_overrides(using, {name: 1}))
        assert len(str(error.value)) <= LONGEST_SENTENCE
        return
    assert outcome(asked, frame, {**using, **more.get(where, {})}, {name: 1} if where == "engine" else None)


@pytest.mark.parametrize("value", VALUES)
def test_using_itself_may_be_anything(value: str) -> None:
    for read in (model_settings, engine_settings, lambda given: merge_select_overrides(given, given)):
        started = time.process_time()
        try:
            read(VALUES[value])
        except InputError as error:
            assert len(str(error)) <= LONGEST_SENTENCE
        assert time.process_time() - started < SLOWEST


@pytest.mark.parametrize(
    ("engine", "using"),
    [
        ({"api_key": SECRET + "\n" + SECRET}, {}), ({"api_key": SECRET + "\u00e9"}, {}), ({"token": [SECRET]}, {}), ({"api_key": SECRET, "token": SECRET}, {}),
        ({"endpoint": f"https://me:{SECRET}@h.example"}, {}), ({"endpoint": f"https://{SECRET}@h.example"}, {}), ({"endpoint": f"ftp://me:{SECRET}@h.example"}, {}),
        ({"endpoint": f"http://me:{'p' * 200}{SECRET}@h.example"}, {}), ({"timeout": SECRET}, {}), ({"max_concurrency": f"https://a:{SECRET}@b"}, {}), ({SECRET: 1}, {}),
        ({}, {"endpoint": f"https://me:{SECRET}@h.example"}), ({}, {"api_key": SECRET}), ({}, {"parameters": {"token": SECRET}}), ({}, {"parameters": json.dumps({"hf_token": SECRET})}),
        ({}, {"options": {"deep": {"api_key": SECRET}}}), ({}, {"threshold": SECRET}), ({}, {"top_k": f"x {SECRET} y"}), ({}, {"output": SECRET}), ({}, {"task": SECRET}), ({}, {SECRET: 1}), ({}, {"column": SECRET}),
        ({}, {"labels": [SECRET, 5]}),
    ],
)  # fmt: skip
def test_no_sentence_of_refusal_repeats_a_key_or_password(asked: Service, engine: Any, using: Any) -> None:
    frame, base = whole(TASKS["text-classification"])
    sentence = outcome(asked, frame, {**base, **using}, engine)
    assert sentence is not None
    assert "s3cret" not in sentence


def test_ten_thousand_candidate_labels_are_sent_in_their_order(asked: Service) -> None:
    frame, using = whole(TASKS["zero-shot-classification"])
    labels = [f"label {number}" for number in range(10_000)]
    for given in (labels, ", ".join(labels), json.dumps(labels)):
        asked.asked.clear()
        assert outcome(asked, frame, {**using, "candidate_labels": given}) is None
        assert asked.asked[0]["parameters"]["candidate_labels"] == labels


COLUMNS = ["a'b", 'a"b', "a`b", "a.b", "a\nb", "a\tb", "a b", " a", "a,b", "a;--", "[a]", "(a)", "%s", "{a}", "\u00e9", "e\u0301", "\U0001f600", "SELECT", "__mindsdb", "a\x00b", "x" * 10_000]  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_any_name_is_read(asked: Service, column: str) -> None:
    frame = pd.DataFrame({column: ["right"], "other": ["wrong"]})
    assert outcome(asked, frame, {"task": "summarization", "column": column}) is None
    assert asked.asked == [{"inputs": "right"}]


@pytest.mark.parametrize("column", [column for column in COLUMNS if not set(column) & set("{}") and column == column.strip()])  # fmt: skip
def test_a_column_of_any_name_stands_in_a_template(asked: Service, column: str) -> None:
    frame = pd.DataFrame({column: ["right"], "other": ["wrong"]})
    using = {"task": "text-generation", "model": "m", "prompt_template": f"<{{{{ {column} }}}}|{{{{{column}}}}}>"}
    assert outcome(asked, frame, using) is None
    assert asked.asked[0]["inputs"] == "<right|right>"


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("how", ["missing", "twice", "numbers", "the target", "many others"])
def test_what_is_wrong_with_a_column_is_told_shortly(asked: Service, column: str, how: str) -> None:
    using = {"task": "summarization", "column": column, "target": column if how == "the target" else "y"}
    frame = {
        "missing": pd.DataFrame({"other" * 1000: ["a"]}),
        "twice": pd.DataFrame([["a", "b"]], columns=[column, column]),
        "numbers": pd.DataFrame({column: [1]}),
        "the target": pd.DataFrame({column: ["a"]}),
        "many others": pd.DataFrame([["a"] * 5000], columns=[f"column {number}" for number in range(5000)]),
    }[how]
    assert outcome(asked, frame, using)


TEMPLATES = [
    "{{ x.__class__ }}", "{{x|upper}}", "{{ x.__class__.__mro__[1].__subclasses__() }}", "{{x()}}", "{{x['a']}}", "{{ 7*7 }}", "{{}}", "{{ }}", "{{x}}{{missing}}", "{{ self }}",
    "{{config}}", "{{#x}}", "{{> x}}", "{{& x}}", "{{! x}}", "{{x,y}}", "{{other.x}}", "{{\\x}}", "{{x\x00}}", "{{\u202ex}}", "{{" + "x" * 100_000 + "}}", "{{a}}" * 50_000,
]  # fmt: skip


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template[:30])
def test_templates_that_name_anything_but_columns_are_refused(asked: Service, template: str) -> None:
    frame = pd.DataFrame({"x": ["text"], "y": ["more"]})
    using = {"task": "text-generation", "model": "m", "prompt_template": template}
    sentence = outcome(asked, frame, using)
    assert sentence is not None
    assert "prompt_template" in sentence


@pytest.mark.parametrize(
    ("template", "sent"),
    [
        ("{{x}} {0.__class__} {x} %s %(x)s $x ${x}", "A {0.__class__} {x} %s %(x)s $x ${x}"),
        ("{% if x %}{{x}}{% endif %}{# x #}", "{% if x %}A{% endif %}{# x #}"),
        ("{{{x}}}", "{A}"),
        ('{"a": {"b": "{{x}}"}}', '{"a": {"b": "A"}}'),
        ("{{ x }}{{\tx\n}}{{X}}", "AAA"),
        ("{{x}} {{", "A {{"),
        ("}}{{x}}{{ {{x}} }}", "}}A{{ A }}"),
        ("\\1 \\g<1> {{x}}", "\\1 \\g<1> A"),
    ],
)
def test_templates_substitute_columns_and_do_nothing_else(asked: Service, template: str, sent: str) -> None:
    using = {"task": "text-generation", "model": "m", "prompt_template": template}
    assert outcome(asked, pd.DataFrame({"x": ["A"]}), using) is None
    assert asked.asked[0]["inputs"] == sent


@pytest.mark.parametrize("cell", ["{{other}}", "{{x}}", "{{ x.__class__ }}", "{{missing}}", "{% x %}", "\\1\\g<0>", "{0}", "}}{{", "{{{{x}}}}", "a\x00b", "\u202e"])  # fmt: skip
def test_what_stands_in_a_cell_is_never_a_template(asked: Service, cell: str) -> None:
    using = {"task": "text-generation", "model": "m", "prompt_template": "<{{x}}{{other}}>"}
    assert outcome(asked, pd.DataFrame({"x": [cell], "other": ["SECOND"]}), using) is None
    assert asked.asked[0]["inputs"] == f"<{cell}SECOND>"


# -- Cells: NULL, the text that is sent, or why it is not --

NULL, REFUSED = "NULL", "refused"
HOSTILE_CELLS: dict[str, tuple[Any, str, str]] = {
    # what the cell holds: the cell, what becomes of it as text, and what in a template
    "None": (None, NULL, NULL),
    "NaN": (math.nan, NULL, NULL),
    "numpy NaN": (np.float64("nan"), NULL, NULL),
    "NaT": (pd.NaT, NULL, NULL),
    "NA": (pd.NA, NULL, NULL),
    "decimal NaN": (decimal.Decimal("nan"), NULL, NULL),
    "empty": ("", NULL, "<>"),
    "blank": (" \n\t\u00a0\u3000", NULL, "< \n\t\u00a0\u3000>"),
    "NUL": ("a\x00b", "a\x00b", "<a\x00b>"),
    "controls": ("\x1b[31m\r\n\x7f", "\x1b[31m\r\n\x7f", "<\x1b[31m\r\n\x7f>"),
    "not in Unicode": ("\uffff\ufffe\U0010ffff", "\uffff\ufffe\U0010ffff", "<\uffff\ufffe\U0010ffff>"),
    "1 MB": ("x" * 1_000_000, "x" * 1_000_000, "<" + "x" * 1_000_000 + ">"),
    "high surrogate": ("a\ud800", REFUSED, REFUSED),
    "low surrogate": ("\udfffb", REFUSED, REFUSED),
    "surrogates of a pair": ("\ud83d\ude00", REFUSED, REFUSED),
    "bytes": (b"text", REFUSED, REFUSED),
    "bytes that are no UTF-8": (b"\xff\xfe\x00", REFUSED, REFUSED),
    "bytearray": (bytearray(b"text"), REFUSED, REFUSED),
    "memoryview": (memoryview(b"text"), REFUSED, REFUSED),
    "whole number": (5, REFUSED, "<5>"),
    "huge number": (10**100, REFUSED, f"<{10**100}>"),
    "number beyond text": (10**5000, REFUSED, REFUSED),
    "float": (1.5, REFUSED, "<1.5>"),
    "infinity": (math.inf, REFUSED, "<inf>"),
    "true": (True, REFUSED, "<True>"),
    "numpy number": (np.int64(7), REFUSED, "<7>"),
    "numpy half": (np.float32(0.5), REFUSED, "<0.5>"),
    "numpy text": (np.str_("text"), "text", "<text>"),
    "numpy bytes": (np.bytes_(b"text"), REFUSED, REFUSED),
    "array": (np.arange(3), REFUSED, "<[0, 1, 2]>"),
    "large array": (np.zeros(2000, dtype=int), REFUSED, "<" + json.dumps([0] * 2000) + ">"),
    "decimal": (decimal.Decimal("1.10"), REFUSED, "<1.10>"),
    "date": (datetime.date(2020, 1, 2), REFUSED, "<2020-01-02>"),
    "timestamp": (pd.Timestamp("2020-01-02 03:04"), REFUSED, "<2020-01-02 03:04:00>"),
    "duration": (datetime.timedelta(days=1), REFUSED, "<1 day, 0:00:00>"),
    "UUID": (uuid.UUID(int=1), REFUSED, f"<{uuid.UUID(int=1)}>"),
    "list": (["a", 1], REFUSED, '<["a", 1]>'),
    "map": ({"a": None}, REFUSED, '<{"a": null}>'),
    "map of objects": ({"a": object()}, REFUSED, REFUSED),
    "map of bytes": ({"a": b"x"}, REFUSED, REFUSED),
    "keys that are no text": ({(1, 2): 3}, REFUSED, REFUSED),
    "1,000 levels": (nested(list, 100_000), REFUSED, REFUSED),
    "a list that holds itself": (endless(), REFUSED, REFUSED),
    "rude object": (Rude(), REFUSED, REFUSED),
}


def one_row(cell: Any) -> pd.Series:
    column = pd.Series([None, "right"], dtype=object)
    column.iat[0] = cell
    return column


@pytest.mark.parametrize("template", [False, True], ids=["as text", "in a template"])
@pytest.mark.parametrize("held", HOSTILE_CELLS)
def test_a_cell_is_null_or_sent_as_it_is_or_refused_and_the_next_row_is_answered(
    service: Service, held: str, template: bool
) -> None:
    service.answer = lambda body, *_: [{"generated_text": f"answer to {body['inputs'][:99]}"}]
    cell, *expected = HOSTILE_CELLS[held]
    column = {"prompt_template": "<{{x}}>"} if template else {"column": "x"}
    frame = pd.DataFrame({"x": one_row(cell)})
    out = predict(frame, {"task": "text-generation", "model": "m", "target": "y", **column}, {"endpoint": service.url})
    wanted, right = expected[template], "<right>" if template else "right"
    sent = [body["inputs"] for body in service.asked]
    assert out["y"].iloc[1] == f"answer to {right}"
    if wanted in (NULL, REFUSED):
        assert sent == [right]
        assert pd.isna(out["y"].iloc[0])
        assert pd.isna(out["y_error"].iloc[0]) == (wanted == NULL)
        assert len(str(out["y_error"].iloc[0])) < 300
    else:
        assert sent == [wanted, right]
        assert out["y"].iloc[0] == f"answer to {wanted[:99]}"


TABLES: dict[str, Any] = {
    "10,000 levels": "[" * 10_000 + "]" * 10_000,
    "cut off": '{"a": ["1"',
    "a text": '"a"',
    "of different lengths": {"a": ["1"], "b": []},
    "huge number": {"a": [10**5000]},
    "huge number in JSON": '{"a": [' + "9" * 5000 + "]}",
    "surrogate": '{"a": ["\\ud800"]}',
    "surrogate in a name": '{"\\ud800": ["1"]}',
    "bytes": {"a": [b"\xff"]},
    "records with bytes": [{"a": b"\xff"}],
    "rude object": {"a": [Rude()]},
    "deep": {"a": [nested(list, 100_000)]},
    "bytes for a table": b"{}",
    "number": 5,
    "empty": {},
    "1,000,000 columns": "{" + "," * 1_000_000 + "}",
}


@pytest.mark.parametrize("held", TABLES)
def test_a_cell_that_is_no_table_is_refused_alone(service: Service, held: str) -> None:
    service.answer = lambda *_: {"answer": "yes"}
    frame = pd.DataFrame({"q": ["why?", "why?"], "t": [TABLES[held], '{"a": ["1"]}']})
    using = {"task": "table-question-answering", "column": "q", "table_column": "t", "target": "y"}
    out = predict(frame, using, {"endpoint": service.url})
    assert list(out["y_error"].isna()) == [False, True]
    assert len(out["y_error"][0]) < 300
    assert len(service.asked) == 1


LABELS: dict[str, Any] = {
    "10,000 levels": "[" * 10_000,
    "deep": nested(list, 1000),
    "numbers": [1, 2],
    "JSON of numbers": "[1, 2]",
    "cut off": '["a"',
    "commas": ",,,",
    "empty list": [],
    "surrogate": ["a", "\ud800"],
    "surrogate in JSON": '["\\ud800"]',
    "bytes": [b"a"],
    "bytes alone": b"a,b",
    "map": {"a": "b"},
    "rude objects": [Rude()],
    "number": 7,
}


@pytest.mark.parametrize("held", LABELS)
def test_a_cell_that_holds_no_labels_is_refused_alone(service: Service, held: str) -> None:
    service.answer = lambda *_: {"labels": ["a", "b"], "scores": [0.9, 0.1]}
    frame = pd.DataFrame({"t": ["text", "text"], "l": [LABELS[held], "a, b"]})
    using = {"task": "zero-shot", "column": "t", "candidate_labels_column": "l", "target": "y"}
    out = predict(frame, using, {"endpoint": service.url})
    assert list(out["y_error"].isna()) == [False, True]
    assert len(service.asked) == 1


@pytest.mark.parametrize("task", ["tabular-classification", "table-question-answering"])
@pytest.mark.parametrize("held", [held for held, (_, text, words) in HOSTILE_CELLS.items() if words == REFUSED])
def test_rows_and_columns_of_tables_hold_what_can_be_written(service: Service, task: str, held: str) -> None:
    frame = pd.DataFrame({"a": one_row(HOSTILE_CELLS[held][0]), "q": ["why?", "why?"]})
    if task == "table-question-answering":
        with pytest.raises(InputError, match="table_columns"):
            predict(frame, {"task": task, "column": "q", "table_columns": ["a"]}, {"endpoint": service.url})
        assert service.asked == []
        return
    service.answer = lambda *_: ["class"]
    out = predict(frame, {"task": task, "columns": ["a"], "target": "y"}, {"endpoint": service.url})
    assert list(out["y_error"].isna()) == [False, True]
    assert service.asked == [{"inputs": {"data": {"a": ["right"]}}}]


MEDIA: dict[str, Any] = {
    "surrogate": "\ud800.png",
    "surrogate in a URL": "https://example.com/\ud800",
    "surrogate in a data: URI": "data:image/png;base64,\ud800",
    "surrogate in a plain data: URI": "data:image/png,\ud800",
    "NUL in a URL": "https://example.com/\x00",
    "a line break in a URL": "https://example.com/\r\nX-Injected: 1",
    "1 MB of URL": "https://127.0.0.1/" + "x" * 1_000_000,
    "1 MB of host": "https://" + "a." * 500_000 + "example/",
    "1 MB of path": "x/" * 500_000,
    "whole number": 5,
    "list": ["https://example.com/x.png"],
    "map": {"url": "https://example.com/x.png"},
    "rude object": Rude(),
    "text of bytes": repr(PNG),
    "base64 alone": "iVBORw0KGgo=",
    "data: URI without data": "data:image/png;base64,",
    "base64 with an end in it": "data:;base64,iVBO==Rw0KGgo=",
    "4 MB of percents": "data:," + "%41" * 1_400_000,
}


@pytest.mark.parametrize("held", MEDIA)
def test_a_cell_that_holds_no_media_is_refused_alone(service: Service, held: str) -> None:
    service.answer = lambda *_: [{"label": "cat", "score": 0.9}]
    frame = pd.DataFrame({"t": one_row(MEDIA[held])})
    frame.iat[1, 0] = PNG
    using = {"task": "image-classification", "column": "t", "target": "y"}
    out = predict(frame, using, {"endpoint": service.url})
    assert list(out["y_error"].isna()) == [False, True]
    assert len(out["y_error"].iloc[0]) < 500
    out["y_error"].iloc[0].encode()
    assert len(service.asked) == 1


def test_every_argument_of_every_statement_is_tried() -> None:
    tried = {*MODEL_ARGUMENTS, *(parameter for _, parameter in PARAMETERS), *EngineSettings.model_fields, *KEY_NAMES}
    stated = set(itertools.chain(*(task.arguments | {column.argument for column in task.columns} for task in TASKS.values())))  # fmt: skip
    assert stated <= tried
