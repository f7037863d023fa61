"""``python -m tools.task_matrix [--check]``: docs/tasks.md, which says what each task is tested with."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from huggingface_api_handler.config.normalize import task_named
from huggingface_api_handler.server.registry import CARDS
from huggingface_api_handler.tasks import TASKS
from tools.generated import ROOT, run

PAGE = ROOT / "docs" / "tasks.md"
HEAD = """# What each task rests on

Made by `python -m tools.task_matrix` from the tests themselves; not written by hand.

- **schema**: parameters are checked against Hugging Face's schema, and generated valid and invalid answers are read (`tests/unit/tasks/test_schemas.py`).
- **recorded**: real answers of the service, replayed over HTTP through `predict` (`tests/unit/inference/test_predict.py`); the number of exchanges.
- **real model through SQL**: a model with real weights, on the local server, through MindsDB; the package of its weights (`tests/integration/test_sql.py`, `tests/integration/test_sql_local_models.py`, `examples/`). MiniLM's come with the extra `local`, spaCy's with `local-ner`, the others with `local-all`.
- **documented SQL**: an example of MindsDB's own pages, through MindsDB, to a service that answers as the recordings do (`tests/integration/test_documented_sql.py`).
- **transformers**: a pipeline with random weights behind `serve --model`, which proves the wiring and not the quality (`tests/transformers`).

| task | schema | recorded | real model through SQL | documented SQL | transformers |
|---|---|---|---|---|---|
"""


def tasks_in(*files: Path) -> set[str]:
    """Find the tasks that SQL in files names, in USING clauses or as keyword arguments of a test's helper.

    Args:
        files: SQL, or tests with SQL in them.

    Returns:
        The tasks' names, aliases resolved.
    """
    named = {name for file in files for name in re.findall(r"\btask\s*=\s*['\"]([\w-]+)['\"]", file.read_text("utf-8"))}
    return {task_named(name).name for name in named if name not in ("text-clasification",)}


def page() -> str:
    """Write the page.

    Returns:
        Its text in Markdown.
    """
    recorded: dict[str, int] = {}
    for file in (ROOT / "tests" / "recorded").glob("*.jsonl"):
        lines = [
            line
            for line in file.read_text("utf-8").splitlines()
            if '"status": 200' in line and '"event_stream"' not in line
        ]
        task = file.stem.removesuffix("-parse-test")
        recorded[task] = recorded.get(task, 0) + len(lines)
    integration = ROOT / "tests" / "integration"
    through_sql = tasks_in(
        *(ROOT / "examples").glob("*.sql"), integration / "test_sql.py", integration / "test_sql_local_models.py"
    )
    packages = {card.task: card.package.name.replace("huggingface_api_handler (head) on ", "") for card in CARDS}
    real = {task: f"yes: {packages[task]}" for task in through_sql if task in packages}
    documented = tasks_in(ROOT / "tests" / "integration" / "test_documented_sql.py")
    texts = "".join(file.read_text("utf-8") for file in (ROOT / "tests" / "transformers").glob("*.py"))
    wired = {name for name in TASKS if f'"{name}"' in texts}
    rows = []
    for name in TASKS:
        schema = "yes" if (ROOT / "tests" / "specs" / f"{name}.json").is_file() else ""
        columns = [
            schema,
            str(recorded.get(name) or ""),
            real.get(name, ""),
            *("yes" if name in found else "" for found in (documented, wired)),
        ]
        rows.append(f"| `{name}` | " + " | ".join(columns) + " |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(run("python -m tools.task_matrix", "Write docs/tasks.md.", {PAGE: page()}))
