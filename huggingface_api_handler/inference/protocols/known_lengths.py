"""How long an input of a model may be, as a session knows it: told at CREATE, with something else, or asked for."""

from __future__ import annotations

import logging

from ...config.settings import EngineSettings
from ...redaction import preview
from ...tasks import Task
from ..transport.client import HttpClient
from .key_policy import without_key
from .model_lengths import ModelLength, StoredLength, from_hub, from_server, object_in, restored
from .routing import Route
from .servers import HUGGING_FACE, INFO, MODELS, Info, info_url

logger = logging.getLogger(__name__)

QUESTION_TIMEOUT_S = 5.0
"""Seconds for one question, for which the first query waits: a server that is up answers at once."""

_SERVER_ERROR = 500


class KnownLengths:
    """The lengths of the models that a session has met."""

    def __init__(self) -> None:
        """Start without any."""
        # By endpoint and model, and by task where the length depends on it. None: nobody says it, as was found out.
        self._lengths: dict[tuple[str, str, str], ModelLength | None] = {}

    def restore(self, stored: StoredLength) -> None:
        """Use here what another process was told.

        Args:
            stored: As ``to_store`` made it.
        """
        if (found := restored(stored)) is not None:
            self._lengths.setdefault(*found)

    def to_store(self, route: Route, task: Task) -> StoredLength | None:
        """What is stored with a model.

        Args:
            route: The route of its queries.
            task: The task to ask for.

        Returns:
            Its length, or that nobody says it; None where nobody was asked, or nobody has answered.
        """
        if not self._is_known(route, task):
            return None
        length = self.length_of(route, task)
        return StoredLength(
            url=route.endpoint,
            model=route.model,
            task=task.name,
            max_input_tokens=length and length.tokens,
            source=length.source if length else "",
        )

    def length_of(self, route: Route, task: Task) -> ModelLength | None:
        """How long one input of a model may be.

        Args:
            route: The route of a query.
            task: The task to ask for.

        Returns:
            What the server or the Hub said; None where that is not known.
        """
        place = (route.endpoint, route.model)
        return self._lengths.get((*place, "")) or self._lengths.get((*place, task.name))

    def may_ask(self, route: Route, task: Task) -> bool:
        """Whether there is somebody to ask who was not asked yet.

        Args:
            route: As ``DetectedServers.detect`` returned it.
            task: The task to ask for.

        Returns:
            False where the length is known, or that nobody says it, and where the server was asked what it is.
        """
        # A server whose protocol is known by its address was asked nothing yet.
        has_answerer = not route.endpoint or (route.kind is HUGGING_FACE and not route.info_paths)
        return has_answerer and not self._is_known(route, task)

    def _is_known(self, route: Route, task: Task) -> bool:
        """Whether the length is known, or that nobody says it."""
        return any((route.endpoint, route.model, name) in self._lengths for name in ("", task.name))

    def note(self, route: Route, path: str, info: Info) -> bool:
        """Note what a server says of itself, and of the length with it.

        Args:
            route: The route to it.
            path: Where it says it, such as ``/info``.
            info: What it says.

        Returns:
            Whether it says the length.
        """
        length = from_server(path, info, route.model)
        if length is not None:
            self._lengths[route.endpoint, route.model, ""] = length
        return length is not None

    async def find(
        self,
        http: HttpClient,
        engine: EngineSettings,
        route: Route,
        task: Task,
        timeout_s: float = QUESTION_TIMEOUT_S,
    ) -> ModelLength | None:
        """Ask for the length, where ``may_ask``. What is answered is known from then on, also that nobody says it.

        Args:
            http: Sends the request. Await this on its event loop.
            engine: The settings of the engine.
            route: As ``DetectedServers.detect`` returned it.
            task: The task to ask for.
            timeout_s: Seconds for all of it.

        Returns:
            The length; None where nobody says it or can be asked.
        """
        if self.may_ask(route, task):
            if route.endpoint:
                await self._ask_server(http, route, timeout_s)
            else:
                await self._ask_hub(http, engine, route, task, timeout_s)
            if (found := self.length_of(route, task)) is not None:
                logger.info("one input of %s may have %d tokens (%s)", preview(route.model), found.tokens, found.source)
        return self.length_of(route, task)

    async def _ask_server(self, http: HttpClient, route: Route, timeout_s: float) -> None:
        many, url = route.serves_many_models, route.url.split("/pipeline/")[0]
        path, url = (MODELS, url) if many else (INFO, info_url(route.base, INFO))
        headers = route.headers if route.is_key_allowed_for(url) else without_key(route.headers)
        try:
            response = await http.get(url, headers, timeout_s, public_only=route.is_public_only)
        except Exception:  # whatever HTTP raises: nothing depends on it
            return
        if not self.note(route, path, object_in(response)) and response.status < _SERVER_ERROR:
            self._lengths[route.endpoint, route.model, ""] = None

    async def _ask_hub(
        self, http: HttpClient, engine: EngineSettings, route: Route, task: Task, timeout_s: float
    ) -> None:
        length, has_answered = await from_hub(http, engine, route.model, task, timeout_s)
        if has_answered:
            self._lengths["", route.model, task.name] = length
