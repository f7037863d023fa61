"""The blocks of a page, run in order in one home.

``WRITE_DOCS=1`` puts into the page what its blocks print. ``PAGES=docs/chat.md`` takes these pages alone.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.config.credentials import KEY_VARIABLES
from tests.support import page_blocks, page_output
from tests.support.page_blocks import ROOT, Block, Page

ADDRESS = "127.0.0.1:8900"
"""Of the local server, as pages have it. A block gets that of the server which the tests started."""

COLUMNS = "108"
"""How wide the terminal is that is printed on. With its margin a page has 110."""

_SHELL_TIMEOUT_S = 300
_BROUGHT = ("examples", "training/held_out.tsv")
"""What of a checkout a page may read by its path from the top."""

_NO_ENDPOINT = re.compile(r"\bapi_key(?:_env)? = '[^']*'")
"""What an engine of Hugging Face's has, in whose place the stand-in's address comes."""

_USAGE = re.compile(r"^  \S+: [\d,]+ requests?, [\d,]+ of [\d,]+ inputs stored.*\n", re.MULTILINE)
"""What the shell says of the models behind a statement. A page would repeat it with each."""

RAN = "blocks that ran"
"""The property of a test's report that counts them."""

Record = Callable[[str, object], None]
"""Tells a property of a test, as pytest's fixture ``record_property`` does."""

RunSQL = Callable[[str], bool]
"""Runs statements, prints what a terminal shows of them, and says whether all ran."""


class Terminal(io.StringIO):
    """What is printed on it is kept."""

    def isatty(self) -> bool:
        return True


class PageRun:
    """A page in one home: one interpreter for its Python, one folder for its shell.

    Args:
        page: The page.
        run_sql: Runs its SQL.
        url: Of the server that answers, without a path.
        folder: The page's own, which is also the working directory.
    """

    def __init__(self, page: Page, run_sql: RunSQL, url: str, folder: Path) -> None:
        self._page, self._run_sql, self._folder = page, run_sql, folder
        self._host = url.removeprefix("http://")
        self._names: dict[str, Any] = {"__name__": "page"}

    def faults(self, blocks: Sequence[Block]) -> list[str]:
        """Run blocks in order, until one fails that should not.

        Args:
            blocks: Some of the page.

        Returns:
            What is wrong, each with the block and what it printed.
        """
        faults: list[str] = []
        found: list[tuple[Block, str]] = []
        for block in blocks:
            printed, worked = self._run(block)
            found.append((block, printed))
            where = f"{self._page.name}, line {block.line}"
            if not worked and block.printed is None:
                faults.append(f"{where} failed:\n{block.text}\n{printed}")
                break
            if block.printed is not None and not page_output.is_alike(printed, block.printed):
                faults.append(f"{where} prints something else:\n{block.text}\n{printed}")
        if os.environ.get("WRITE_DOCS"):
            _write(self._page, found)
            return [fault for fault in faults if " failed:" in fault]
        return faults

    def _run(self, block: Block) -> tuple[str, bool]:
        out = Terminal()
        text = self._to_run(block)
        run = {"sql": self._run_sql, "python": self._python, "sh": self._shell}[block.language]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            worked = run(text)
        printed = out.getvalue().replace(self._host, ADDRESS).replace(str(self._folder), ".")
        return _USAGE.sub("", printed), worked

    def _to_run(self, block: Block) -> str:
        text = block.text
        if self._page.service == "stand-in":
            text = _NO_ENDPOINT.sub(f"endpoint = 'http://{ADDRESS}/models'", text)
        return text.replace(ADDRESS, self._host)

    def _python(self, text: str) -> bool:
        try:
            exec(compile(text, "page", "exec"), self._names)
        except Exception as error:
            sys.stdout.write("".join(traceback.format_exception_only(error)))
            return False
        return True

    def _shell(self, text: str) -> bool:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self._folder,
            env=_variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_SHELL_TIMEOUT_S,
            check=False,
        )
        sys.stdout.write(done.stdout)
        return done.returncode == 0


def _variables() -> dict[str, str]:
    """Of somebody who has activated this environment and is at the top of a checkout."""
    variables = {name: value for name, value in os.environ.items() if name not in KEY_VARIABLES}
    variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), variables["PATH"]])
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), variables.get("PYTHONPATH")]))
    variables["COLUMNS"] = COLUMNS
    return variables


def _write(page: Page, found: Sequence[tuple[Block, str]]) -> None:
    """Put into the page what its blocks print, where that is not what it shows."""
    text = page.path.read_text("utf-8")
    for block, printed in reversed(found):
        if block.printed is not None and not page_output.is_alike(printed, block.printed):
            lines = "".join(f"{block.indent}{line}".rstrip() + "\n" for line in printed.rstrip().splitlines())
            text = text[: block.span[0]] + lines + text[block.span[1] :]
    page.path.write_text(text, "utf-8")


@contextlib.contextmanager
def folder_of_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder like a checkout, which is the working directory, with an empty store of a person without a key.

    Args:
        folder: That is empty.
        monkeypatch: Sets everything back.

    Yields:
        The folder to work in.
    """
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in _BROUGHT:
        target = checkout / name
        target.parent.mkdir(exist_ok=True, parents=True)
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(folder / "hf"))
    monkeypatch.setattr("huggingface_api_handler.inference.telemetry.hooks._registered", [])
    monkeypatch.setenv("COLUMNS", COLUMNS)
    monkeypatch.chdir(checkout)
    yield checkout


def write_summary(terminal: pytest.TerminalReporter, home: str) -> None:
    """Say at the end how many blocks ran in a home, and which are skipped for which reason.

    Args:
        terminal: That it is written to.
        home: The home. Tests tell what they ran by the property that ``ran`` names.
    """
    reports = [report for reports in terminal.stats.values() for report in reports]
    counts = [
        int(str(count))
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, count in report.user_properties
        if name == RAN
    ]
    if counts:
        reasons = page_blocks.skipped(map(page_blocks.read_page, page_blocks.page_paths()))
        terminal.write_line(f"{sum(counts)} blocks of {len(counts)} pages ran in {home}. Skipped in every home:")
        for reason in reasons:
            terminal.write_line(f"  {reason}")


def table_file(name: str) -> Path:
    """The CSV file of a table that a page takes for granted."""
    found = [folder / f"{name}.csv" for folder in (ROOT / "examples", ROOT / "tests" / "sql" / "statements")]
    return next(path for path in found if path.exists())


def chosen_pages(home: str) -> list[Page]:
    """The pages with blocks of a home, or those of them that the variable PAGES names."""
    wanted = os.environ.get("PAGES", "").replace(",", " ").split()
    return [page for page in page_blocks.pages_of(home) if not wanted or page.name in wanted]
