"""The tokenizer of a model, where one is at hand: nothing is downloaded, or imported before it is needed."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..config.policies import split_choice
from ..tasks.text_windows import CountTokens, estimate_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

T = TypeVar("T")

_FILE = "tokenizer.json"
_CACHE_FOLDER = "models--{}"
"""Of a model in the Hub's cache, with ``--`` for each slash in its name
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache)."""

_MAX_TOKENIZER_BYTES = 64 * 1024 * 1024
"""Bytes of the largest file that is read: those of models of many languages have some 35 million."""

_MAX_TOKENIZERS = 4
"""Tokenizers that a process keeps. One of many languages takes some 100 MB."""

_NETWORK_PATHS = ("\\\\", "//")

_lock = threading.Lock()


def tokenizer_of(model: str) -> CountTokens | None:
    """Find the tokenizer of a model. Reads files and may take a second, so call it off the event loop.

    Args:
        model: The model's name on the Hub, or a folder on this machine.

    Returns:
        Counts the tokens of a text, without the special tokens around it. None where the package ``tokenizers`` is not
        installed (extra local), or neither the folder nor the Hub's cache has a ``tokenizer.json`` that it can read.
    """
    name = split_choice(model)[0]
    path = _guarded(lambda: _path_of(name))
    if path is None:
        return None
    with _lock:  # so that two queries do not load the same at once
        return _guarded(lambda: _load(path, path.stat().st_mtime_ns))


def _path_of(model: str) -> Path | None:
    """Where the file of a model is; None where it is not on this machine."""
    if model and not model.startswith(_NETWORK_PATHS) and Path(model).is_dir():
        path = Path(model, _FILE)
    else:
        from huggingface_hub import constants

        if not Path(constants.HF_HUB_CACHE, _CACHE_FOLDER.format(model.replace("/", "--"))).is_dir():
            return None  # without an import that takes a tenth of a second, in each process that asks for a model
        from huggingface_hub import try_to_load_from_cache

        found: Any = try_to_load_from_cache(model, _FILE)
        path = Path(found)  # raises where it is not there
    return path if path.is_file() and path.stat().st_size <= _MAX_TOKENIZER_BYTES else None


@lru_cache(maxsize=_MAX_TOKENIZERS)
def _load(path: Path, _changed_ns: int) -> CountTokens:
    module = importlib.import_module("tokenizers")
    tokenizer: Tokenizer = module.Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str) -> float:
        """Count the tokens of a text."""
        tokens = _guarded(lambda: len(tokenizer.encode(text, add_special_tokens=False).ids))
        return estimate_tokens(text) if tokens is None else tokens  # a text with half a character, for one

    return count


def _guarded(function: Callable[[], T]) -> T | None:
    """What a function returns; None where it fails, also as Rust does, whose errors are no ``Exception``."""
    try:
        return function()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        return None
