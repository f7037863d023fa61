"""What MindsDB's ML process, which runs the verbs, needs mended before one.

An ML process serves all models of an engine with one session of MindsDB's database. DROP MODEL or CREATE OR REPLACE
MODEL while that model is still being made takes away the row that the process writes to. MindsDB 26.1 leaves the
session as it is then, and every statement of every model that comes to the process fails with "This Session's
transaction has been rolled back".
"""

from __future__ import annotations


def recover_session() -> None:
    """Roll MindsDB's session of this process back where its last transaction failed.

    Nothing is lost by that: the failed transaction was given up already, and a session that works is left alone.
    """
    from mindsdb.interfaces.storage import db

    if db.session is not None and not db.session.is_active:
        db.session.rollback()
