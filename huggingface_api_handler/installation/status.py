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

from .._version import __version__
from ..config.credentials import KEY_VARIABLES
from .environment import subprocess_environment
from .folder import marker_version, read_marker
from .mindsdb_package import MindsDBPackage, find_mindsdb
from .prediction_cache import prediction_cache, warning
from .steps import foreign_files, is_set_aside

Active = Literal["ours", "shipped", "other", "none"]
"""Whose handler MindsDB has: this package's, MindsDB's own, somebody else's, or nobody's."""

_IMPORT = """
import json, sys
out = sys.stdout
sys.stdout = sys.stderr
import mindsdb.integrations.handlers.huggingface_api_handler as handler
error = handler.import_error
message = None if error is None else f"{type(error).__name__}: {error}"
json.dump({"version": str(handler.version), "error": message}, out)
"""


@dataclass(frozen=True)
class ImportOutcome:
    """What MindsDB gets when it imports the handler.

    Attributes:
        version: The version that the handler names; None where it cannot be imported at all.
        error: What went wrong, or None.
    """

    version: str | None
    error: str | None


@dataclass(frozen=True)
class Status:
    """The state of the handler in the MindsDB of an environment.

    Attributes:
        mindsdb_version: MindsDB's version, or None where it cannot be read.
        mindsdb_path: MindsDB's package folder, or None where it is not installed.
        active: Whose handler MindsDB has now.
        active_version: Its version, where it is ours.
        original_set_aside: Whether the handler that was there before is set aside in full.
        prediction_cache: The type of MindsDB's prediction cache: 'local', 'redis' or 'none'.
        imported: What the import gave; None where there was nothing to import or no import was wanted.
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
        """Describe the state to a person, with what to do about what is not right.

        Returns:
            One sentence a line.
        """
        if self.mindsdb_path is None:
            return ["MindsDB is not installed in this Python environment: `pip install mindsdb`."]
        lines = [f"MindsDB {self.mindsdb_version or '(unknown version)'} in {self.mindsdb_path}"]
        lines.append(f"Active handler of huggingface_api: {_ACTIVE[self.active].format(self.active_version)}")
        if self.active != "ours":
            lines.append("To use this one: `python -m huggingface_api_handler install`.")
        elif self.active_version != __version__:
            lines.append(f"This package is {__version__}: `python -m huggingface_api_handler install` refreshes it.")
        lines.append(f"Original handler set aside: {'yes' if self.original_set_aside else 'no'}")
        if self.imported is not None and self.imported.error is None:
            lines.append(f"MindsDB imports it: yes, version {self.imported.version}")
        elif self.imported is not None:
            lines.append(f"MindsDB imports it: NO, {self.imported.error}")
        return lines + (warning(self.prediction_cache) or ["MindsDB's prediction cache: off"])


_ACTIVE: dict[Active, str] = {
    "ours": "this package's, version {}",
    "shipped": "MindsDB's own",
    "other": "another one, neither this package's nor MindsDB's own",
    "none": "none",
}


def status(
    package: Path | None = None, *, try_import: bool = True, progress: Callable[[str], None] | None = None
) -> Status:
    """Look at the handler in MindsDB's package folder.

    Args:
        package: MindsDB's package folder; by default that of the running environment.
        try_import: Import the handler too, in a process of its own. That takes seconds.
        progress: Called with a sentence before what takes long.

    Returns:
        The state.
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
    """Import MindsDB's handler module in a new process, with an empty working folder and storage.

    Args:
        timeout: Seconds that the import may take.

    Returns:
        What the import gave. Whatever it does is an outcome and raises nothing here.
    """
    with tempfile.TemporaryDirectory(prefix="huggingface_api_status_") as folder:
        environment = subprocess_environment(MINDSDB_STORAGE_DIR=folder)
        try:
            process = subprocess.run(  # noqa: S603 -- our own interpreter and our own text
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
    if process.returncode != 0:
        lines = process.stderr.strip().splitlines()
        return ImportOutcome(None, lines[-1] if lines else f"the import ended with status {process.returncode}")
    outcome = json.loads(process.stdout)
    return ImportOutcome(outcome["version"], outcome["error"])


def token_sentence() -> str:
    """Say where a Hugging Face token would come from.

    Returns:
        A sentence, which never has the token in it.
    """
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
