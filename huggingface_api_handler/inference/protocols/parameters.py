"""Request parameters of a protocol that knows some of a task's, and not all."""

from __future__ import annotations

from collections.abc import Collection

from ...tasks import JSONObject, Settings


def supported_parameters(settings: Settings, supported: Collection[str], server: str) -> JSONObject:
    """The request parameters, where the protocol has them all.

    Args:
        settings: The settings of the model.
        supported: Names of the parameters that the protocol has.
        server: What kind of server speaks it, for the error.

    Returns:
        A copy of the parameters.

    Raises:
        ValueError: One is none of the protocol's. Left out, it would be believed to have had an effect.
    """
    for name in settings.parameters:
        if name not in supported:
            others = f"; it takes {', '.join(sorted(supported))}" if supported else ""
            raise ValueError(f"{server} takes no parameter {name!r}{others}")
    return dict(settings.parameters)
