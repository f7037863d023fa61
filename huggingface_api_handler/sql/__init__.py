"""The same SQL without a server: statements with models, run by DuckDB in this process."""
