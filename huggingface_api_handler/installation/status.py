"""What is installed, whether MindsDB can import it, and what would surprise: `status` and `doctor`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import __version__
from ..config.credentials import KEY_VARIABLES
from .environment import subprocess_environment
from .folder import marker_version, read_marker
from .mindsdb_package import MindsDBPackage, find_mindsdb, prediction_cache
from .steps import foreign_files, is_set_aside

Active = Literal["ours", "shipped", "other", "none"]

_IMPORT = """
import json, sys
out = sys.stdout
sys.stdout = sys.stderr
import mindsdb.integrations.handlers.huggingface_api_handler as handler
error = handler.import_error
words = None if error is None else f"{type(error).__name__}: {error}"
json.dump({"version": str(handler.version), "error": words}, out)
"""


@dataclass(frozen=True)
class ImportOutcome:
    """What MindsDB gets when it imports the handler: its version, and the error or None."""

    version: str | None
    error: str | None


@dataclass(frozen=True)
class Status:
    """The state of the handler in the MindsDB of an environment.

    `imported` is None where nothing was there to import, or the import was not asked for.
    """

    mindsdb_version: str | None
    mindsdb_path: Path | None
    active: Active
    active_version: str | None
    original_set_aside: bool
    prediction_cache: str
    imported: ImportOutcome | None = None

    @property
    def healthy(self) -> bool:
        """Whether this version is the active one and MindsDB can import it."""
        return (
            self.active == "ours"
            and self.active_version == __version__
            and (self.imported is None or self.imported.error is None)
        )

    def sentences(self) -> list[str]:
        """The state for a person, with what to do about what is not right."""
        if self.mindsdb_path is None:
            return ["MindsDB is not installed in this Python environment: `pip install mindsdb`."]
        said = [f"MindsDB {self.mindsdb_version or '(unknown version)'} in {self.mindsdb_path}"]
        said.append(f"Active handler of huggingface_api: {_ACTIVE[self.active].format(self.active_version)}")
        if self.active != "ours":
            said.append("To use this one: `python -m huggingface_api_handler install`.")
        elif self.active_version != __version__:
            said.append(f"This package is {__version__}: `python -m huggingface_api_handler install` refreshes it.")
        said.append(f"Original handler set aside: {'yes' if self.original_set_aside else 'no'}")
        if self.imported is not None and self.imported.error is None:
            said.append(f"MindsDB imports it: yes, version {self.imported.version}")
        elif self.imported is not None:
            said.append(f"MindsDB imports it: NO, {self.imported.error}")
        if self.prediction_cache == "none":
            said.append("MindsDB's prediction cache: off")
        else:
            said.append(
                f"WARNING: MindsDB's prediction cache is on ({self.prediction_cache}). It answers a table that was "
                "asked before without regard to the SELECT's USING, and repeats rows that failed. Switch it off: "
                '`"cache": {"type": "none"}` in MindsDB\'s configuration file, or `SET predictor_cache = 0` in a '
                "session."
            )
        return said


_ACTIVE: dict[Active, str] = {
    "ours": "this package's, version {}",
    "shipped": "MindsDB's own",
    "other": "another one, neither this package's nor MindsDB's own",
    "none": "none",
}


def status(
    package: Path | None = None, *, try_import: bool = True, progress: Callable[[str], None] | None = None
) -> Status:
    """Look at MindsDB's package folder and, with `try_import`, import the handler in a process of its own.

    `package` is MindsDB's package folder, by default that of the running environment. `progress` is told what
    takes long.
    """
    mindsdb = find_mindsdb() if package is None else MindsDBPackage(package)
    if mindsdb is None:
        return Status(None, None, "none", None, False, prediction_cache())
    active = _active(mindsdb)
    imported = None
    if try_import and active != "none":
        if progress is not None:
            progress("Importing the handler as MindsDB does; this takes some seconds.")
        imported = import_as_mindsdb_does()
    return Status(
        mindsdb_version=mindsdb.version,
        mindsdb_path=mindsdb.root,
        active=active,
        active_version=marker_version(mindsdb.handler) if active == "ours" else None,
        original_set_aside=is_set_aside(mindsdb),
        prediction_cache=prediction_cache(),
        imported=imported,
    )


def _active(mindsdb: MindsDBPackage) -> Active:
    foreign = foreign_files(mindsdb.handler)
    if not foreign:
        has_code = read_marker(mindsdb.handler) is not None and (mindsdb.handler / "__init__.py").is_file()
        return "ours" if has_code else "none"
    return "shipped" if mindsdb.is_shipped_in_full(foreign) else "other"


def import_as_mindsdb_does(timeout: float = 180.0) -> ImportOutcome:
    """Import MindsDB's handler module in a new process, from a folder and a storage that are nobody's.

    `timeout` is in seconds. Never raises for what the import does: that is the outcome.
    """
    with tempfile.TemporaryDirectory(prefix="huggingface_api_status_") as folder:
        environment = subprocess_environment(MINDSDB_STORAGE_DIR=folder)
        try:
            done = subprocess.run(  # noqa: S603 -- our own interpreter and our own text
                [sys.executable, "-c", _IMPORT],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return ImportOutcome(None, f"the import took longer than {timeout:.0f} s")
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return ImportOutcome(None, lines[-1] if lines else f"the import ended with status {done.returncode}")
    found = json.loads(done.stdout)
    return ImportOutcome(found["version"], found["error"])


def token_sentence() -> str:
    """Where a Hugging Face token would come from, never the token."""
    for name in KEY_VARIABLES:
        if os.environ.get(name):
            return f"Hugging Face token: in the environment, variable {name}"
    try:
        from huggingface_hub import get_token
    except ImportError:
        return "Hugging Face token: none in the environment; `pip install huggingface_hub` lets it look further"
    if get_token():
        return "Hugging Face token: the one that `hf auth login` stored"
    return (
        "Hugging Face token: none. Set HF_TOKEN, run `hf auth login`, or give api_key to CREATE ML_ENGINE; "
        "an endpoint of your own may need none."
    )
