"""The record of a route in Redis, for the processes of several machines. Its script does what ``transact`` does.

Time is Redis' own, so that clocks of machines may differ. A record that vanishes is begun anew by whoever reports next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import redis
import redis.asyncio

from ..storage.redis_store import Client, RedisStore, Script, connection_options
from .route_key import redis_key
from .route_ledger import (
    LEADER_TTL_S,
    MAX_PLAUSIBLE_PAUSE_S,
    MAX_REPORTS,
    MEMBER_TTL_S,
    RESTORE_S,
    ROUND_S,
    Grant,
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

TRANSACT = """
-- HDEL needs no memory, so a full Redis lets the script begin, and then lets it end.
redis.call('HDEL', KEYS[1], '')
local ROUTE, MEMBERS, REPORTS = KEYS[1], KEYS[2], KEYS[3]
local name, number, max_slots = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local used, in_flight, wants_more = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local wanted_turns, horizon, held_turns = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local sent, events = tonumber(ARGV[10]), ARGV[11]
local slots, rate, burst, limit_at = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
local resume_at, is_leaving = tonumber(ARGV[16]), ARGV[17] == '1'
local member_ttl, leader_ttl, round_s = tonumber(ARGV[18]), tonumber(ARGV[19]), tonumber(ARGV[20])
local max_reports, max_pause, record_ttl = tonumber(ARGV[21]), tonumber(ARGV[22]), ARGV[23]
local restore_s = tonumber(ARGV[24])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local function text(value) return string.format('%.6f', value) end
local function whole(value) return math.max(1, math.floor(value + 0.5)) end
local function known(value) value = tonumber(value or ''); return value and math.abs(value) < 1e15 and value or 0 end

local record = {}
local fields = redis.call('HGETALL', ROUTE)
for i = 1, #fields, 2 do record[fields[i]] = fields[i + 1] end
local next_at, unlearned = known(record.next_at), known(record.unlearned)
local paused_until, partial_until = known(record.resume_at), known(record.partial_until)

local members = {}
local stored = redis.call('HGETALL', MEMBERS)
for i = 1, #stored, 2 do
    local v = {}
    for value in string.gmatch(stored[i + 1], '%S+') do v[#v + 1] = tonumber(value) end
    if #v == 12 and v[12] >= now and v[12] <= now + 2 * member_ttl then
        members[stored[i]] = {slots = v[1], held = v[2], used = v[3], in_flight = v[4], more = v[5] == 1,
                              turns = v[6], wanted = v[7], turn_at = v[8], number = v[9], since = v[10],
                              max = v[11], expires = v[12]}
    else
        redis.call('HDEL', MEMBERS, stored[i])
    end
end
local leader, leader_until = record.leader or '', known(record.leader_until)
if not members[leader] or leader_until < now or leader_until > now + 2 * leader_ttl then leader = '' end

if number > 1 and not next(members) then partial_until, next_at = now + restore_s, math.max(next_at, now) end
local is_partial = now < partial_until and partial_until <= now + restore_s
if paused_until - now > max_pause then paused_until = 0 end
paused_until = math.max(paused_until, resume_at)
if is_leaving and leader == name then
    leader = ''
elseif not is_leaving and leader == '' then
    leader = name
end
local is_elected = leader == name
if is_elected then leader_until = now + leader_ttl end
local member = members[name]
if not member or member.number ~= number then
    if events ~= '' and not is_elected then
        redis.call('RPUSH', REPORTS, name .. ' ' .. events)
        redis.call('LTRIM', REPORTS, -max_reports, -1)
    end
    unlearned = unlearned + sent
end
if is_leaving then
    members[name] = nil
    redis.call('HDEL', MEMBERS, name)
else
    if not member then
        member = {slots = 0, held = 0, turn_at = 0, since = now}
        members[name] = member
    end
    member.used, member.in_flight, member.more = used, in_flight, wants_more
    member.turns, member.wanted, member.number = held_turns, wanted_turns, number
    member.max, member.expires = max_slots, now + member_ttl
end

local known_slots, known_rate = tonumber(record.slots or ''), tonumber(record.rate or '')
local known_burst = known(record.burst)
if slots and (is_elected or not known_slots) then
    known_slots, known_rate, known_burst = slots, rate, burst
    if rate and limit_at then
        local held = 0
        for _, each in pairs(members) do held = held + each.turns end
        next_at = math.max(limit_at + unlearned / rate, now - burst) + held / rate
    end
end

-- Slots, as evenly as they are wanted.
local function allocate(total)
    local targets, hungry, count, left = {}, {}, 0, whole(total)
    for key, each in pairs(members) do hungry[key] = each; count = count + 1 end
    local changed = true
    while changed and count > 0 do
        changed = false
        local share = math.floor(left / count)
        local sated = {}
        for key, each in pairs(hungry) do
            if not each.more and each.used <= share then sated[#sated + 1] = key end
        end
        for _, key in ipairs(sated) do
            targets[key] = hungry[key].used
            left = left - hungry[key].used
            hungry[key] = nil
            count = count - 1
            changed = true
        end
    end
    if count == 0 then return targets end
    left = math.max(0, left)
    local share = math.floor(left / count)
    local more = left - share * count
    local order = {}
    for key in pairs(hungry) do order[#order + 1] = key end
    local function turn(key)
        local each = hungry[key]
        if each.held == 0 then return 1, each.since end
        if now - each.since < round_s then return 0, each.since end
        return 2, now
    end
    table.sort(order, function(one, two)
        if share == 0 then
            local one_class, one_since = turn(one)
            local two_class, two_since = turn(two)
            if one_class ~= two_class then return one_class < two_class end
            if one_since ~= two_since then return one_since < two_since end
        end
        return one < two
    end)
    for rank, key in ipairs(order) do targets[key] = share + (rank <= more and 1 or 0) end
    return targets
end

local function rank()
    local before = 0
    for _, each in pairs(members) do
        if each.wanted > 0 and each.turn_at < member.turn_at then before = before + 1 end
    end
    return before
end

local turns, next_turn_at = {}, 0
if not is_leaving then
    local are_others = false
    for key in pairs(members) do are_others = are_others or key ~= name end
    if known_slots and not are_others and not is_partial then
        member.slots = math.max(used, whole(math.min(known_slots, max_slots)))
        member.held = member.slots
    elseif known_slots then
        local total = math.min(known_slots, max_slots)
        local targets = allocate(total)
        local free, own_free = whole(known_slots), whole(total)
        for key, each in pairs(members) do
            if key ~= name then
                free = free - each.held
                own_free = own_free - (each.max <= max_slots and each.held or math.min(each.held, targets[key]))
            end
        end
        local had, most = member.held, is_partial and 0 or math.min(free, own_free)
        member.slots = math.min(targets[name], math.max(used, most))
        member.held = math.max(used, member.slots)
        if (had == 0) ~= (member.held == 0) then member.since = now end
    end
    if known_rate and wanted_turns > 0 and paused_until <= now then
        next_at = math.min(math.max(next_at, now - known_burst), now + max_pause)
        local due = math.floor((now + horizon - next_at) * known_rate) + 1
        local waiting = 0
        for _, each in pairs(members) do if each.wanted > 0 then waiting = waiting + 1 end end
        local share = math.ceil((due - rank()) / waiting)
        while #turns < math.min(wanted_turns, share) do
            member.turn_at = math.max(now, next_at)
            turns[#turns + 1] = text(member.turn_at)
            next_at = next_at + 1 / known_rate
        end
        member.turns, member.wanted = member.turns + #turns, member.wanted - #turns
    end
    next_turn_at = math.max(next_at + (known_rate and rank() / known_rate or 0), paused_until)
    redis.call('HSET', MEMBERS, name, string.format('%d %d %d %d %d %d %d %.6f %d %.6f %d %.6f', member.slots,
        member.held, member.used, member.in_flight, member.more and 1 or 0, member.turns, member.wanted,
        member.turn_at, member.number, member.since, member.max, member.expires))
    redis.call('EXPIRE', MEMBERS, record_ttl)
end

local reports = {}
if is_elected then
    reports = redis.call('LRANGE', REPORTS, 0, -1)
    redis.call('DEL', REPORTS)
    unlearned = 0
else
    redis.call('EXPIRE', REPORTS, record_ttl)
end
redis.call('HSET', ROUTE, 'leader', leader, 'leader_until', text(leader_until), 'slots', known_slots or '',
    'rate', known_rate or '', 'burst', text(known_burst), 'next_at', text(next_at), 'unlearned', unlearned,
    'resume_at', text(paused_until), 'partial_until', text(partial_until))
redis.call('EXPIRE', ROUTE, record_ttl)

local count, total_in_flight, is_short, heard_until = 0, 0, 0, now
for _, each in pairs(members) do
    heard_until = math.min(heard_until, each.expires - member_ttl)
    count = count + 1
    total_in_flight = total_in_flight + each.in_flight
    if each.more then is_short = 1 end
end
return {text(now), count, is_elected and 1 or 0, is_leaving and 0 or member.slots, turns,
    text(next_turn_at), tostring(known_slots or ''), tostring(known_rate or ''),
    text(known_burst), text(paused_until), reports, total_in_flight, text(heard_until), is_short,
    is_partial and 1 or 0}
"""
"""The steps of ``route_ledger.transact``, as a script."""

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

    async def watch_pauses(self, on_pause: Callable[[float], None]) -> None:
        """Listen for pauses until cancelled. Where the subscription breaks, they come with the grants meanwhile.

        Args:
            on_pause: Is told the seconds until a pause ends.
        """
        while True:
            with suppress(Exception):  # whatever listens there may answer anything
                await self._listen(on_pause)
            await asyncio.sleep(_LISTEN_AGAIN_S)

    async def _listen(self, on_pause: Callable[[float], None]) -> None:
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
                    if 0 < seconds < MAX_PLAUSIBLE_PAUSE_S:
                        on_pause(seconds)

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
            MAX_PLAUSIBLE_PAUSE_S, _RECORD_TTL_S, RESTORE_S, *more,
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
