"""Each sentence of the page on troubleshooting is one that the package says, or that a service was recorded to say."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tools.generated import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
VARIABLE = "\0"
"""Stands in a text for what is put into it."""


def quoted(page: str) -> list[str]:
    """What stands in backticks in the first column of the page's tables."""
    return re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)


def rendered(node: ast.AST) -> str | None:
    """The text of a literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%\.?\d*[sdfgr]", VARIABLE, node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else VARIABLE for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return f"{rendered(node.left) or VARIABLE}{rendered(node.right) or VARIABLE}"
    return None


def docstrings(module: ast.Module) -> set[int]:
    """Which literals are texts that nobody is shown."""
    return {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}


@cache
def said() -> str:
    """All literals of the package that are no docstrings, and recorded errors of services, a line each."""
    found = []
    for file in sorted((ROOT / "huggingface_api_handler").rglob("*.py")):
        module = ast.parse(file.read_text("utf-8"))
        hidden = docstrings(module)
        found += [text for node in ast.walk(module) if id(node) not in hidden and (text := rendered(node))]
    recorded = (ROOT / "tests" / "recorded" / "errors.jsonl").read_text("utf-8")
    return "\n".join(text.replace("\n", " ") for text in found) + "\n" + recorded


def is_said(sentence: str) -> bool:
    pattern = rf"[^\n]*?{VARIABLE}[^\n]*?".join(re.escape(piece.strip()) for piece in sentence.split("..."))
    return bool(re.search(pattern, said()))


@pytest.mark.parametrize("sentence", quoted(PAGE.read_text("utf-8")))
def test_the_sentence_is_one_that_a_person_sees(sentence: str) -> None:
    assert is_said(sentence)


def test_there_are_many_and_each_stands_once() -> None:
    sentences = quoted(PAGE.read_text("utf-8"))
    assert len(sentences) > 40 and len(set(sentences)) == len(sentences)


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("no answer from ... in time", True),
        ("no answer from the host in time", False),
        ("The key was not accepted", True),
        ("What to do about a status that dooms every row", False),
    ],
)
def test_sentences_are_found_and_missed(sentence: str, found: bool) -> None:
    assert is_said(sentence) is found
