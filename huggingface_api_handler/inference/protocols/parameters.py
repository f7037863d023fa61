"""Request parameters of a protocol that knows some of a task's, and not all; and what it does with long texts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ...tasks import JSONObject, Settings
from ...tasks.chunking import must_refuse


@dataclass(frozen=True)
class SilentCut:
    """What a server can be told that cuts a text that is too long without a word.

    Attributes:
        server: What kind of server it is, for the error.
        parameter: With false for it the server refuses such a text; None where it cuts in any case.
    """

    server: str
    parameter: str | None = None

    def not_to_cut(self, settings: Settings) -> JSONObject:
        """What is sent so that the server refuses a text that is too long.

        Args:
            settings: The settings of the model.

        Returns:
            The parameter, where such a text is to be its row's error; else nothing.

        Raises:
            ValueError: It is to be its row's error, and the server cannot be told so.
        """
        if not must_refuse(settings):
            return {}
        if self.parameter is None:
            raise ValueError(
                f"{self.server} cuts long texts in any case: long_text = 'error' has no effect. Leave long_text out, "
                "or set it to 'chunk'"
            )
        return {self.parameter: False}


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
