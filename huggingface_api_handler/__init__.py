"""Hugging Face inference for anyone who writes SQL: the ``huggingface_api`` ML engine for MindsDB.

MindsDB reads ``name``, ``title``, ``icon_path`` and ``permanent`` as text and imports the rest. Everything that needs
MindsDB or pandas is looked up on first use, so that this package imports quickly, also where MindsDB is not installed.

>>> import pandas as pd
>>> from huggingface_api_handler import predict
>>> using = {"task": "text-classification", "column": "text", "target": "sentiment", "dry_run": True}
>>> predict(pd.DataFrame({"text": ["I love you."]}), using)["sentiment"][0].partition(", unknown")[0]
'dry run: 1 rows, 0 NULL or blank, 1 distinct inputs, 0 answers stored, 1 requests'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .comparison import compare
    from .errors import InferenceError, InputError
    from .inference import predict

from ._version import __version__

name = "huggingface_api"
title = "Hugging Face API"
description = "Hugging Face inference as an ML engine for MindsDB"
version = __version__
icon_path = "icon.svg"
permanent = False
model_using_args = {"api_key": {"secret": True}, "token": {"secret": True}}


def __getattr__(attribute: str) -> object:
    if attribute == "type":
        return "ml"  # HANDLER_TYPE.ML, spelled out: importing MindsDB's constants imports its database
    if attribute == "predict":
        from .inference import predict

        return predict
    if attribute == "compare":
        from .comparison import compare

        return compare
    if attribute in ("InferenceError", "InputError"):
        from . import errors

        return getattr(errors, attribute)
    if attribute in ("Handler", "import_error"):
        try:
            from .handler import HuggingFaceInferenceAPIHandler
        except ImportError as error:
            return None if attribute == "Handler" else error
        return HuggingFaceInferenceAPIHandler if attribute == "Handler" else None
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")


__all__ = [
    "InferenceError",
    "InputError",
    "__version__",
    "compare",
    "description",
    "icon_path",
    "name",
    "permanent",
    "predict",
    "title",
    "version",
]
