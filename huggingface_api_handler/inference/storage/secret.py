"""The secret that keys all hashes of a store, in a file of its own beside it.

Who can read the store alone can neither test guesses of inputs nor put an answer in it that is believed.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from .trusted_file import trusted_file

SECRET_BYTES = 32
"""As many as BLAKE2 and HMAC-SHA256 give, so that the secret is no weaker than the hashes."""

OWNER_BYTES = 8
"""Length of what stands for a scope beside its answers. It is only counted by, so two alike would cost nothing."""

_MAC_BYTES = 16
_KEY_NAME = b"answers"


def secret_path(store: Path) -> Path:
    """The file of a store's secret.

    Args:
        store: The store's file.

    Returns:
        The path beside it, with the suffix ``.secret``.
    """
    return store.with_suffix(".secret")


def read_secret(store: Path, folder: int) -> bytes | None:
    """Read a store's secret.

    Args:
        store: The store's file.
        folder: Descriptor of its folder, see ``trusted_folder``.

    Returns:
        32 bytes; None where there is no secret or not all of it.

    Raises:
        UntrustedFileError: The file is not this user's alone.
        OSError: It cannot be read.
    """
    try:
        with trusted_file(secret_path(store), folder) as file:
            secret = os.read(file.descriptor, SECRET_BYTES + 1)
    except FileNotFoundError:
        return None
    return secret if len(secret) == SECRET_BYTES else None


def write_secret(store: Path, folder: int, secret: bytes) -> None:
    """Write a store's secret, in place of one that is broken. Call it in a transaction, so that one process does.

    Args:
        store: The store's file.
        folder: Descriptor of its folder, see ``trusted_folder``.
        secret: 32 bytes.

    Raises:
        OSError: It cannot be written.
    """
    name = secret_path(store).name
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        os.write(descriptor, secret)
        os.fsync(descriptor)  # without it, all that is stored would be lost
    finally:
        os.close(descriptor)


class Seal:
    """Computes the MAC of a stored answer: keyed BLAKE2b (RFC 7693 section 2.9) over all that is believed of it."""

    def __init__(self, secret: bytes, owner: bytes = b"") -> None:
        """Derive the key of the MACs.

        Args:
            secret: The store's secret.
            owner: What stands for the scope of the answers that ``sealed`` is called for.
        """
        self.secret, self.owner = secret, owner
        self._hash = blake2b(key=blake2b(_KEY_NAME, key=secret, digest_size=32).digest(), digest_size=_MAC_BYTES)

    def sealed(self, rows: list[bytearray], stored_at: int, expires_at: int) -> list[bytearray]:
        """Put behind each answer of ``owner`` its MAC.

        Args:
            rows: Keys, all of the same length, and answers in turn.
            stored_at: When they arrived, in whole seconds since 1970.
            expires_at: When they may be deleted, in whole seconds since 1970.

        Returns:
            Keys, answers and MACs of 16 bytes in turn.
        """
        begun = self._hash.copy()
        begun.update(_header(len(rows[0]), stored_at, expires_at, self.owner))
        sealed: list[bytearray] = []
        for key, answer in zip(rows[::2], rows[1::2], strict=True):
            hashed = begun.copy()
            hashed.update(key)
            hashed.update(answer)
            sealed += key, answer, bytearray(hashed.digest())
        return sealed

    def mac(self, key: bytes, stored_at: int, expires_at: int, owner: bytes | None, answer: bytes) -> bytes | None:
        """Compute the MAC of one answer, of any owner, as it is stored.

        Args:
            key: The answer's key.
            stored_at: When it arrived, in whole seconds since 1970.
            expires_at: When it may be deleted, in whole seconds since 1970.
            owner: What stands for its scope; None for an answer of version 0.1.0.
            answer: What is stored.

        Returns:
            16 bytes; None where a value is of another type than what is stored here.
        """
        try:
            hashed = self._hash.copy()
            hashed.update(_header(len(key), stored_at, expires_at, owner or b""))
            hashed.update(key + answer)
        except (TypeError, struct.error):
            return None
        return hashed.digest()


def owner_of(secret: bytes, scope: str) -> bytes:
    """What stands for a scope beside its answers.

    Args:
        secret: The store's secret.
        scope: Who asks.

    Returns:
        A keyed hash of 8 bytes.
    """
    return blake2b(scope.encode(), key=secret, digest_size=OWNER_BYTES, person=b"owner").digest()


def _header(key_bytes: int, stored_at: int, expires_at: int, owner: bytes) -> bytes:
    # All lengths are in it, so that no two answers have the same bytes.
    return struct.pack(">qqBB", stored_at, expires_at, key_bytes, len(owner)) + owner
