"""Run one workload: start the generator, follow its events, and read the counters where it says so."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import meter
from bench.machine import ROOT
from bench.systems import System
from bench.targets import Workload

Progress = Callable[[str, float, float, int | None], None]
GENERATOR = "generator"


class Failed(Exception):
    """The generator ended without a result."""


def run(
    workload: Workload,
    system: System,
    *,
    cast: Path,
    params: Mapping[str, Any],
    progress: Progress,
    on_window: Callable[[bool], None],
) -> dict[str, Any]:
    """One run of a workload. `on_window(True)` is called when the measured window begins, `on_window(False)` at its end.

    The result is the generator's, with server CPU in µs per message by group (`cpu_us`) and in all (`server_us`), the
    generator's own, and the machine's idle and stolen share.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.generator"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin and process.stdout and process.stderr
    complaints: list[bytes] = []
    listener = threading.Thread(target=lambda: complaints.extend(process.stderr or ()), daemon=True)
    listener.start()
    order = {"workload": workload.driver, "urls": system.urls, "cast": str(cast), "params": dict(params)}
    process.stdin.write(json.dumps(order).encode())
    process.stdin.close()

    def sample() -> meter.Sample:
        return meter.sample(system.groups() | {GENERATOR: [process.pid]})

    samples: dict[str, meter.Sample] = {}
    weights: dict[str, dict[str, int]] = {}
    result: dict[str, Any] | None = None
    try:
        for line in process.stdout:
            event = json.loads(line)
            match event["event"]:
                case "progress":
                    progress(event["what"], event["done"], event["of"], event.get("count"))
                case "begin":
                    samples["begin"] = sample()
                    on_window(True)
                case "end":
                    samples["end"] = sample()
                    on_window(False)
                case "weigh":
                    weights[event["name"]] = meter.memory(system.groups().get("web", []))
                case "result":
                    result = event["result"]
    finally:
        if process.poll() is None and result is None:
            process.kill()
        process.wait()
        listener.join(5)
    if result is None:
        raise Failed(b"".join(complaints[-30:]).decode(errors="replace"))
    if {"begin", "end"} <= samples.keys():
        _account(result, meter.between(samples["begin"], samples["end"]))
    if {"before", "after"} <= weights.keys():
        for kind in ("rss", "pss"):
            result[f"{kind}_kib"] = (weights["after"][kind] - weights["before"][kind]) / 1024 / result["sockets"]
        result["web_before"], result["web_after"] = weights["before"], weights["after"]
    return result


def _account(result: dict[str, Any], spent: meter.Spent) -> None:
    """Add what the window cost."""
    server = {name: seconds for name, seconds in spent.groups.items() if name != GENERATOR}
    cores = 1 / (spent.seconds or 1.0)
    messages = result["messages"]
    result["window_s"] = spent.seconds
    result["cores"] = {name: seconds * cores for name, seconds in spent.groups.items()}
    result["idle_cpu"] = sum(server.values()) * cores * 100
    result["host_idle"] = spent.idle
    result["stolen"] = spent.stolen
    if messages:
        result["cpu_us"] = {name: seconds / messages * 1e6 for name, seconds in server.items()}
        result["server_us"] = sum(server.values()) / messages * 1e6
        result["generator_us"] = spent.groups[GENERATOR] / messages * 1e6
    # Somebody else on this machine spoils the figures; the report says so.
    result["others"] = max(0.0, spent.busy * meter.CORES - sum(spent.groups.values()) * cores)
