"""The token check, before anything else is looked at."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .protocol.errors import HTTPError
from .responses import error_response


class BearerTokenMiddleware:
    """Lets a request through only with `Authorization: Bearer <token>`; any other path or header gets 401."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = Headers(scope=scope).get("authorization", "").encode("utf-8")
            if not hmac.compare_digest(given, self._expected):
                refusal = HTTPError(401, "Invalid credentials in Authorization header")
                challenge = {"www-authenticate": 'Bearer realm="Authentication required", charset="UTF-8"'}
                await error_response(refusal, challenge)(scope, receive, send)
                return
        await self._app(scope, receive, send)
