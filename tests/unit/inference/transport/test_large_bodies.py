"""Large responses share a bounded part of the memory, and none waits for another that waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import threading
from collections.abc import Callable

import aiohttp
import pytest

from huggingface_api_handler.inference.transport import client, large_bodies
from huggingface_api_handler.inference.transport.client import HttpClient, Response
from huggingface_api_handler.inference.transport.large_bodies import BodyBudget
from huggingface_api_handler.pieces import LARGE_BYTES


def test_others_wait_for_memory_and_the_oldest_never_does() -> None:
    async def run() -> None:
        budget = BodyBudget(10)
        await budget.reserve("oldest", 6)
        waiting = asyncio.create_task(budget.reserve("other", 5))
        await asyncio.sleep(0)
        assert not waiting.done()
        await budget.reserve("oldest", 100)
        await asyncio.sleep(0)
        assert not waiting.done()
        budget.free("oldest")
        await waiting
        await budget.reserve("other", 100)  # it is the oldest now

    asyncio.run(run())


def test_those_that_wait_all_get_their_turn() -> None:
    async def run() -> None:
        budget = BodyBudget(10)

        async def read(name: int) -> None:
            for size in (4, 8, 12):
                await budget.reserve(name, size)
                await asyncio.sleep(0)
            budget.free(name)

        await asyncio.wait_for(asyncio.gather(*map(read, range(20))), 5)
        assert budget._total == 0

    asyncio.run(run())


def test_a_body_that_was_given_up_while_it_waited_takes_nothing() -> None:
    async def run() -> None:
        budget = BodyBudget(10)
        await budget.reserve("one", 10)
        waiting = asyncio.create_task(budget.reserve("two", 5))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        budget.free("two")
        budget.free("one")
        assert budget._total == 0

    asyncio.run(run())


def test_the_loop_goes_round_between_two_pieces_of_all_bodies() -> None:
    async def run() -> None:
        bodies, log = BodyBudget(), []

        async def read(name: str) -> None:
            for _ in range(5):
                await bodies.wait_for_turn()
                log.append(name)

        async def other() -> None:
            while log.count("a") + log.count("b") < 10:
                log.append("round")
                await asyncio.sleep(0)

        await asyncio.gather(read("a"), read("b"), other())
        text = "".join(name[0] for name in log)
        assert not {"aa", "ab", "ba", "bb"} & {text[at : at + 2] for at in range(len(text))}, text

    asyncio.run(run())


def test_a_body_that_is_there_at_once_lets_others_run(
    posted: Callable[[bytes], tuple[HttpClient, Response]], monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[None] = []
    wait = BodyBudget.wait_for_turn

    async def counted(self: BodyBudget) -> None:
        turns.append(None)
        await wait(self)

    monkeypatch.setattr(BodyBudget, "wait_for_turn", counted)
    http, response = posted(packed(b"200 OK", b"x" * 20_000_000))
    assert len(response.body) == 20_000_000
    # Before 3.14, aiohttp unpacks up to 32 MB at once.
    at_least = 18 if tuple(map(int, aiohttp.__version__.split(".")[:2])) >= (3, 14) else 1
    assert len(turns) >= at_least, "one for each megabyte at least"
    http.close()


@pytest.fixture
def posted() -> Callable[[bytes], tuple[HttpClient, Response]]:
    """What a POST gets from a server that answers with these bytes, and the client that sent it."""

    def post(answer: bytes) -> tuple[HttpClient, Response]:
        http = HttpClient()
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def serve() -> None:
                stream, _ = listening.accept()
                with stream:
                    stream.recv(65536)
                    with contextlib.suppress(OSError):  # the client has hung up
                        stream.sendall(answer)

            server = threading.Thread(target=serve)
            server.start()
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/"

            async def send() -> Response:
                return await http.post(url, b"{}", {}, 20)

            try:
                response = http.submit(send()).result()
            finally:
                server.join()
                transport = http._transport
        assert transport is not None
        return http, response

    return post


def packed(status: bytes, body: bytes) -> bytes:
    data = gzip.compress(body)
    return b"HTTP/1.1 %s\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%s" % (status, len(data), data)


def test_of_an_error_of_megabytes_the_beginning_is_read(posted: Callable[[bytes], tuple[HttpClient, Response]]) -> None:
    http, response = posted(packed(b"500 no", b"x" * 30_000_000))
    assert response.body == b"x" * large_bodies.MAX_ERROR_BYTES
    assert response.free is None
    http.close()


def test_an_error_that_never_ends_is_not_waited_for(posted: Callable[[bytes], tuple[HttpClient, Response]]) -> None:
    http, response = posted(b"HTTP/1.1 500 no\r\ncontent-length: 99999999999\r\n\r\n" + b"x" * 2_000_000)
    assert response.body == b"x" * large_bodies.MAX_ERROR_BYTES
    http.close()


def test_a_large_answer_is_counted_until_it_was_taken_apart(
    posted: Callable[[bytes], tuple[HttpClient, Response]],
) -> None:
    http, response = posted(packed(b"200 OK", b"x" * (LARGE_BYTES + 5)))
    assert response.body == b"x" * (LARGE_BYTES + 5)
    assert http._transport is not None
    assert http._transport.bodies._total == LARGE_BYTES + 5
    assert response.free is not None
    response.free()
    assert http._transport.bodies._total == 0
    http.close()


def test_an_answer_that_is_too_large_is_not_counted_any_more(
    posted: Callable[[bytes], tuple[HttpClient, Response]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_RESPONSE_BYTES", 2 * LARGE_BYTES)
    with pytest.raises(large_bodies.ResponseTooLarge):
        posted(packed(b"200 OK", b"x" * 30_000_000))
