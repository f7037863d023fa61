"""An audit that did not take place is not taken for one that found nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tools.audit import report

SOUND = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-2030-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (1)"}


@pytest.mark.parametrize(
    ("found", "code", "says"),
    [
        ([SOUND], 0, "1 distributions audited"),
        ([SOUND, BAD], 1, "b 2: CVE-2030-1, fixed in 3"),
        ([SOUND, SKIPPED], 2, "NOT AUDITED: 1 of 2"),
        ([BAD, SKIPPED], 1, "CVE-2030-1"),
        ("no network", 2, "NOT AUDITED"),
    ],
)
def test_what_an_audit_comes_to(capsys: pytest.CaptureFixture[str], found: Any, code: int, says: str) -> None:
    assert report(found) == code
    assert says in capsys.readouterr().out
