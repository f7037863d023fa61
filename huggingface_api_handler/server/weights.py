"""Weights on disk, checked before they are used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


class WeightsError(RuntimeError):
    """A weights file is missing or is not the file that was measured and pinned."""


def verify_sha256(path: Path, sha256: str, repair: str) -> Path:
    """Return `path` when the file's SHA-256 is `sha256`.

    `repair` is the command or step that puts the right file back; it ends the error's sentence.
    Raises WeightsError for a missing file and for a different digest.
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
    """SHA-256 of a file, in hexadecimal."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def reinstall_command(package: str, version: str) -> str:
    """The command that puts a damaged package's files back."""
    return f'pip install --force-reinstall --no-deps "{package}=={version}"'


def combined_sha256(digests: Iterable[str]) -> str:
    """One SHA-256 for a model of several files, over their digests in order."""
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()
