"""How this package names itself to servers."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import lru_cache

from ..._version import __version__


@lru_cache(maxsize=1)
def user_agent_headers() -> Mapping[str, str]:
    """The headers by which this package names itself, in the form of huggingface_hub.

    huggingface_hub's own function for it asks the Hub which agent runs it, whatever host the headers are for, and adds
    this machine's token unless it is told not to.

    Returns:
        The headers by lower-case name. No key is among them.
    """
    import huggingface_hub

    versions = f"hf_hub/{huggingface_hub.__version__}; python/{platform.python_version()}"
    return {"user-agent": f"huggingface_api_handler/{__version__}; {versions}"}
