"""A session of MindsDB's that failed is rolled back before a verb, and no other is touched."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from huggingface_api_handler.ml_process import recover_session


class Session:
    """What is read of MindsDB's session, which is SQLAlchemy's."""

    def __init__(self, *, is_active: bool) -> None:
        self.is_active = is_active
        self.rollbacks = 0

    def rollback(self) -> None:
        self.rollbacks += 1
        self.is_active = True


def with_session(monkeypatch: pytest.MonkeyPatch, session: Session | None) -> None:
    parents = ("mindsdb", "mindsdb.interfaces", "mindsdb.interfaces.storage")
    modules = {name: ModuleType(name) for name in (*parents, "mindsdb.interfaces.storage.db")}
    modules["mindsdb.interfaces.storage.db"].session = session  # type: ignore[attr-defined]
    modules["mindsdb.interfaces.storage"].db = modules["mindsdb.interfaces.storage.db"]  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize(("is_active", "rollbacks"), [(False, 1), (True, 0)])
def test_a_failed_session_is_rolled_back_once(monkeypatch: pytest.MonkeyPatch, is_active: bool, rollbacks: int) -> None:
    session = Session(is_active=is_active)
    with_session(monkeypatch, session)
    recover_session()
    recover_session()
    assert session.rollbacks == rollbacks


def test_where_mindsdb_has_opened_no_database_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    with_session(monkeypatch, None)
    recover_session()
