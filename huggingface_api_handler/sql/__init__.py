"""The same SQL in your own process, on DuckDB: no server and no MindsDB (extra sql).

>>> from huggingface_api_handler.sql import connect
>>> with connect() as con:  # doctest: +SKIP
...     con.sql("SELECT 42 AS answer").fetchall()
[(42,)]
"""

from .connection import Connection, connect
from .result import Result

__all__ = ["Connection", "Result", "connect"]
