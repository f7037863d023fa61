"""Sessions: what is shared in one, and what two of them share."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import threading
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError, SessionClosedError
from huggingface_api_handler.inference import InferenceHook, Session, predict, predict_batches
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.inference.storage import open_stores
from huggingface_api_handler.inference.telemetry.events import QueryEnded, RequestAnswered
from tests.conftest import Reply, Service

USING = {"task": "text-classification", "column": "text", "target": "y"}


def answer(body: Any, *_: Any) -> Any:
    inputs = body["inputs"]
    return [[{"label": text, "score": 0.9}] for text in inputs] if isinstance(inputs, list) else [{"label": inputs, "score": 0.9}]  # fmt: skip


def ask(service: Service, text: str, session: Session | None = None, **using: Any) -> Any:
    frame = pd.DataFrame({"text": [text]})
    return predict(frame, {**USING, **using}, {"endpoint": service.url}, session=session)["y"][0]


def io_threads() -> int:
    return sum(thread.name == "huggingface-api-io" for thread in threading.enumerate())


def test_two_sessions_share_the_store_and_nothing_else(service: Service) -> None:
    service.answer = answer
    known = len(default_session().routes._states)
    with Session() as one, Session() as two:
        assert ask(service, "a", one) == ask(service, "a", two) == "a"
        assert len(service.asked) == 1, "the answer that one stored serves the other"
        assert one.store(None) is two.store(None)
        (first,), (second,) = one.routes._states.values(), two.routes._states.values()
        assert first.limiter is not second.limiter
        assert first.profile is not second.profile
        assert one.http._transport is not None
        assert two.http._transport is not None
        assert one.http._transport.loop is not two.http._transport.loop
        assert len(default_session().routes._states) == known


def test_queries_of_a_session_share_connections_and_what_it_learned(service: Service) -> None:
    service.answer = answer
    with Session() as session:
        for text in "abc":
            ask(service, text, session)
        assert len(session.routes._states) == 1


def test_closing_ends_the_thread_and_the_store_that_nobody_else_holds(service: Service) -> None:
    service.answer = answer
    before = io_threads()
    one, two = Session(), Session()
    ask(service, "a", one)
    ask(service, "b", two)
    assert io_threads() == before + 2
    store = one.store(None)
    one.close()
    assert io_threads() == before + 1
    assert store in open_stores._stores.values(), "the other session still holds it"
    two.close()
    two.close()
    assert io_threads() == before
    assert store not in open_stores._stores.values()
    assert ask(service, "a") == "a"
    assert len(service.asked) == 2, "what was stored is on disk"


def test_a_closed_session_says_so(service: Service) -> None:
    session = Session()
    session.close()
    with pytest.raises(SessionClosedError, match="with Session"):
        ask(service, "a", session)
    assert service.asked == []
    assert all(session not in holders for holders in open_stores._holders.values()), "nobody would release it"


def test_a_session_that_is_closed_ends_its_queries(service: Service) -> None:
    asked = threading.Event()
    raised: list[BaseException] = []

    async def never(*_: Any) -> Any:
        asked.set()
        await asyncio.sleep(3600)

    service.answer = never
    session = Session()

    def query() -> None:
        try:
            ask(service, "a", session)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=query)
    thread.start()
    assert asked.wait(20)
    session.close()
    thread.join(20)
    assert not thread.is_alive()
    assert [type(error) for error in raised] == [SessionClosedError]


def test_a_session_serves_several_threads(service: Service) -> None:
    service.answer = answer
    found: dict[str, str] = {}
    with Session() as session:

        def query(text: str) -> None:
            found[text] = ask(service, text, session)

        threads = [threading.Thread(target=query, args=(f"t{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert found == {f"t{number}": f"t{number}" for number in range(8)}


@pytest.mark.parametrize("kind", ["own", "default"])
def test_a_forked_child_asks_in_the_session_of_its_parent(kind: str, service: Service) -> None:
    service.answer = answer
    session = Session() if kind == "own" else None
    assert ask(service, "parent", session) == "parent"
    receiver, sender = multiprocessing.Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        try:
            sender.send(ask(service, "child", session))
        finally:
            os._exit(0)
    assert receiver.poll(20)
    assert receiver.recv() == "child"
    os.waitpid(pid, 0)
    assert ask(service, "parent again", session) == "parent again"
    if session is not None:
        session.close()


class Counting:
    """A limit of two, which counts what is taken and given back."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(2)
        self.acquired = self.released = 0

    async def acquire(self) -> None:
        await self.slots.acquire()
        self.acquired += 1

    def release(self) -> None:
        self.slots.release()
        self.released += 1


@pytest.mark.parametrize("refused", [False, True])
def test_a_limit_of_ones_own_holds_beside_the_routes(refused: bool, service: Service) -> None:
    asked = 0

    def reply(*_: Any) -> Any:
        nonlocal asked
        asked += 1
        if refused and asked % 5 == 0:
            return Reply({"error": "slow down"}, 429, {"Retry-After": "0.01"})
        return {"answer": "x", "score": 0.5}

    service.answer = reply
    limiter = Counting()
    using = {**USING, "task": "question-answering", "context_column": "text"}
    with Session(limiter=limiter) as session:
        frame = pd.DataFrame({"text": [f"t{number}" for number in range(40)]})
        out = predict(frame, using, {"endpoint": service.url, "cache": False}, session=session)
    assert out["y_error"].isna().all()
    assert service.most_in_flight <= 2
    assert limiter.acquired == limiter.released >= 40


def test_a_semaphore_is_such_a_limit(service: Service) -> None:
    service.answer = answer
    with Session(limiter=asyncio.Semaphore(1)) as session:
        frames = (pd.DataFrame({"text": [f"{number} a", f"{number} b"]}) for number in range(5))
        outs = list(predict_batches(frames, USING, {"endpoint": service.url}, session=session))
    assert pd.concat(outs)["y_error"].isna().all()
    assert service.most_in_flight == 1


class Ending(InferenceHook):
    """Does something on the event loop's thread, and remembers how the query ended."""

    def __init__(self, act: Callable[[], object] = lambda: None) -> None:
        self.act = act
        self.ended: list[str | None] = []
        self.raised: list[BaseException] = []

    def on_request_answered(self, event: RequestAnswered) -> None:
        try:
            self.act()
        except Exception as error:
            self.raised.append(error)

    def on_query_ended(self, event: QueryEnded) -> None:
        self.ended.append(event.error)


@pytest.mark.parametrize("kind", ["predict", "close"])
def test_a_hook_that_uses_its_session_is_refused_and_does_not_wait_for_itself(kind: str, service: Service) -> None:
    service.answer = answer
    with Session() as session:
        hook = Ending((lambda: ask(service, "b", session)) if kind == "predict" else session.close)
        out = predict(pd.DataFrame({"text": ["a"]}), USING, {"endpoint": service.url}, session=session, hooks=[hook])
    assert out["y"][0] == "a"
    assert [type(error) for error in hook.raised] == [InferenceError]
    assert "another thread" in str(hook.raised[0])


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_hook_that_ends_the_process_ends_its_query_and_not_the_session(
    error: type[BaseException], service: Service
) -> None:
    service.answer = answer

    def leave() -> None:
        raise error

    with Session() as session:
        using, hook = {"endpoint": service.url}, Ending(leave)
        with pytest.raises(error):
            predict(pd.DataFrame({"text": ["a"]}), USING, using, session=session, hooks=[hook])
        assert ask(service, "b", session) == "b"


def test_a_stream_that_is_collected_on_the_loops_thread_ends(service: Service) -> None:
    service.answer = answer
    hook, collected = Ending(), threading.Event()

    def begin() -> None:
        pieces = (pd.DataFrame({"text": [f"{number}"]}) for number in range(100))
        outs = predict_batches(pieces, USING, {"endpoint": service.url}, session=session, hooks=[hook])
        next(outs)
        cycle: list[Any] = [outs]
        cycle.append(cycle)

    def collect() -> None:
        gc.collect()
        collected.set()

    with Session() as session:
        gc.disable()
        try:
            begin()
            session.http.call_soon(collect)
            assert collected.wait(20)
        finally:
            gc.enable()
        assert hook.ended == [None]
        assert ask(service, "b", session) == "b"


def test_hooks_are_told_of_the_end_by_a_closed_session(service: Service) -> None:
    service.answer = answer
    hook, session = Ending(), Session()
    pieces = (pd.DataFrame({"text": [f"{number}"]}) for number in range(100))
    outs = predict_batches(pieces, USING, {"endpoint": service.url}, session=session, hooks=[hook])
    next(outs)
    session.close()
    with pytest.raises(SessionClosedError):
        list(outs)
    assert hook.ended == ["SessionClosedError"]


def test_a_stream_stays_with_the_process_that_began_it(service: Service) -> None:
    service.answer = answer
    pieces = (pd.DataFrame({"text": [f"{number}"]}) for number in range(100))
    outs = predict_batches(pieces, USING, {"endpoint": service.url})
    next(outs)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        try:
            list(outs)
        except BaseException as error:
            sender.send(str(error))
        finally:
            os._exit(0)
    assert receiver.poll(20)
    assert "forked" in receiver.recv()
    os.waitpid(pid, 0)
    assert len(list(outs)) == 99
