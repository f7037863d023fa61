"""A Jupyter notebook run without Jupyter: its cells in order in one interpreter, with outputs in the form that is stored."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from typing import Any, TypeAlias

Cell: TypeAlias = dict[str, Any]
Output: TypeAlias = dict[str, Any]

_TAGS = re.compile(r"<style.*?</style>|<[^>]+>", re.DOTALL)


class Interpreter:
    """Runs cells, as the kernel of a notebook does."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._count = 0

    def run(self, cell: Cell) -> Cell:
        """The cell as it is stored after it was run."""
        if cell["cell_type"] != "code":
            return cell
        self._count += 1
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        out, value = io.StringIO(), None
        with contextlib.redirect_stdout(out):
            exec(compile(tree, "cell", "exec"), self._names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "cell", "eval"), self._names)
        outputs: list[Output] = []
        if out.getvalue():
            outputs.append({"name": "stdout", "output_type": "stream", "text": _lines(out.getvalue())})
        if value is not None:
            result = {"data": _data(value), "execution_count": self._count, "metadata": {}}
            outputs.append({**result, "output_type": "execute_result"})
        return {**cell, "execution_count": self._count, "outputs": outputs}


def texts_of(cell: Cell) -> list[str]:
    """What a person reads of a cell's outputs."""
    texts = []
    for output in cell.get("outputs", ()):
        texts.append("".join(output.get("text", ())))
        data = output.get("data", {})
        texts.append("".join(data.get("text/plain", ())))
        texts.append(" ".join(_TAGS.sub(" ", "".join(data.get("text/html", ()))).split()))
    return texts


def _data(value: object) -> dict[str, list[str]]:
    data = {"text/plain": _lines(repr(value))}
    html = getattr(value, "_repr_html_", None)
    return {**data, "text/html": _lines(html())} if html is not None else data


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
