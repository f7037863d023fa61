"""The SQL of the examples in your own process, on DuckDB, without a server."""
