"""What is made of the settings by a tool is in step with them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference.failures import FailureKind, rejection_kind
from huggingface_api_handler.inference.flow_control.circuit_breaker import MAX_STALL_S
from huggingface_api_handler.inference.flow_control.retry import MAX_ATTEMPTS
from tests.support.refusals import classify
from tools import (
    cascade_page,
    generated,
    reliability_report,
    scale_report,
    servers_report,
    write_creation_args,
    write_reference,
)


def test_creation_args_are_what_the_tool_would_write() -> None:
    assert write_creation_args.FILE.read_text("utf-8") == write_creation_args.creation_args(), (
        "run `python -m tools.write_creation_args`"
    )


def test_creation_args_are_literals_which_mindsdb_reads_as_text() -> None:
    assignment = ast.parse(write_creation_args.creation_args()).body[-1]
    assert isinstance(assignment, ast.Assign) and isinstance(assignment.value, ast.Call)
    for keyword in assignment.value.keywords:
        argument = ast.literal_eval(keyword.value)
        assert argument["type"] in ("pwd", "str", "url", "int", "bool", "path", "list", "dict")
        assert argument["required"] is False
    assert max(map(len, write_creation_args.creation_args().splitlines())) <= write_creation_args.LINE_CHARS


def test_the_tables_in_the_pages_are_what_the_tool_would_write() -> None:
    assert generated.outdated(write_reference.pages()) == [], "run `python -m tools.write_reference`"


@pytest.mark.parametrize("subject", ["engine", "model"])
def test_a_page_has_the_arguments(subject: str) -> None:
    page = (generated.ROOT / "docs" / "reference" / "arguments.md").read_text("utf-8")
    assert write_reference.table("arguments", subject) in page


def test_a_page_has_the_kinds_of_failure_once() -> None:
    page = (generated.ROOT / "docs" / "reference" / "failures.md").read_text("utf-8")
    assert page.count(write_reference.failure_kinds()) == 1
    for kind in FailureKind:
        assert f"| `{kind.value}` | {'yes' if kind.in_rows else 'never'} |" in page


def test_the_words_of_failures_are_public_and_do_not_change() -> None:
    assert {kind.value: kind.former_word for kind in FailureKind} == {
        "temporary failure": "again",
        "rejected input": "row",
        "query stopped": "stop",
        "not sent": "not asked",
        "rate limited": "wait",
        "rejected batch": "smaller",
        "batches not supported": "single",
    }


def test_the_texts_of_failures_name_the_numbers_that_hold() -> None:
    assert f"sent {MAX_ATTEMPTS} times" in FailureKind.TRANSIENT.handling
    assert f"more than {MAX_STALL_S:.0f} s" in FailureKind.FATAL.meaning


def test_a_request_of_one_input_fails_with_a_kind_that_a_row_can_have_unless_it_waits() -> None:
    bodies = b"", b'{"error": "must be a str, lists are not supported"}', b'{"error": "batch size > maximum 1"}'
    kinds = {classify(status, {}, body).kind for status in range(300, 600) for body in bodies}
    assert {kind for kind in kinds if not kind.in_rows} == {FailureKind.RATE_LIMITED}
    assert rejection_kind(1).in_rows and not rejection_kind(2).in_rows


def test_the_page_of_reliability_shows_the_figures() -> None:
    assert generated.outdated(reliability_report.pages()) == [], "run `python -m tools.reliability_report`"


def test_the_page_of_servers_shows_the_figures() -> None:
    assert generated.outdated(servers_report.pages()) == [], "run `python -m tools.servers_report`"


def test_the_page_of_scale_is_computed_from_the_figures() -> None:
    assert generated.outdated(scale_report.pages()) == [], "run `python -m tools.scale_report`"


def test_the_page_on_cascades_has_the_figures_of_the_benchmark() -> None:
    assert generated.outdated(cascade_page.pages()) == [], "run `python -m tools.cascade_page`"


def test_the_page_of_scale_takes_other_rows_and_prices() -> None:
    (text,) = scale_report.pages(scale_report.Job(2_000_000, 0.5, 3.0, 50.0)).values()
    assert text.startswith("# Scale: 2,000,000 rows\n")
    assert "| 50 tokens a row at $3 per million | 300 |" in text
    for part in text.split("\n\n"):
        assert part.startswith("|") or max(map(len, part.splitlines())) <= 110


def test_only_what_is_between_the_marks_is_replaced() -> None:
    page = "a\n<!-- arguments: options, by hand -->\nthe former table\n<!-- /arguments -->\nb\n<!-- arguments: ner -->\n<!-- /arguments -->\nc\n"
    filled = write_reference.filled(page)
    assert filled.startswith("a\n<!-- arguments: options, by hand -->\n| argument | type | meaning |\n")
    assert "the former table" not in filled and "`wait_for_model`" in filled and "`aggregation_strategy`" in filled
    assert "\n<!-- /arguments -->\nb\n" in filled and filled.endswith("<!-- /arguments -->\nc\n")
    assert write_reference.filled(filled) == filled
    with pytest.raises(InputError, match="no task"):
        write_reference.filled("<!-- arguments: nothing -->\n<!-- /arguments -->\n")


def test_check_fails_where_a_file_is_outdated_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("old")
    for arguments, status, text in [(["--check"], 1, "old"), ([], 0, "new"), (["--check"], 0, "new")]:
        monkeypatch.setattr("sys.argv", ["tool", *arguments])
        assert generated.run("python -m tool", "Writes a page.", {page: "new"}) == status
        assert page.read_text() == text
    assert "page.md is outdated: run `python -m tool`" in capsys.readouterr().out
