"""Predictions for a Parquet file of any length: row groups in, row groups out, by processes that may be killed."""
