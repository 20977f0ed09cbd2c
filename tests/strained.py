"""A live system that gets nothing but bad input, apart from the one that other tests share: its logs must stay clean."""

from functools import cache
from pathlib import Path

from config.supervisor.system import System
from tests.services import services


@cache
def strained_system() -> System:
    """One for the whole run: a web process and a worker, on servers of their own."""
    return services().system("strained", web=1, workers=1, beat=False)


def complaints(system: System) -> list[str]:
    """What the processes of the system had to complain about: errors and tracebacks in their logs."""
    found = []
    for name, part in system.parts.items():
        if name.startswith(("web", "worker")):
            lines = Path(part.log).read_text(errors="replace").splitlines()
            found += [
                f"{name}: {line}" for line in lines if " ERROR " in line or "CRITICAL" in line or "Traceback" in line
            ]
    return found
