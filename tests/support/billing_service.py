"""A service for chat that bills by its own count of tokens: of languages, long and short answers, and a prefix cache."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from aiohttp import web

from tests.support.web_server import WebServer

PRICES = {"input": "0.35", "output": "0.75", "cached": "0.05"}
"""USD per million tokens."""

_TEMPLATE_TOKENS = 21
_PREFIX_BYTES = 64
"""What a service caches begins with as many equal bytes."""


class BillingService(WebServer):
    """Answers OpenAI's chat completions, and adds up what that costs.

    Attributes:
        url: Where it is, without ``/v1``.
        billed: Dollars of all answers so far, exactly.
        answers: The mean and the deviation of the logarithm of the tokens of an answer.
        has_cache: Whether it remembers how prompts begin.
    """

    def __init__(self, seed: int) -> None:
        self.billed = Decimal(0)
        self.answers = (3.0, 0.5)
        self.has_cache = False
        self._chance = random.Random(seed)
        self._seen: set[bytes] = set()
        super().__init__()
        self.url = f"http://127.0.0.1:{self.ports[0]}"

    def bill(self, body: dict[str, Any]) -> tuple[dict[str, Any], Decimal]:
        """What an answer to a request takes.

        Args:
            body: The request.

        Returns:
            The usage of the answer, and its dollars, which ``billed`` has now.
        """
        prompt = "\n".join(message["content"] for message in body["messages"])
        # Byte-level tokenizers: about four letters of English in a token, and one or two characters of other scripts.
        read = int(sum(0.24 if char.isascii() else 0.7 for char in prompt)) + _TEMPLATE_TOKENS * len(body["messages"])
        written = min(int(self._chance.lognormvariate(*self.answers)) + 1, body.get("max_tokens", 10**6))
        beginning = prompt.encode()[:_PREFIX_BYTES]
        cached = read // 2 if self.has_cache and beginning in self._seen else 0
        self._seen.add(beginning)
        usage = {
            "prompt_tokens": read,
            "completion_tokens": written,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        amounts = {"input": read - cached, "cached": cached, "output": written}
        usd = sum((Decimal(PRICES[name]) * amount for name, amount in amounts.items()), Decimal(0)) / 1_000_000
        self.billed += usd
        return usage, usd

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return web.json_response({"error": "not found"}, status=404)
        usage, _ = self.bill(await request.json())
        answer = {"message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}
        return web.json_response({"choices": [answer], "usage": usage})
