"""How much is delivered out of each slot: counted by every process that drains, summed in Valkey, read by who balances.

A hint like all in Valkey: when it is wiped, the sums begin anew, and nobody knows the rates for one interval.
"""

import threading
from collections import Counter
from collections.abc import Mapping

import redis

from kernel import valkey

_lock = threading.Lock()
_drained: Counter[int] = Counter()


def _key() -> str:
    return valkey.key("load")


def drained(slots: Mapping[int, int]) -> None:
    """So many deliveries of each slot were made. Cheap: it stays in this process until `flush`."""
    with _lock:
        _drained.update(slots)


def flush() -> None:
    """Add what was counted to the sums; what cannot be told now is told next time."""
    with _lock:
        if not _drained:
            return
        counted = dict(_drained)
        _drained.clear()
    client = valkey.client()
    pipe = client.pipeline(transaction=False)
    for slot, rows in counted.items():
        pipe.hincrby(_key(), str(slot), rows)
    try:
        if client.is_away:
            raise valkey.Away("Valkey is away")
        pipe.execute()
    except redis.RedisError as error:
        if not isinstance(error, valkey.Away):
            client.tripped()
        with _lock:
            _drained.update(counted)


def read() -> dict[int, int] | None:
    """The sums by slot, which only rise until Valkey is wiped; None when it is away."""
    try:
        return {int(slot): int(rows) for slot, rows in valkey.client().hgetall(_key()).items()}
    except redis.RedisError:
        return None
