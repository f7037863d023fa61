"""The record of a route in Redis, for the processes of several machines. Its script does what ``transact`` does.

Time is Redis' own, so that clocks of machines may differ. A record that vanishes is begun anew by whoever reports next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import redis
import redis.asyncio

from ..storage.redis_connection import Client, connection_options
from ..storage.redis_store import RedisStore, Script
from .redis_script import TRANSACT
from .route_key import redis_key
from .route_ledger import (
    LEADER_TTL_S,
    MAX_PLAUSIBLE_PAUSE_S,
    MAX_REPORTS,
    MEMBER_TTL_S,
    RESTORE_S,
    ROUND_S,
    Grant,
    OnSignal,
    Report,
)
from .route_record import Limits, limits_from

_RECORD_TTL_S = 3600
_LISTEN_AGAIN_S = 1.0  # after the subscription broke
_MAX_SILENCE_S = 5.0  # of the subscription, after which the connection is looked at

_publish_pause = Script(
    """
    redis.call('HDEL', KEYS[1], '')
    local now = redis.call('TIME')
    local resume_at = now[1] + now[2] / 1e6 + ARGV[1]
    local known = tonumber(redis.call('HGET', KEYS[1], 'resume_at') or '') or 0
    redis.call('PUBLISH', ARGV[2], ARGV[1])
    if resume_at > known then
        redis.call('HSET', KEYS[1], 'resume_at', string.format('%.6f', resume_at))
        redis.call('EXPIRE', KEYS[1], ARGV[3])
    end
    return 1
    """
)

_transact = Script(TRANSACT)


class RedisLedger:
    """One route's record, in three keys of one hash tag."""

    def __init__(self, store: RedisStore, name: str) -> None:
        """Name the route. Nothing is read or written yet.

        Args:
            store: What the machines share.
            name: The route's name.
        """
        self._store, self._name = store, name

    async def sync(self, report: Report) -> Grant | None:
        """Change the record by a report.

        Args:
            report: As of ``transact``.

        Returns:
            What the process may do; None where Redis cannot be used.
        """
        return await asyncio.wrap_future(self._store.run(partial(self.transact, report=report), None))

    def leave(self, report: Report) -> None:
        """Change the record by the last report of a process. Nobody waits for it.

        Args:
            report: As of ``transact``.
        """
        self._store.run(partial(self.transact, report=report), None)

    def publish_pause(self, seconds: float) -> None:
        """Tell the other processes that no request may go for a while.

        Args:
            seconds: Length of the pause, from now. A pause that ends later is not shortened.
        """

        def publish(client: Client) -> None:
            _publish_pause(client, [self._key], [f"{seconds:.6f}", self._channel, _RECORD_TTL_S])

        self._store.run(publish, None)

    async def watch(self, on_signal: OnSignal) -> None:
        """Listen until cancelled. Where the subscription breaks, pauses come with the grants meanwhile.

        Args:
            on_signal: Gets what other processes signal.
        """
        while True:
            with suppress(Exception):  # whatever listens there may answer anything
                await self._listen(on_signal)
            await asyncio.sleep(_LISTEN_AGAIN_S)

    def look(self) -> None:
        """Do nothing: Redis tells."""

    async def _listen(self, on_signal: OnSignal) -> None:
        async with (
            redis.asyncio.Redis(**connection_options(self._store.address)) as client,
            client.pubsub() as listener,
        ):
            await listener.subscribe(self._channel)
            while True:
                message = await listener.get_message(ignore_subscribe_messages=True, timeout=_MAX_SILENCE_S)
                if message is None:
                    await listener.ping()
                    continue
                with suppress(ValueError):
                    seconds = float(message["data"])
                    if 0 <= seconds < MAX_PLAUSIBLE_PAUSE_S:
                        on_signal(seconds)

    def transact(self, client: Client, report: Report, script: Script = _transact, more: Sequence[float] = ()) -> Grant:
        """Change the record by a report, on the store's thread.

        Args:
            client: The store's.
            report: As of ``route_ledger.transact``.
            script: What does it.
            more: Its further arguments.

        Returns:
            What the process may do.
        """
        limits = report.limits
        found: tuple[float | str, ...] = ("", "", "", "")
        if limits is not None:
            found = (limits.slots, _or_empty(limits.rate), limits.burst_s, _or_empty(limits.next_at))
        arguments = (
            report.member, report.number, report.max_slots, report.used, report.in_flight, int(report.wants_more),
            report.turns, report.horizon_s, report.held_turns, report.sent, report.events, *found,
            report.resume_at, int(report.is_leaving), MEMBER_TTL_S, LEADER_TTL_S, ROUND_S, MAX_REPORTS,
            MAX_PLAUSIBLE_PAUSE_S, _RECORD_TTL_S, RESTORE_S, self._channel if report.is_news else b"", *more,
        )  # fmt: skip
        answer = script(client, self.keys, arguments)
        now, members, elected, slots, turns, next_at, *found_limits = answer[:-6]
        resume_at, reports, in_flight, heard_until, is_short, is_partial = answer[-6:]
        return Grant(
            now=float(now),
            members=int(members),
            is_elected=elected == 1,
            slots=int(slots),
            turns=[float(at) for at in turns],
            next_turn_at=float(next_at),
            limits=_limits(found_limits),
            resume_at=float(resume_at),
            reports=[
                events
                for member, _, events in (each.partition(b" ") for each in reports)
                if member != report.member.encode()
            ],
            in_flight=int(in_flight),
            heard_until=float(heard_until),
            is_short=is_short == 1,
            is_partial=is_partial == 1,
        )

    @property
    def keys(self) -> list[bytes]:
        """The keys of the record: of the route, of its members, and of their reports."""
        key = self._key
        return [key, key + b":members", key + b":reports"]

    @property
    def _key(self) -> bytes:
        return redis_key(self._store.secret, self._name)

    @property
    def _channel(self) -> bytes:
        return self._key + b":pauses"


def _or_empty(value: float | None) -> float | str:
    return "" if value is None else value


def _limits(found: list[bytes]) -> Limits | None:
    slots, rate, burst_s = found
    if not slots:
        return None
    with suppress(ValueError):
        return limits_from([slots, rate or None, burst_s, None])
    return None
