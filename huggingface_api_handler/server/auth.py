"""The token check, before anything else of a request is looked at."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .protocol.errors import HTTPError
from .responses import error_response


class BearerTokenMiddleware:
    """Answers 401 to every request without `Authorization: Bearer <token>`, whatever its path."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        """Wrap an application.

        Args:
            app: The application that requests with the token reach.
            token: The token that requests must carry.
        """
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI calls it.

        Args:
            scope: What is known of the connection.
            receive: Reads its events.
            send: Sends the response's events.
        """
        if scope["type"] == "http":
            authorization = Headers(scope=scope).get("authorization", "").encode("utf-8")
            if not hmac.compare_digest(authorization, self._expected):
                error = HTTPError(401, "Invalid credentials in Authorization header")
                challenge = {"www-authenticate": 'Bearer realm="Authentication required", charset="UTF-8"'}
                await error_response(error, challenge)(scope, receive, send)
                return
        await self._app(scope, receive, send)
