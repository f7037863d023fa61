"""Hugging Face inference for anyone who writes SQL: the ``huggingface_api`` ML engine for MindsDB.

MindsDB reads ``name``, ``title``, ``icon_path`` and ``permanent`` as text and imports the rest.
``Handler`` and ``type`` need MindsDB and are looked up on first use, so that the inference part
of the package imports where MindsDB is not installed, and quickly where it is.
"""

from __future__ import annotations

from typing import Any

from ._version import __version__

name = "huggingface_api"
title = "Hugging Face API"
description = "Hugging Face inference as an ML engine for MindsDB"
version = __version__
icon_path = "icon.svg"
permanent = False
model_using_args = {"api_key": {"secret": True}, "token": {"secret": True}}


def __getattr__(attribute: str) -> Any:
    if attribute == "type":
        return "ml"  # HANDLER_TYPE.ML, spelled out: importing MindsDB's constants imports its database
    if attribute in ("Handler", "import_error"):
        try:
            from .handler import HuggingFaceInferenceAPIHandler
        except ImportError as error:
            return None if attribute == "Handler" else error
        return HuggingFaceInferenceAPIHandler if attribute == "Handler" else None
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")


__all__ = ["__version__", "description", "icon_path", "name", "permanent", "title", "version"]
