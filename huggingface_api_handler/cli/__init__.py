"""The command line, `python -m huggingface_api_handler`."""

from .main import main

__all__ = ["main"]
