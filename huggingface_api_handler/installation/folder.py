"""The small handler folder that is put into MindsDB, and how to tell it from somebody else's.

MindsDB reads `__init__.py` and `creation_args.py` of a handler folder as text before it imports anything, so both
are written out here with literals. The code itself stays where pip put it and is imported absolutely: a copy
would load under a second name, and code that loads twice has two limiters and two event loops.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from .._version import __version__

MARKER = "installed_by_huggingface_api_handler.json"
"""The file that marks a folder as ours, with the digest of each file in it."""

FIRST_LINE = "# Written by `python -m huggingface_api_handler install`; `... uninstall` puts MindsDB's own back."
"""The first line of our `__init__.py`, by which it is recognised in all versions."""

_INIT = """{first_line}
from mindsdb.integrations.libs.const import HANDLER_TYPE

from .creation_args import creation_args

try:
    from huggingface_api_handler.handler import HuggingFaceInferenceAPIHandler as Handler

    import_error = None
except Exception as e:
    Handler = None
    import_error = e

name = "huggingface_api"
title = "Hugging Face API"
version = "{version}"
description = "Predictions from Hugging Face inference: serverless, dedicated endpoints, or your own server"
type = HANDLER_TYPE.ML
icon_path = "icon.svg"
permanent = False
# A key does not belong into CREATE MODEL; should one be recorded all the same, MindsDB masks these in its lists.
model_using_args = {{
    "api_key": {{"secret": True}},
    "huggingface_api_api_key": {{"secret": True}},
    "huggingface_api_key": {{"secret": True}},
    "token": {{"secret": True}},
}}

__all__ = [
    "Handler",
    "creation_args",
    "description",
    "icon_path",
    "import_error",
    "model_using_args",
    "name",
    "permanent",
    "title",
    "type",
    "version",
]
"""


def folder_contents() -> dict[str, bytes]:
    """Make the files of the handler folder of this version.

    Returns:
        File name -> content, the marker last.
    """
    package = Path(__file__).parent.parent
    files = {
        "__init__.py": _INIT.format(first_line=FIRST_LINE, version=__version__).encode(),
        "creation_args.py": (package / "creation_args.py").read_bytes(),
        "icon.svg": (package / "icon.svg").read_bytes(),
        "requirements.txt": _requirements().encode(),
    }
    marker = {
        "package": "huggingface_api_handler",
        "version": __version__,
        "files": {name: digest(content) for name, content in files.items()},
    }
    return {**files, MARKER: (json.dumps(marker, indent=2) + "\n").encode()}


def _requirements() -> str:
    """The run-time requirements, one a line: of the installed package, or of the checkout it runs from."""
    package = Path(__file__).parent.parent
    files = (folder / "requirements.txt" for folder in (package, package.parent))
    return next((file.read_text(encoding="utf-8") for file in files if file.is_file()), "")


def digest(content: bytes) -> str:
    """Hash a file's content.

    Args:
        content: The content.

    Returns:
        Its SHA-256 in hex.
    """
    return hashlib.sha256(content).hexdigest()


def read_marker(folder: Path) -> dict[str, str] | None:
    """Read what was installed in a folder.

    Args:
        folder: A handler folder, or where one may be.

    Returns:
        File name -> SHA-256 in hex; {} from a marker that cannot be read; None where there is no marker.
    """
    if folder.is_symlink():
        return None
    try:
        marker = json.loads((folder / MARKER).read_bytes())
        return {str(name): str(value) for name, value in marker["files"].items()}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def marker_version(folder: Path) -> str | None:
    """Read which version of this package wrote a folder.

    Args:
        folder: A handler folder.

    Returns:
        The version, or None where it cannot be read.
    """
    try:
        return str(json.loads((folder / MARKER).read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_our_init(path: Path) -> bool:
    """Say whether an `__init__.py` was generated here, also by another version and also when edited since.

    Args:
        path: The file.

    Returns:
        True where its first line is ours; False also where it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace").startswith(FIRST_LINE)
    except OSError:
        return False
