"""Transformers pipelines as models of the server; needs the extra `transformers`."""
