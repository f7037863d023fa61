"""The reference pages name all that the code has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from huggingface_api_handler.inference.telemetry import usage_log
from huggingface_api_handler.lifecycle import DESCRIPTIONS
from huggingface_api_handler.tasks import TASKS
from tools import diagrams, environment_variables, generated, reference_tables, write_reference
from tools.environment_variables import MEANINGS, OF_LIBRARIES, variables_read
from tools.generated import ROOT

REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text("utf-8")


def test_each_variable_that_the_package_reads_is_on_the_page() -> None:
    read = variables_read()
    assert read - MEANINGS.keys() == set(), "say in tools/environment_variables.py what it does"
    assert MEANINGS.keys() - read == OF_LIBRARIES, "the package reads it no more"
    assert len(read) > 15 and environment_variables.table() in page("environment")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os\nos.environ.get('SOME')", {"SOME"}),
        ("import os\nos.getenv('SOME')", {"SOME"}),
        ("import os\nos.environ['SOME']", {"SOME"}),
        ("def key(environment):\n    return environment.get('SOME', '')", {"SOME"}),
        ("SOME_VARIABLE = 'OTHER_NAME'", {"OTHER_NAME"}),
        ("import os\nfor name in ('ONE_NAME', 'TWO_NAMES'):\n    os.environ.get(name)", {"ONE_NAME", "TWO_NAMES"}),
        ("settings.get('SOME')\nNAME = 'SOME_NAME'", set()),
    ],
)
def test_variables_are_found_in_source(tmp_path: Path, source: str, found: set[str]) -> None:
    ast.parse(source)
    (tmp_path / "module.py").write_text(source)
    assert variables_read(tmp_path) == found


def test_each_task_has_a_section_with_its_columns() -> None:
    text = page("tasks")
    for name, task in TASKS.items():
        section = text.split(f"### {name}\n")[1].partition("\n### ")[0]
        assert "Gives `p` " in section and all(f"| `{column.argument}` |" in section for column in task.columns)


def test_each_command_has_a_section() -> None:
    names = [name for name, _, _ in reference_tables.commands()]
    assert {"sql", "serve", "predict", "compare", "doctor"} <= set(names)
    assert "store prune" in names
    assert all(f"\n### {name}\n" in page("commands") for name in names)


def test_each_table_and_column_of_describe_is_on_the_page() -> None:
    text = page("describe")
    assert all(f"\n## {name}\n" in text for name in DESCRIPTIONS)
    assert all(f"| `{column}` |" in text for column in usage_log.no_usage().columns)


def test_an_unknown_reference_is_an_error() -> None:
    with pytest.raises(KeyError):
        write_reference.filled("<!-- reference: nothing -->\n<!-- /reference -->\n")


def test_each_test_that_the_guarantees_name_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/explanation/guarantees.md").read_text("utf-8"))
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / file).read_text("utf-8")]
    assert missing == [] and len(named) >= 20


def test_the_diagrams_are_what_the_tool_would_draw() -> None:
    assert generated.outdated(diagrams.files()) == [], "run `python -m tools.diagrams`"
