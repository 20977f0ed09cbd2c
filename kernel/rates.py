"""Token buckets: shared ones in Valkey, one script and one round trip each, and a local one for sockets.

    take("lookup", user_id)          raises TooManyRequests(retry_after=…) over the rate
    Bucket(RATES["frame"]).take(1, now)   seconds to wait; 0.0 is granted

The buckets are kept as one number, the *theoretical arrival time* (GCRA, ITU-T I.371): the time at which the bucket
will be full again. A request may move it on as long as it stays within `burst / per_second` of now.
While Valkey is away, each process counts for itself or refuses, as the table in `kernel/limits.py` says.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import redis
from django.conf import settings

from kernel import valkey
from kernel.errors import TooManyRequests
from kernel.limits import RATES, Blind, Rate

# KEYS: the bucket. ARGV: µs per token, µs in a full bucket, cost. Answers the µs to wait, 0 if granted.
# The clock is Valkey's own, so that hosts whose clocks differ agree.
_SCRIPT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full = tonumber(ARGV[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + tonumber(ARGV[1]) * tonumber(ARGV[3])
if arrival - now > full then
  return math.ceil(arrival - now - full)
end
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1)
return 0
"""
# How many buckets a process keeps while Valkey is away; the ones used longest ago go first.
_LOCAL_BUCKETS: Final = 20_000
# What a refused caller waits when nobody can count.
_BLIND_RETRY_S: Final = 5.0


class Bucket:
    """A token bucket in this process, for one thread. `now` is any clock in seconds that does not go back."""

    __slots__ = ("_arrival", "_full", "_per_token")

    def __init__(self, rate: Rate) -> None:
        self._per_token = 1.0 / rate.per_second
        self._full = rate.burst / rate.per_second
        self._arrival = -math.inf

    def take(self, cost: float, now: float) -> float:
        """Take `cost` tokens and return 0.0, or take none and return the seconds after which to ask again.

        More than a full bucket counts as a full bucket, or it would never be granted.
        """
        arrival = max(self._arrival, now) + min(cost * self._per_token, self._full)
        wait = arrival - now - self._full
        # Sums of floats miss by some nanoseconds; a whole burst must fit.
        if wait > 1e-6:
            return wait
        self._arrival = arrival
        return 0.0


def scaled(rate: Rate) -> Rate:
    """The rate times the setting RATE_SCALE, for hosts with other needs than the table's."""
    scale: float = settings.RATE_SCALE
    return rate if scale == 1 else Rate(max(1, round(rate.burst * scale)), rate.per_second * scale, rate.when_blind)


def bucket(name: str) -> Bucket:
    """A local bucket with the rate of that name in the table of limits."""
    return Bucket(scaled(RATES[name]))


class Limiter:
    """Counts in Valkey for all processes together; while that is away, for this process or not at all. Thread-safe."""

    def __init__(self, client: Callable[[], valkey.Valkey]) -> None:
        self._client = client
        self._script: Any = None
        self._local: OrderedDict[str, Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str, subject: object, cost: int = 1) -> None:
        """Count `cost` against the rate `name` of `subject` (a device, a user, an address).

        Raises `TooManyRequests`; its `retry_after` says after how many seconds the same will be granted.
        """
        rate = scaled(RATES[name])
        try:
            wait = self._shared(rate, valkey.key("rate", name, subject), cost)
        except (redis.RedisError, OSError):
            wait = self._blind(rate, f"{name}:{subject}", cost)
        if wait > 0:
            raise TooManyRequests(retry_after=max(1, math.ceil(wait)))

    def _shared(self, rate: Rate, key: str, cost: int) -> float:
        client = self._client()
        if self._script is None:
            # Calls EVALSHA, and EVAL when Valkey was restarted since.
            self._script = client.register_script(_SCRIPT)
        per_token = 1e6 / rate.per_second
        wait = self._script([key], [per_token, rate.burst * per_token, min(cost, rate.burst)], client)
        return int(wait) / 1e6

    def _blind(self, rate: Rate, key: str, cost: int) -> float:
        if rate.when_blind is Blind.REFUSE:
            return _BLIND_RETRY_S
        with self._lock:
            own = self._local.pop(key, None) or Bucket(rate)
            self._local[key] = own
            if len(self._local) > _LOCAL_BUCKETS:
                self._local.popitem(last=False)
            return own.take(cost, time.monotonic())


take = Limiter(valkey.client).take
