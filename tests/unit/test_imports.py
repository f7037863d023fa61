"""An import costs what pandas, pydantic, aiohttp and orjson cost: all that is heavy besides waits until it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Service
from tests.support.imports import packages_imported_by

HEAVY = {
    "duckdb",
    "filelock",
    "httpx",
    "httpx2",
    "huggingface_hub",
    "mindsdb",
    "mindsdb_sql_parser",
    "onnxruntime",
    "opentelemetry",
    "polars",
    "prometheus_client",
    "prompt_toolkit",
    "pyarrow",
    "requests",
    "sqlglot",
    "starlette",
    "tokenizers",
    "torch",
    "tqdm",
    "uvicorn",
    "yaml",
}


@pytest.mark.parametrize(
    "module",
    ["huggingface_api_handler", "huggingface_api_handler.inference", "huggingface_api_handler.cli"],
)
def test_nothing_heavy_is_imported_before_it_is_used(module: str) -> None:
    assert packages_imported_by(module) & HEAVY == set()


@pytest.mark.parametrize("module", ["huggingface_api_handler", "huggingface_api_handler.cli"])
def test_the_package_and_its_commands_do_not_even_wait_for_pandas(module: str) -> None:
    code = f"import sys, {module}; print(*({{'pandas', 'numpy', 'pydantic', 'aiohttp', 'orjson'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_query_at_an_endpoint_imports_no_helpers_of_providers(service: Service, tmp_path: Path) -> None:
    """They take a third of a second, which only who asks a provider of Hugging Face's pays."""
    service.answer = lambda body, headers, path: [[{"label": "POSITIVE", "score": 0.9}]]
    engine = {"endpoint": f"{service.url}/models", "cache_dir": str(tmp_path)}
    code = f"""
import sys
import pandas as pd
from huggingface_api_handler.inference import predict
using = {{"task": "text-classification", "column": "text"}}
print(predict(pd.DataFrame({{"text": ["a"]}}), using, {engine})["prediction"][0], *sorted(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    label, *imported = done.stdout.split()
    assert label == "POSITIVE"
    assert not {"huggingface_hub.hf_api", "huggingface_hub.inference._providers"} & set(imported)
