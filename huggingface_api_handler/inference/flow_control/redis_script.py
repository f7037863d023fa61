"""The steps of ``route_ledger.transact`` in Lua, which Redis runs as one. A test gives the same reports to both."""

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
local restore_s, news_channel = tonumber(ARGV[24]), ARGV[25]
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

local MEMBER, MEMBER_BYTES = '>dddddddddddd', 96 -- twelve numbers: to read a text of them takes three times as long
local members = {}
local stored = redis.call('HGETALL', MEMBERS)
for i = 1, #stored, 2 do
    local slots, held, used, in_flight, more, turns, wanted, turn_at, number, since, max, expires
    local sum
    if #stored[i + 1] == MEMBER_BYTES then
        slots, held, used, in_flight, more, turns, wanted, turn_at, number, since, max, expires =
            struct.unpack(MEMBER, stored[i + 1])
        sum = slots + held + used + in_flight + turns + wanted + turn_at + number + since + max
    end
    if sum and math.abs(sum) < 1e15 and expires >= now and expires <= now + 2 * member_ttl then
        members[stored[i]] = {slots = slots, held = held, used = used, in_flight = in_flight, more = more == 1,
                              turns = turns, wanted = wanted, turn_at = turn_at, number = number, since = since,
                              max = max, expires = expires}
    else
        redis.call('HDEL', MEMBERS, stored[i])
    end
end
local leader, leader_until = record.leader or '', known(record.leader_until)
if not members[leader] or leader_until < now or leader_until > now + 2 * leader_ttl then leader = '' end

if number > 1 and not tonumber(record.slots or '') and not next(members) then
    partial_until, next_at = now + restore_s, math.max(next_at, now)
end
local is_partial = now < partial_until and partial_until <= now + restore_s
if paused_until - now > max_pause or leader_until > now + 2 * leader_ttl then paused_until = 0 end
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
    if share > 0 then
        table.sort(order)
    else
        table.sort(order, function(one, two)
            local one_class, one_since = turn(one)
            local two_class, two_since = turn(two)
            if one_class ~= two_class then return one_class < two_class end
            if one_since ~= two_since then return one_since < two_since end
            return one < two
        end)
    end
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
    redis.call('HSET', MEMBERS, name, struct.pack(MEMBER, member.slots, member.held, member.used, member.in_flight,
        member.more and 1 or 0, member.turns, member.wanted, member.turn_at, member.number, member.since,
        member.max, member.expires))
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

if news_channel ~= '' then redis.call('PUBLISH', news_channel, '0') end
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
