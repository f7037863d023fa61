"""Whatever a service does, each input ends once, with its own answer or a reason, and the query ends."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from multidict import CIMultiDict

from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.inference.flow_control.limiter import Limiter
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.protocols.routing import Route, resolve_route
from huggingface_api_handler.inference.runtime.context import Dependencies
from huggingface_api_handler.inference.runtime.executor import QueryExecutor
from huggingface_api_handler.inference.runtime.input_stream import InputStream
from huggingface_api_handler.inference.runtime.own_limiter import LimiterWithSlots
from huggingface_api_handler.inference.runtime.results import Results
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import Media, MediaRef, Prediction
from tests.support.simulation import run as run_in_virtual_time
from tests.unit.inference.runtime.test_executor import ENDPOINT, error
from tests.unit.inference.runtime.test_one_row import ClientConnectorError, texts_of, warm

FAULTS: dict[str, Callable[[], Any]] = {
    "500": lambda: error(500, "boom"),
    "502": lambda: error(502, "bad gateway"),
    "503": lambda: error(503, "Service Unavailable"),
    "504": lambda: error(504, "upstream timed out"),
    "model loads": lambda: error(503, "Model is loading"),
    "refused": ClientConnectorError,
    "timeout": TimeoutError,
    "reset": ConnectionResetError,
    "cut off": lambda: b"[[{",
    "429": lambda: error(429, "slow down"),
    "429 for 2 s": lambda: error(429, "slow down", Retry_After="2"),
    "unreadable": lambda: b'{"x": 1}',
    "400": lambda: error(400, "no"),
}


def refusal(status: int) -> Callable[[], Any]:
    return lambda: error(status, "refused")


FATES: dict[str, Callable[[], Any]] = {
    **{str(status): refusal(status) for status in (400, 403, 404, 405, 410, 413, 422)},
    **{name: FAULTS[name] for name in ("500", "502", "timeout", "unreadable")},
    "too long": lambda: error(413, "the input is too long"),
}
TIMEOUT_S = 10.0
MAX_S = 20_000.0
"""Of virtual time: by then a query that has not ended never will."""


def crc_share(text: str) -> float:
    return zlib.crc32(text.encode()) / 2**32


SCORES: dict[str, Callable[[str], float]] = {
    "fine": crc_share,
    "two labels": lambda text: float(crc_share(text) > 0.5),
    "alike": lambda text: 0.999,
    "alike at first": lambda text: float(int(text.split()[0]) > 60 and crc_share(text) < 0.3),
}


class CountedResults(Results):
    """Notes inputs that end more than once."""

    def __init__(self) -> None:
        self.twice: list[int] = []
        self.ended: dict[int, Prediction | Failure] = {}
        super().__init__()

    def put(self, index: int, prediction: Prediction) -> None:
        self._end(index, prediction)
        super().put(index, prediction)

    def fail(self, index: int, failure: Failure) -> None:
        self._end(index, failure)
        super().fail(index, failure)

    def _end(self, index: int, result: Prediction | Failure) -> None:
        if index in self.ended:
            self.twice.append(index)
        self.ended[index] = result


class Stored:
    """Has the answers of some inputs."""

    is_backlogged = is_known_empty = False
    claims = None

    def __init__(self, answers: dict[bytes, Any]) -> None:
        self.answers = answers

    async def wait_for_backlog(self) -> None:
        pass

    async def lookup(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        await asyncio.sleep(0.001)
        return {key: self.answers[key] for key in keys if key in self.answers}

    def key(self, item: Any) -> bytes:
        return str(item).encode()

    def put(self, key: bytes, answer: Any) -> None:
        assert key not in self.answers, "what is stored is not asked"


Reply = Callable[[Any], Any]
"""What the service answers to a body; the clock is ``asyncio.get_running_loop().time``."""


class Stream:
    """One query whose inputs come in frames. All methods run on the virtual loop."""

    def __init__(self, reply: Reply, profile: RouteProfile, limiter: Any, **using: Any) -> None:
        self.latency_s, self.jitter = 0.01, random.Random(0)
        self.requests = 0
        self.url = ""
        self.results = CountedResults()
        loop = asyncio.get_running_loop()

        def wake(what: Callable[[], None]) -> None:
            loop.call_soon(what)

        self.source = InputStream(self.results, wake)
        self.settings = model_settings({"task": "text-classification", "column": "t", "target": "y", **using}, ENDPOINT)
        self.answers: Any = None

        async def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> Response:
            self.requests += 1
            await asyncio.sleep(self.latency_s * self.jitter.uniform(0.5, 1.5))
            self.url = url
            answer = reply(json.loads(body) if body[:1] == b"{" else {"inputs": body.decode()})
            if isinstance(answer, TimeoutError):
                await asyncio.sleep(TIMEOUT_S)
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, Response):
                return answer
            return Response(200, CIMultiDict(), answer if isinstance(answer, bytes) else json.dumps(answer).encode())

        async def load(reference: MediaRef) -> Media:
            return Media(str(reference.cell).encode(), "image/png")

        self.dependencies = Dependencies(post, limiter, profile, load, load, asyncio.sleep, loop.time)  # type: ignore[arg-type]

    def start(self) -> QueryExecutor:
        if self.answers is not None:
            object.__setattr__(self.dependencies, "answers", self.answers)
        route = Route("http://h", "m", {}, has_key=False, protocol=resolve_route(ENDPOINT, self.settings).protocol)
        self.executor = QueryExecutor(
            self.settings, route, TIMEOUT_S, Usage("", "", ""), self.dependencies, self.source
        )
        return self.executor

    async def done(self, stop: int) -> None:
        """Wait for a frame, as who reads the table does."""
        event = asyncio.Event()
        self.results.when_done(stop, event.set)
        await event.wait()

    def give_back(self, stop: int) -> None:
        self.results.drop_before(stop)
        self.source.drop_before(stop)

    def end(self) -> None:
        """What ``QueryRun`` does after the query."""
        self.results.extend(self.source.close() - len(self.results))
        if self.executor.stopped is not None:
            self.results.fail_remaining(self.executor.stopped)


class Mixture:
    """A service, a table and a query, all of them by chance."""

    def __init__(self, seed: int) -> None:
        chance = self.chance = random.Random(seed)
        pick = chance.choice
        count = pick([1, 2, 3, 7, 9, 12, 20, 33, 60, 120, 200])
        self.texts = [f"{index} " + "w " * chance.randrange(30) for index in range(count)]
        fates = chance.sample(sorted(FATES), chance.randrange(1, 4))
        odd = int(pick([0, 0, 0, 0.02, 0.1, 0.5, 1]) * count + 0.5)
        odd_rows = pick([chance.sample(range(count), odd), range(count - odd, count), range(odd)])
        self.fates = {self.texts[place]: pick(fates) for place in odd_rows}
        self.score = SCORES[pick(sorted(SCORES))]
        self.phases: list[tuple[float, float, list[str]]] = []
        start = 0.0
        for _ in range(pick([0, 0, 0, 1, 1, 2, 4])):
            start += pick([0, 0, 0.5, 3, 20])
            end = start + pick([0.2, 1, 5, 15, 25])
            self.phases.append((start, end, chance.sample(sorted(FAULTS), pick([1, 1, 2]))))
            start = end
        self.noise = pick([0, 0, 0, 0.05, 0.3, 0.6])
        self.noises = chance.sample(sorted(FAULTS), pick([1, 1, 2, 3]))
        self.route: RouteProfile = pick([RouteProfile(), warm(), warm(True), warm(False)])
        kinds = ["ok", "ok", "none", "lost", "size"]
        self.lists = pick(kinds if self.route.accepts_batches or self.score is not crc_share else [*kinds, "reversed", "short"])  # fmt: skip
        self.lost_at, self.sent_lists = chance.randrange(1, 12), 0
        self.using: dict[str, Any] = {"max_requests": chance.randrange(1, 2 * count + 5)} if pick([0, 0, 0, 1]) else {}
        self.using |= pick([{}, {}, {"on_error": "null"}, {"on_error": "raise"}])

    def answer(self, text: str) -> list[dict[str, Any]]:
        score = self.score(text)
        return [{"label": "POS", "score": score}, {"label": "NEG", "score": 1 - score}]

    def reply(self, asked: Any) -> Any:
        texts, chance, now = texts_of(asked), self.chance, asyncio.get_running_loop().time()
        for start, end, faults in self.phases:
            if start <= now < end:
                return FAULTS[chance.choice(faults)]()
        if chance.random() < self.noise:
            return FAULTS[chance.choice(self.noises)]()
        if isinstance(asked["inputs"], list):
            self.sent_lists += 1
            if self.lists == "none" or (self.lists == "lost" and self.sent_lists >= self.lost_at):
                return error(400, "Input should be a valid string")
            if self.lists == "size" and len(texts) > 5:
                return error(413, "batch size 9 > maximum allowed batch size 5")
        odd = [self.fates[text] for text in texts if text in self.fates]
        if odd:
            return FATES[odd[0]]()
        answers = [self.answer(text) for text in texts]
        if isinstance(asked["inputs"], list) and self.lists in ("reversed", "short"):
            return answers[::-1] if self.lists == "reversed" else answers[:-1]
        return answers

    async def run(self) -> list[Stream]:
        """One query or several of one route at the same time."""
        pick, loop = self.chance.choice, asyncio.get_running_loop()
        limiter: Any = Limiter(clock=loop.time)
        if pick([0, 0, 1]):
            limiter = LimiterWithSlots(limiter, asyncio.Semaphore(1))
        delay_s, latency_s = pick([0, 0.02, 1, 5]), pick([0, 0.01, 0.1, 1, 5])
        streams = []
        for _ in range(pick([1, 1, 2, 3])):
            stream = Stream(self.reply, self.route, limiter, **self.using)
            stream.latency_s, stream.jitter = latency_s, self.chance
            share = pick([0, 0, 0.1, 0.9])
            found = [text for text in self.texts if text not in self.fates and self.chance.random() < share]
            stream.answers = Stored({text.encode(): self.answer(text) for text in found}) if found else None
            streams.append(stream)
        await asyncio.gather(*(self._query(stream, delay_s * number) for number, stream in enumerate(streams)))
        return streams

    async def _query(self, stream: Stream, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        executor = stream.start()
        stop_at = self.chance.choice([None] * 6 + [0.0, 0.3, 1, 10, 40])
        feeding, work = asyncio.create_task(self._feed(stream)), asyncio.create_task(executor.run())
        await asyncio.wait({work}, timeout=stop_at)
        if not work.done():
            executor.stop(Failure(FailureKind.NOT_SENT, "the query was cancelled before this row"))
            work.cancel()
            await asyncio.wait({work})
        stream.end()
        feeding.cancel()
        if not work.cancelled():
            work.result()

    async def _feed(self, stream: Stream) -> None:
        size, gap_s = self.chance.choice([1, 3, 10, 64, 1000]), self.chance.choice([0, 0.01, 0.5, 5])
        for start in range(0, len(self.texts), size):
            if stream.source.closed:
                return
            frame = self.texts[start : start + size]
            stream.source.add(frame)
            await asyncio.sleep(gap_s)
            if self.chance.random() < 0.5 and not stream.source.closed:
                await stream.done(start + len(frame))
                if not stream.source.closed and self.chance.random() < 0.7:
                    stream.give_back(start + len(frame))
        stream.source.end()

    def check(self, stream: Stream) -> None:
        ended, stopped = stream.results.ended, stream.executor.stopped
        assert stream.results.twice == []
        assert set(ended) == set(range(stream.source.count)), "no row is lost"
        for index, result in ended.items():
            text = self.texts[index]
            if isinstance(result, Prediction):
                assert result.explain["POS"] == pytest.approx(self.score(text), abs=1e-9)
            else:
                assert result.kind.in_rows
                is_quiet = not (self.noise or self.phases or stopped)
                assert text in self.fates or not is_quiet, f"nothing was wrong with this row, and yet: {result.reason}"
        if stopped is None:
            assert stream.executor.done == len(ended)
        if not (self.noise or self.phases or self.fates or self.using):
            assert stopped is None or stopped.kind is FailureKind.NOT_SENT
        assert stream.requests <= 12 * len(self.texts) + 400


@pytest.mark.same_on_every_python
@pytest.mark.parametrize("block", range(6))
def test_each_input_ends_once_whatever_the_service_does(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        random.seed(seed)  # of backoff and pauses
        mixture = Mixture(seed)
        try:
            for stream in run_in_virtual_time(asyncio.wait_for(mixture.run(), MAX_S)):
                mixture.check(stream)
        except Exception as failed:
            raise AssertionError(f"seed {seed}") from failed


def positive(asked: Any) -> Any:
    answers = [[{"label": "POS", "score": 0.9}, {"label": "NEG", "score": 0.1}] for _ in texts_of(asked)]
    return answers if isinstance(asked["inputs"], list) else answers[0]


def two_frames(
    reply: Reply, profile: RouteProfile, *frames: Sequence[Any], between: Callable[[Stream], None] = lambda _: None, **using: Any
) -> Stream:  # fmt: skip
    """A query of two frames. The first is answered and given back before the second comes."""

    async def query() -> Stream:
        stream = Stream(reply, profile, Limiter(clock=asyncio.get_running_loop().time), **using)
        work = asyncio.create_task(stream.start().run())
        stream.source.add(frames[0])
        await stream.done(len(frames[0]))
        stream.give_back(len(frames[0]))
        between(stream)
        stream.source.add(frames[1])
        stream.source.end()
        await work
        stream.end()
        return stream

    return run_in_virtual_time(query())


@pytest.mark.parametrize("accepts", [True, False])
def test_what_another_query_finds_out_of_lists_ends_the_doubt_of_this_one(accepts: bool) -> None:
    first, second = [[f"{frame} {number}" for number in range(100)] for frame in (1, 2)]
    profile = RouteProfile()

    def find_out(stream: Stream) -> None:
        assert profile.accepts_batches is None, "all answers are alike"
        profile.accepts_batches = accepts

    stream = two_frames(positive, profile, first, second, between=find_out)
    assert Counter(map(type, stream.results.ended.values())) == {Prediction: 200}


def test_rows_that_crash_a_server_are_told_from_one_that_is_away_after_all_answers_were_given_back() -> None:
    first, crashing, good = ([f"{kind} {number}" for number in range(20)] for kind in ("first", "crash", "good"))
    reply: Reply = lambda asked: error(500, "boom") if "crash" in str(asked["inputs"]) else positive(asked)  # noqa: E731
    stream = two_frames(reply, warm(False), first, [*crashing, *good])
    assert stream.executor.stopped is None
    assert Counter(map(type, stream.results.ended.values())) == {Prediction: 40, Failure: 20}


def test_a_trial_of_a_service_that_is_away_sends_an_image_and_not_where_it_is() -> None:
    first, second = ([MediaRef(f"{frame}/{number}.png", "image") for number in range(20)] for frame in (1, 2))
    asked: list[Any] = []
    times: list[float] = []

    def reply(body: Any) -> Any:
        asked.append(body)
        times.append(asyncio.get_running_loop().time())
        is_away = len(asked) > 25 and times[-1] < times[25] + 5
        return error(503, "no backend") if is_away else [{"label": "cat", "score": 0.9}]

    stream = two_frames(reply, warm(False), first, second, task="image-classification")
    assert Counter(map(type, stream.results.ended.values())) == {Prediction: 40}
    assert all("cell" not in body for body in asked)


def test_a_service_that_answers_once_between_two_outages_costs_no_row() -> None:
    outages = (0.2, 0.5), (0.5, 41.0)
    trial: list[Any] = []

    def reply(asked: Any) -> Any:
        now = asyncio.get_running_loop().time()
        if outages[1][0] <= now and not trial:
            trial.append(asked)
            return positive(asked)
        return error(503, "no backend") if any(start <= now < end for start, end in outages) else positive(asked)

    stream = two_frames(reply, warm(False), ["a"], [f"row {number}" for number in range(3000)])
    assert trial
    assert Counter(map(type, stream.results.ended.values())) == {Prediction: 3001}


@pytest.mark.parametrize("turns", range(8))
def test_a_query_that_is_cancelled_as_inputs_come_ends(turns: int) -> None:
    async def query() -> None:
        stream = Stream(positive, warm(False), Limiter(clock=asyncio.get_running_loop().time))
        work = asyncio.create_task(stream.start().run())
        stream.source.add(["a"])
        await stream.done(1)
        stream.source.add(["b"])
        for _ in range(turns):
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait({work})

    run_in_virtual_time(query())


def test_all_requests_that_were_out_while_the_server_turned_out_to_be_another_are_asked_again() -> None:
    async def query() -> Stream:
        stream = Stream(
            lambda asked: positive(asked) if stream.url.endswith("/new") else error(404, "no such path"),
            warm(False),
            Limiter(clock=asyncio.get_running_loop().time),
        )
        executor = stream.start()
        found = replace(executor._sender.route, url="http://h/new")

        async def detect(_failure: Any) -> Route:
            await asyncio.sleep(0.01)
            return found

        object.__setattr__(stream.dependencies, "detect", detect)
        stream.source.add([f"row {number}" for number in range(20)])
        stream.source.end()
        await executor.run()
        stream.end()
        return stream

    stream = run_in_virtual_time(query())
    assert Counter(map(type, stream.results.ended.values())) == {Prediction: 20}
