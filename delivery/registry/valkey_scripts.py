"""What the registry does in Valkey, each in one step. KEYS[1] is the set of hosts, ARGV[1] the prefix of all keys.

Keys are put together from the ids of hosts and not declared: of a Valkey cluster one node would have to hold all of them
(docs/scaling.md says what else a cluster takes; the product speaks to a single server, docs/operations.md).
"""

COMMON = """
local prefix = ARGV[1]
local function lease(host) return prefix .. ':host:' .. host end
local function routes(host) return prefix .. ':users:' .. host end
local function kept(host) return prefix .. ':kept:' .. host end
local function now()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function live()
    local found = {}
    for _, host in ipairs(redis.call('SMEMBERS', KEYS[1])) do
        if redis.call('EXISTS', lease(host)) == 1 then
            found[#found + 1] = host
        else
            redis.call('SREM', KEYS[1], host)
            redis.call('DEL', routes(host), kept(host))
        end
    end
    return found
end
-- A host of the version before says other things of itself: it gets its pushes, and nobody is sent there.
local function is_ours(host)
    return redis.call('TYPE', lease(host)).ok == 'hash'
end
local function count(host, since)
    return redis.call('SCARD', routes(host)) + redis.call('ZCOUNT', kept(host), since, '+inf')
end
local function is_draining(host)
    local flags = redis.call('HMGET', lease(host), 'draining', 'drain')
    return flags[1] == '1' or flags[2]
end
"""

# host, lease ms, facts, capacity, draining, ms for which who left is remembered, how it was told to drain ('': not).
RENEW = """
local host, ms = ARGV[2], ARGV[3]
local had = redis.call('EXISTS', lease(host)) == 1
redis.call('HSET', lease(host), 'facts', ARGV[4], 'capacity', ARGV[5], 'draining', ARGV[6])
if not had and ARGV[8] ~= '' then
    redis.call('HSET', lease(host), 'drain', ARGV[8])
end
redis.call('PEXPIRE', lease(host), ms)
redis.call('SADD', KEYS[1], host)
local routed = redis.call('PEXPIRE', routes(host), ms * 2) == 1
redis.call('PEXPIRE', kept(host), ms * 2)
redis.call('ZREMRANGEBYSCORE', kept(host), '-inf', now() - ARGV[7])
return {had and routed and 1 or 0, redis.call('HGET', lease(host), 'drain')}
"""

# host.
LEAVE = """
redis.call('DEL', lease(ARGV[2]), routes(ARGV[2]), kept(ARGV[2]))
redis.call('SREM', KEYS[1], ARGV[2])
"""

# host, lease ms, users.
ADD = """
local users = {unpack(ARGV, 4)}
redis.call('SADD', routes(ARGV[2]), unpack(users))
redis.call('PEXPIRE', routes(ARGV[2]), ARGV[3] * 2)
for _, host in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    redis.call('ZREM', kept(host), unpack(users))
end
"""

# host, lease ms, users.
REMOVE = """
local at = now()
for n = 4, #ARGV do
    if redis.call('SREM', routes(ARGV[2]), ARGV[n]) == 1 then
        redis.call('ZADD', kept(ARGV[2]), at, ARGV[n])
    end
end
redis.call('PEXPIRE', kept(ARGV[2]), ARGV[3] * 2)
"""

LIVE = "return live()"

# ms for which who has no socket counts.
STATES = """
local answer, since = {}, now() - ARGV[2]
for _, host in ipairs(live()) do
  if is_ours(host) then
    answer[#answer + 1] = {host, redis.call('HGET', lease(host), 'facts'), count(host, since), is_draining(host) and 1 or 0,
        redis.call('PTTL', lease(host))}
  end
end
return answer
"""

# host, seconds or ''.
DRAIN = """
if not is_ours(ARGV[2]) then
    return 0
end
if ARGV[3] == '' then
    redis.call('HDEL', lease(ARGV[2]), 'drain')
else
    redis.call('HSET', lease(ARGV[2]), 'drain', ARGV[3])
end
return 1
"""

# user, ms for which who has no socket counts, the live hosts in the user's order. What delivery.hosts.choose says
# (tests/hosts/test_registry.py holds the two together), and the user is expected there from now on.
ASSIGN = """
local user, at = ARGV[2], now()
local order, known, since = {unpack(ARGV, 4)}, {}, at - ARGV[3]
for _, host in ipairs(order) do known[host] = true end
local alive = {}
for _, host in ipairs(live()) do
    if not known[host] then return {'stale'} end
    alive[host] = true
end
local takers = {}
for _, host in ipairs(order) do
    if alive[host] and is_ours(host) and not is_draining(host) then takers[#takers + 1] = host end
end
local function answer(host)
    for other in pairs(alive) do
        if other ~= host then redis.call('ZREM', kept(other), user) end
    end
    if redis.call('SISMEMBER', routes(host), user) == 0 then
        redis.call('ZADD', kept(host), at, user)
        if redis.call('PTTL', kept(host)) < 0 then
            redis.call('PEXPIRE', kept(host), redis.call('PTTL', lease(host)) * 2)
        end
    end
    return {'host', host, redis.call('HGET', lease(host), 'facts')}
end
for _, host in ipairs(takers) do
    if redis.call('SISMEMBER', routes(host), user) == 1 then return answer(host) end
end
local users, was, total, free = {}, {}, 0, 0
for _, host in ipairs(takers) do
    local capacity, n = tonumber(redis.call('HGET', lease(host), 'capacity')), count(host, since)
    local last = redis.call('ZSCORE', kept(host), user)
    local counts = last and tonumber(last) >= since
    if counts then n = n - 1 end
    if capacity == 0 or n < capacity then
        if counts then return answer(host) end
        users[host], was[host], total, free = n, last, total + n, free + 1
    end
end
if free == 0 then return {#takers > 0 and 'full' or 'none'} end
local bound, first = math.ceil(5 * (total + 1) / (4 * free)), nil
for _, host in ipairs(takers) do
    if users[host] and users[host] < bound then
        if was[host] then return answer(host) end
        first = first or host
    end
end
if first then return answer(first) end
return {'full'}
"""
