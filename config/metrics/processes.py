"""How the processes of this machine are that count: CPU, memory, files, version."""

import contextlib
from collections.abc import Iterable, Iterator

import psutil
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from config.metrics.sharing import Member
from kernel import metrics


def figures(members: Iterable[Member]) -> Iterator[Metric]:
    """One sample of each for every process."""
    info, memory, started, files = (
        GaugeMetricFamily(figure.name, figure.help, labels=figure.labels)
        for figure in (metrics.PROCESS, metrics.PROCESS_MEMORY, metrics.PROCESS_START, metrics.PROCESS_FILES)
    )
    cpu = CounterMetricFamily(metrics.PROCESS_CPU.name, metrics.PROCESS_CPU.help, labels=metrics.PROCESS_CPU.labels)
    for member in members:
        labels = (member.process, str(member.pid))
        info.add_metric((*labels, member.version, member.python), 1)
        # It may have ended since, or live where we cannot look (another container).
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(member.pid)
            with process.oneshot():
                times = process.cpu_times()
                cpu.add_metric(labels, times.user + times.system)
                memory.add_metric(labels, process.memory_info().rss)
                started.add_metric(labels, process.create_time())
                files.add_metric(labels, process.num_fds())
    yield from (info, cpu, memory, started, files)
