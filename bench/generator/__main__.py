"""`python -m bench.generator`: one workload, as the parent's JSON on standard input says; events on standard output."""

import gc
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import uvloop

from bench.generator import crowd, pairs, tutorial
from bench.generator.run import Run, tell

WORKLOADS: dict[str, Callable[[Run], Awaitable[dict[str, object]]]] = {
    "saturated": pairs.saturated,
    "latency": pairs.latency,
    "burst": pairs.burst,
    "room": crowd.room,
    "idle": crowd.idle,
    "catch_up": crowd.catch_up,
    "tutorial_saturated": tutorial.saturated,
    "tutorial_latency": tutorial.latency,
}


async def main() -> None:
    order = orjson.loads(sys.stdin.buffer.read())
    run = Run(urls=order["urls"], cast_file=Path(order["cast"]), params=order["params"])
    # The generator makes little garbage with cycles; a full collection in the middle would show as the server's latency.
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    tell("result", result=await WORKLOADS[order["workload"]](run))


uvloop.run(main())
