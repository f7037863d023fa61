"""`sql`: the same SQL without a server, as a shell, from a script, or one statement (extra sql)."""

from .command import run_sql

__all__ = ["run_sql"]
