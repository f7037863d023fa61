"""The draws of a cascade, the same in each run of a test: by themselves they are other ones for each store."""

from __future__ import annotations

from pathlib import Path

import pytest

from huggingface_api_handler.inference.cascade.draws import Ints
from huggingface_api_handler.inference.cascade.stored_certificates import StoredCertificates


def fix_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the draws depend on the number of inputs and the name of the store's folder alone.

    What a test counts is a matter of chance otherwise, and some run would meet a rare one.

    Args:
        monkeypatch: Sets it.
    """

    def seed(self: StoredCertificates, inputs: Ints) -> bytes:
        return f"{Path(self._query.engine.cache_dir or '').name} {len(inputs)}".encode()

    monkeypatch.setattr(StoredCertificates, "seed", seed)
