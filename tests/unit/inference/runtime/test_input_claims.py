"""Equal inputs of queries that run at the same time are asked once, in virtual time, over claims in memory."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference.flow_control.outcome import Outcome
from huggingface_api_handler.inference.flow_control.retry import RetryPolicy
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.protocols.routing import Route, resolve_route
from huggingface_api_handler.inference.runtime.context import Dependencies
from huggingface_api_handler.inference.runtime.executor import QueryExecutor
from huggingface_api_handler.inference.runtime.input_stream import InputStream
from huggingface_api_handler.inference.runtime.results import Results
from huggingface_api_handler.inference.storage.answer_claims import ANSWER_CLAIM_S, RENEWAL_INTERVAL_S
from huggingface_api_handler.inference.storage.response_cache import ResponseCache
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import Prediction
from tests.support.memory_answers import MemoryAnswers
from tests.support.simulation import run

ENDPOINT = engine_settings({"endpoint": "http://127.0.0.1:1"})
LATENCY_S = 0.2
SLOTS = 8
TEXTS = [f"text number {number} of the table" for number in range(400)]
FULL_TABLE_S = len(TEXTS) * LATENCY_S / SLOTS


def score(text: str) -> list[dict[str, Any]]:
    share = (sum(map(ord, text)) % 97) / 97
    return [{"label": "POS", "score": share}, {"label": "NEG", "score": 1 - share}]


class Slots:
    """So many requests at once."""

    def __init__(self, count: int) -> None:
        self._slots = asyncio.Semaphore(count)

    async def acquire(self) -> float:
        await self._slots.acquire()
        return 0.0

    def release(self, outcome: Outcome | None) -> None:
        self._slots.release()


class World:
    """A service, and what queries share. Make it on the virtual loop.

    Attributes:
        asked: How often each text was asked.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.table = MemoryAnswers(self.loop.time)
        self.asked: Counter[str] = Counter()
        self.status_of: Callable[[str], int] = lambda text: 200

    @property
    def twice(self) -> int:
        return self.asked.total() - len(self.asked)

    async def post(self, url: str, body: bytes, headers: dict[str, str], timeout: float) -> Response:
        inputs = orjson.loads(body)["inputs"]
        texts = inputs if isinstance(inputs, list) else [inputs]
        self.asked.update(texts)
        status = max(map(self.status_of, texts))
        await asyncio.sleep(LATENCY_S)
        if status != 200:
            return Response(status, CIMultiDict(), orjson.dumps({"error": f"this input is odd: {len(self.asked)}"}))
        return Response(200, CIMultiDict(), orjson.dumps([score(text) for text in texts]))


class Query:
    """One query of a process of its own."""

    def __init__(
        self,
        world: World,
        texts: Sequence[str] = TEXTS,
        *,
        slots: int = SLOTS,
        batches: bool | None = False,
        max_wait_s: float = 300.0,
        is_stream: bool = False,
        **using: Any,
    ) -> None:
        settings = model_settings({"task": "text-classification", "column": "t", "target": "y", **using}, ENDPOINT)
        self.texts, self.usage = texts, Usage("", "", "")
        read = settings.options.use_cache
        self.cache = ResponseCache(world.table, "scope", "http://h", settings, 1e6, read=read)
        profile = RouteProfile(has_answered=batches is not None, accepts_batches=batches)
        profile.token_limit.state(512)
        dependencies = Dependencies(
            world.post,
            Slots(slots),
            profile,
            _no_media,
            _no_media,
            answers=self.cache,
            retry_policy=RetryPolicy(max_wait_s=max_wait_s),
            clock=world.loop.time,
        )
        route = Route("http://h", "m", {}, has_key=False, protocol=resolve_route(ENDPOINT, settings).protocol)
        self.source = source = InputStream(Results(), lambda wake: wake())
        source.add(list(texts))
        if not is_stream:
            source.end()
        self.executor = QueryExecutor(settings, route, 60.0, self.usage, dependencies, source)
        self.length_limit = profile.token_limit

    async def run(self) -> Query:
        try:
            await self.executor.run()
        finally:
            await self.cache.flush()
        return self

    def assert_right(self) -> None:
        for text, result in zip(self.texts, self.executor.results, strict=True):
            assert isinstance(result, Prediction), (text, result)
            assert result.explain == pytest.approx({each["label"]: each["score"] for each in score(text)})


async def _no_media(_: Any) -> Any:
    raise AssertionError("no media here")


def in_world(scene: Callable[[World], Awaitable[None]]) -> None:
    async def play() -> None:
        world = World()
        await asyncio.wait_for(scene(world), 1000)

    random_state = random.getstate()
    random.seed(0)
    try:
        run(play())
    finally:
        random.setstate(random_state)


ORDERS: dict[str, Callable[[list[str]], list[str]]] = {
    "the same": lambda texts: texts,
    "reversed": lambda texts: texts[::-1],
    "any": lambda texts: random.sample(texts, len(texts)),
}


@pytest.mark.parametrize(
    ("order", "batches"), [("the same", False), ("reversed", False), ("any", True), ("reversed", True), ("any", None)]
)
def test_queries_of_the_same_inputs_ask_each_once_between_them(order: str, batches: bool | None) -> None:
    async def scene(world: World) -> None:
        queries = [Query(world, ORDERS[order](TEXTS), batches=batches, slots=2) for _ in range(3)]
        await asyncio.gather(*(query.run() for query in queries))
        for query in queries:
            query.assert_right()
        if batches is not None:
            assert world.twice == 0
            assert sum(query.usage.cache_hits for query in queries) == 2 * len(TEXTS)
        else:
            assert world.twice <= 12 * len(queries), (
                "of each query, four probes with three inputs that were asked alone"
            )

    in_world(scene)


def test_a_query_that_begins_while_another_runs_asks_what_that_one_has_not() -> None:
    async def scene(world: World) -> None:
        first = asyncio.create_task(Query(world, slots=2).run())
        await asyncio.sleep(2 * ANSWER_CLAIM_S)
        later = Query(world, [*TEXTS[300:], *TEXTS[:100], "another"], slots=2)
        await later.run()
        later.assert_right()
        (await first).assert_right()
        assert world.twice == 0

    in_world(scene)


def test_an_answer_whose_claim_has_ended_is_found_by_who_looked_before_it_was_stored() -> None:
    async def scene(world: World) -> None:
        slow = Query(world, slots=1)
        quick = Query(world, TEXTS[300:], slots=SLOTS)
        begun = asyncio.create_task(slow.run())
        await asyncio.sleep(1)
        await quick.run()
        assert quick.usage.requests == 100, "the slow query had not claimed them"
        (await begun).assert_right()
        assert world.loop.time() > 3 * ANSWER_CLAIM_S, "nothing was claimed any more when the last were sent"
        assert world.twice == 0

    in_world(scene)


def test_a_failure_is_not_inherited() -> None:
    async def scene(world: World) -> None:
        odd = TEXTS[5]
        world.status_of = lambda text: 400 if text == odd and world.asked[text] == 1 else 200
        first, second = Query(world, TEXTS[:40]), Query(world, TEXTS[:40])
        await asyncio.gather(first.run(), second.run())
        failures = [query.executor.results.failures for query in (first, second)]
        assert sorted(map(len, failures)) == [0, 1]
        assert (world.asked[odd], world.twice) == (2, 1)
        assert world.loop.time() < ANSWER_CLAIM_S, "the claim was released"

    in_world(scene)


def test_what_a_cancelled_query_had_claimed_is_asked_at_once() -> None:
    async def scene(world: World) -> None:
        first, second = asyncio.create_task(Query(world).run()), Query(world, TEXTS[:100])
        await asyncio.sleep(0)
        begun = asyncio.create_task(second.run())
        await asyncio.sleep(0.1)
        assert len(world.table.claims) >= 100, "the second query has nothing to ask"
        first.cancel()
        await begun
        second.assert_right()
        assert world.loop.time() < ANSWER_CLAIM_S

    in_world(scene)


def test_what_a_killed_query_had_claimed_is_asked_when_the_claim_has_ended() -> None:
    async def scene(world: World) -> None:
        killed, second = Query(world), Query(world, TEXTS)
        assert killed.cache.claims is not None
        await killed.cache.claims.claim([killed.cache.key(text) for text in TEXTS[:50]])
        await second.run()
        second.assert_right()
        assert world.twice == 0
        assert world.loop.time() < max(ANSWER_CLAIM_S, FULL_TABLE_S) + 2, "others were asked meanwhile"

    in_world(scene)


def test_who_claims_for_ever_is_waited_for_as_long_as_a_query_waits() -> None:
    async def scene(world: World) -> None:
        stuck, second = Query(world), Query(world, TEXTS[:10], max_wait_s=30.0)
        keys = [stuck.cache.key(text) for text in TEXTS[:5]]

        async def renew() -> None:
            while stuck.cache.claims is not None:
                await stuck.cache.claims.claim(keys)
                await asyncio.sleep(1)

        renewing = asyncio.create_task(renew())
        await asyncio.sleep(0)
        await second.run()
        renewing.cancel()
        second.assert_right()
        assert 30 < world.loop.time() < 32

    in_world(scene)


def test_who_answers_one_input_after_another_is_waited_for_as_long_as_it_does() -> None:
    async def scene(world: World) -> None:
        slow, second = Query(world, TEXTS[:40], slots=1), Query(world, TEXTS[:40], max_wait_s=1.0)
        begun = asyncio.create_task(slow.run())
        await asyncio.sleep(0.01)
        await second.run()
        second.assert_right()
        (await begun).assert_right()
        assert world.loop.time() > 5.0
        assert world.twice == 0

    in_world(scene)


def test_a_query_whose_claims_ended_since_its_process_was_stopped_asks_little_of_what_others_ask_by_now() -> None:
    async def scene(world: World) -> None:
        stopped, second = Query(world, TEXTS[:100], slots=1), Query(world, TEXTS[:100])
        begun = asyncio.create_task(stopped.run())
        await asyncio.sleep(1)
        world.table.claims.clear()
        await second.run()
        second.assert_right()
        (await begun).assert_right()
        assert world.twice <= RENEWAL_INTERVAL_S / LATENCY_S + 1

    in_world(scene)


def test_a_query_whose_budget_is_spent_holds_no_claims() -> None:
    async def scene(world: World) -> None:
        poor, other = Query(world, max_requests=10), Query(world, TEXTS[:100])
        begun = asyncio.create_task(poor.run())
        await asyncio.sleep(0.01)
        await other.run()
        other.assert_right()
        assert (await begun).usage.requests == 10
        assert world.twice == 0
        assert world.loop.time() < ANSWER_CLAIM_S

    in_world(scene)


def test_a_query_that_reads_on_after_its_budget_is_spent_holds_no_claims() -> None:
    async def scene(world: World) -> None:
        await Query(world, ["so that answers may be stored"]).run()
        begun_at = world.loop.time()
        poor, other = Query(world, TEXTS[:40], max_requests=2, is_stream=True), Query(world, TEXTS[:40])
        begun = asyncio.create_task(poor.run())
        await asyncio.sleep(0.01)
        await other.run()
        other.assert_right()
        assert not begun.done(), "more frames may come, of which stored answers are found"
        assert world.loop.time() - begun_at < ANSWER_CLAIM_S
        assert world.twice == 0
        begun.cancel()
        await asyncio.wait([begun])

    in_world(scene)


def test_a_query_that_was_stopped_while_a_request_was_to_be_tried_again_holds_no_claim_on_its_input() -> None:
    async def scene(world: World) -> None:
        await Query(world, ["so that answers may be stored"]).run()
        begun_at = world.loop.time()
        world.status_of = lambda text: 503 if text == TEXTS[0] and world.asked[text] == 1 else 200
        poor, other = Query(world, TEXTS[:20], max_requests=3, is_stream=True), Query(world, TEXTS[:20])
        begun = asyncio.create_task(poor.run())
        await asyncio.sleep(0.01)
        await other.run()
        other.assert_right()
        assert not begun.done()
        assert world.loop.time() - begun_at < ANSWER_CLAIM_S
        begun.cancel()
        await asyncio.wait([begun])

    in_world(scene)


def test_a_shorter_length_is_not_looked_for_among_inputs_that_are_never_sent() -> None:
    async def scene(world: World) -> None:
        await Query(world, ["so that answers may be stored"]).run()
        poor = Query(world, TEXTS[:40], max_requests=2, is_stream=True, long_text="chunk")
        begun = asyncio.create_task(poor.run())
        await asyncio.sleep(1)
        results = poor.executor.results
        assert results.done == 40
        results.drop_before(40)
        poor.source.drop_before(40)  # their frame was given back
        poor.length_limit.on_rejected(300.0, 128, 300, is_part=False)  # as another query of the route has found
        poor.source.add(["so that answers may be stored"])
        poor.source.end()
        await begun
        assert isinstance(results[40], Prediction)

    in_world(scene)


def test_of_frames_of_one_row_few_are_claimed_ahead_and_then_many_at_a_time() -> None:
    async def scene(world: World) -> None:
        query = Query(world, [], is_stream=True)
        begun = asyncio.create_task(query.run())
        for text in TEXTS:
            query.source.add([text])
            await asyncio.sleep(0.001)
        before = world.table.operations
        assert len(world.table.claims) < len(TEXTS) * 0.75
        query.source.end()
        query.texts = TEXTS
        (await begun).assert_right()
        assert world.table.operations - before < 20

    in_world(scene)


def test_batches_that_grow_are_as_soon_full_as_where_nothing_is_claimed() -> None:
    async def scene(world: World) -> None:
        texts, seconds = [f"text number {number} of the table" for number in range(9000)], []
        for use_cache in (False, True):
            begun_at = world.loop.time()
            await Query(world, texts, batches=True, slots=4, options={"use_cache": use_cache}).run()
            seconds.append(world.loop.time() - begun_at)
        assert seconds[1] <= seconds[0] + 2 * LATENCY_S

    in_world(scene)


def test_a_spent_budget_still_finds_what_others_have_stored() -> None:
    async def scene(world: World) -> None:
        other, poor = Query(world, TEXTS[:20], slots=20), Query(world, TEXTS, slots=1, max_requests=2)
        await asyncio.gather(other.run(), poor.run())
        assert (poor.usage.requests, poor.usage.cache_hits) == (2, 20)
        assert world.twice == 0

    in_world(scene)


def test_a_slow_query_claims_few_inputs_ahead() -> None:
    async def scene(world: World) -> None:
        begun = asyncio.create_task(Query(world, [f"{number}" for number in range(5000)], slots=1).run())
        await asyncio.sleep(600)
        held = sum(until > world.loop.time() for _, until in world.table.claims.values())
        begun.cancel()
        await asyncio.wait([begun])
        assert 0 < held - ANSWER_CLAIM_S / LATENCY_S < 20 / LATENCY_S

    in_world(scene)


def test_a_query_that_is_alone_looks_for_no_answer_that_nobody_stored() -> None:
    async def scene(world: World) -> None:
        query = Query(world, slots=2)
        await query.run()
        query.assert_right()
        assert world.loop.time() > 2 * ANSWER_CLAIM_S
        assert world.table.selected == 0
        assert world.asked.total() == len(TEXTS)

    in_world(scene)


def test_where_nothing_is_to_be_found_nothing_is_claimed() -> None:
    async def scene(world: World) -> None:
        queries = [Query(world, TEXTS[:20], options={"use_cache": False}) for _ in range(2)]
        await asyncio.gather(*(query.run() for query in queries))
        assert (world.asked.total(), world.table.claims) == (40, {})

    in_world(scene)


def test_a_store_that_cannot_be_used_is_as_if_nobody_claimed() -> None:
    async def scene(world: World) -> None:
        world.table.is_away = True
        queries = [Query(world, TEXTS[:20]) for _ in range(2)]
        await asyncio.gather(*(query.run() for query in queries))
        for query in queries:
            query.assert_right()
        assert world.asked.total() == 40
        assert world.loop.time() < 2 * ANSWER_CLAIM_S

    in_world(scene)


def test_claims_that_vanish_lose_no_row() -> None:
    async def scene(world: World) -> None:
        queries = [Query(world, slots=2), Query(world, TEXTS[::-1], slots=2)]
        begun = asyncio.gather(*(query.run() for query in queries))
        for _ in range(10):
            await asyncio.sleep(1)
            world.table.claims.clear()
            world.table.answers.clear()
        await begun
        for query in queries:
            query.assert_right()

    in_world(scene)
