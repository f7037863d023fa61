"""These tests need an environment of their own (run.sh makes it); in any other they are not collected."""

from __future__ import annotations

import importlib.util

if all(importlib.util.find_spec(module) for module in ("torch", "transformers", "av", "soundfile", "soxr", "PIL")):
    from .fixtures import ask, client, film, folder, picture

    __all__ = ["ask", "client", "film", "folder", "picture"]
else:
    collect_ignore_glob = ["test_*.py"]
