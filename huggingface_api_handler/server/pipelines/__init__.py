"""Transformers pipelines as models of this server: `serve --model NAME=ID_OR_FOLDER[:TASK]`.

Needs the extra `transformers`. What a pipeline returns is foreign data until `postprocessing` has read it.
"""
