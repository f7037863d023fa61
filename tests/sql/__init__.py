"""Tests of the home without a server. They need DuckDB 2, which MindsDB's environment does not have."""
