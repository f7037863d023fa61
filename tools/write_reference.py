"""``python -m tools.write_reference [--check]``: the tables of tasks, arguments, failures,
metrics, commands, DESCRIBE, spans and variables in README.md and docs/.

A page gets a table between two lines of its own, ``<!-- arguments: WHAT ... -->`` and ``<!-- /arguments -->``. The first
word, WHAT, is ``engine`` (CREATE ML_ENGINE), ``model`` (CREATE MODEL), ``options``, or the name of a task. Between
``<!-- tasks: ... -->`` and ``<!-- /tasks -->`` goes the table of all tasks, between ``<!-- failure kinds: ... -->`` and
``<!-- /failure kinds -->`` that of what ``<target>_error`` can say. Between ``<!-- metrics: WHAT ... -->`` and
``<!-- /metrics -->`` go the metrics for Prometheus, where WHAT is ``client`` or ``server``. Between ``<!-- reference:
WHAT ... -->`` and ``<!-- /reference -->`` goes one of ``REFERENCES``. What else the first line says is for people.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from huggingface_api_handler.config.normalize import task_named
from huggingface_api_handler.config.reference import arguments_of, markdown, settings_arguments
from huggingface_api_handler.config.settings import EngineSettings, ModelSettings, Options
from huggingface_api_handler.inference.failures import FailureKind
from huggingface_api_handler.inference.telemetry.prometheus import PrometheusHook
from huggingface_api_handler.server.metrics import Metrics
from huggingface_api_handler.tasks import TASKS, listing
from tools import environment_variables, reference_tables
from tools.generated import ROOT, run

SETTINGS = {"engine": EngineSettings, "model": ModelSettings, "options": Options}
REFERENCES = {
    "tasks": reference_tables.task_sections,
    "commands": reference_tables.command_sections,
    "usage": reference_tables.usage_columns,
    "model": reference_tables.model_properties,
    "spans": reference_tables.span_attributes,
    "variables": environment_variables.table,
}
_BLOCK = re.compile(
    r"(<!-- (tasks|arguments|failure kinds|metrics|reference): (\S+?),? .*?-->\n).*?(<!-- /\2 -->)", re.DOTALL
)


def table(block: str, subject: str) -> str:
    """Write the table for one block.

    Args:
        block: 'tasks', 'arguments', 'failure kinds', 'metrics' or 'reference'.
        subject: Whose arguments: 'engine', 'model', 'options' or the name of a task. Whose metrics: 'client' or
            'server'. Of 'reference', a key of ``REFERENCES``.

    Returns:
        The table in Markdown, without a line break at its end.

    Raises:
        KeyError: There is no such reference.
        InputError: There is no such task.
    """
    if block == "tasks":
        return listing.markdown(TASKS)
    if block == "failure kinds":
        return failure_kinds()
    if block == "metrics":
        return metrics(subject)
    if block == "reference":
        return REFERENCES[subject]()
    if subject in SETTINGS:
        return markdown(settings_arguments(SETTINGS[subject]).values())
    return markdown(arguments_of(task_named(subject)))


def failure_kinds() -> str:
    """Write the table of the kinds of failure.

    Returns:
        The table in Markdown, without a line break at its end.
    """
    lines = [
        "| kind | in a row | what happened | what was done | what you can do | in 0.1.0 |",
        "|---|---|---|---|---|---|",
    ]
    for kind in FailureKind:
        cells = [f"`{kind.value}`", "yes" if kind.in_rows else "never", kind.meaning, kind.handling, kind.advice]
        lines.append("| " + " | ".join([*cells, f"`{kind.former_word}`"]) + " |")
    return "\n".join(lines)


def metrics(subject: str) -> str:
    """Write the table of metrics.

    Args:
        subject: 'client' or 'server'.

    Returns:
        The table in Markdown, without a line break at its end.
    """
    registry = Metrics().registry if subject == "server" else CollectorRegistry()
    if subject == "client":
        PrometheusHook(registry)
    lines = ["| metric | type | meaning |", "|---|---|---|"]
    for family in registry.collect():
        if family.name.startswith("huggingface_api_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            lines.append(f"| `{name}` | {family.type} | {family.documentation} |")
    return "\n".join(lines)


def filled(page: str) -> str:
    """Fill the blocks of one page.

    Args:
        page: The page's text.

    Returns:
        The text with the table of each block replaced.
    """
    return _BLOCK.sub(lambda block: f"{block[1]}{table(block[2], block[3])}\n{block[4]}", page)


def pages() -> dict[Path, str]:
    """Fill the pages that have blocks.

    Returns:
        Path -> text, for README.md and all pages below docs/.
    """
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {path: filled(path.read_text("utf-8")) for path in paths}


if __name__ == "__main__":
    sys.exit(
        run(
            "python -m tools.write_reference",
            "Write the tables of README.md and docs/ that are made of the code.",
            pages(),
        )
    )
