"""What `import huggingface_api_handler` gives, and that it gives it quickly."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import huggingface_api_handler
from huggingface_api_handler import errors, inference

HEAVY = ("pandas", "numpy", "pydantic", "aiohttp", "huggingface_hub", "mindsdb")


def test_the_import_brings_neither_pandas_nor_mindsdb() -> None:
    code = (
        f"import sys, huggingface_api_handler as h\nassert not {set(HEAVY)} & set(sys.modules)\n"
        "h.InputError\nassert not {'pandas', 'mindsdb'} & set(sys.modules)\n"
        "from huggingface_api_handler import predict\n"
        "assert 'pandas' in sys.modules and 'mindsdb' not in sys.modules\nprint(predict.__module__)"
    )
    root = Path(huggingface_api_handler.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)
    assert (done.returncode, done.stdout.strip()) == (0, "huggingface_api_handler.inference"), done.stderr


def test_what_python_callers_need_is_at_the_top() -> None:
    from huggingface_api_handler import InferenceError, InputError, predict

    assert predict is inference.predict
    assert (InputError, InferenceError) == (errors.InputError, errors.InferenceError)
    assert {"predict", "InputError", "InferenceError"} <= set(huggingface_api_handler.__all__)
    for name in huggingface_api_handler.__all__:
        assert getattr(huggingface_api_handler, name) is not None


def test_any_other_name_is_refused_as_usual() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'predictt'"):
        huggingface_api_handler.predictt  # noqa: B018
    assert not hasattr(huggingface_api_handler, "__wrapped__")


def test_what_mindsdb_reads_as_text_is_literal() -> None:
    tree = ast.parse(Path(huggingface_api_handler.__file__).read_text("utf-8"))
    literals = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    assert literals["name"] == "huggingface_api"
    assert literals["title"] == "Hugging Face API"
    assert literals["icon_path"] == "icon.svg"
    assert literals["permanent"] is False
