"""The watch over the parts: a thread that starts what is to run and does not."""

import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from config.supervisor.processes import Child, Wish

LOOK_S = 0.05
TIDY_S = 60.0
# So long a server that somebody else told to stop may take.
LEAVE_S = 6.0


class Watch(threading.Thread):
    """Parts by name. All children are started in this thread, which lives as long as they do (processes.Child.start)."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell` gets a line for people whenever a part has died."""
        super().__init__(name="supervisor", daemon=True)
        self.parts: dict[str, Child] = {}
        self._tell = tell
        self._over = threading.Event()
        # Held while a part is started, so that what is to end is not started behind the back of who ends it.
        self._wishes = threading.Lock()
        self._leaving: dict[str, float] = {}

    def add(self, part: Child) -> None:
        """Have it started, and started again whenever it dies."""
        part.wish = Wish.UP
        self.parts[part.name] = part

    def end(self, parts: Sequence[Child], seconds: float) -> None:
        """Ask all of these at once to end, and after `seconds` no longer ask."""
        with self._wishes:
            for part in parts:
                part.wish = Wish.DOWN
        for part in parts:
            part.signal(part.end)
            # A frozen process does not hear what it is asked.
            part.signal(signal.SIGCONT, tree=True)
        deadline = time.monotonic() + seconds
        while any(part.is_alive for part in parts) and time.monotonic() < deadline:
            time.sleep(0.02)
        for part in parts:
            part.kill()
            part.process = None

    def close(self) -> None:
        """End the watch, after all parts."""
        self._over.set()
        if self.is_alive():
            self.join(2)

    def run(self) -> None:
        """Look about twenty times a second."""
        tidied = time.monotonic()
        while not self._over.wait(LOOK_S):
            is_time_to_tidy = time.monotonic() - tidied > TIDY_S
            tidied = time.monotonic() if is_time_to_tidy else tidied
            for part in list(self.parts.values()):
                try:
                    if is_time_to_tidy:
                        part.rotate()
                except OSError as error:
                    self._say(f"the log of {part.name} could not be rotated: {error.strerror}")
                try:
                    with self._wishes:
                        self._look_after(part)
                except Exception as error:
                    self._say(f"{part.name} could not be started: {error}")
                    part.died()

    def _say(self, line: str) -> None:
        """Tell people, if anybody can hear: a full disk or a closed pipe behind stdout must not end this thread, with which
        the kernel would end every part. A `rich` console makes SystemExit of a closed pipe."""
        with suppress(Exception, SystemExit):
            self._tell(line)

    def _look_after(self, part: Child) -> None:
        if part.wish is not Wish.UP:
            return
        if part.is_alive:
            self._hasten(part)
            return
        if part.process is not None:
            code, part.process = part.process.returncode, None
            pause = part.died()
            self._say(f"{part.name} ended ({_reason(code)}); starts again in {pause:.1f} s. Its log: {part.log}")
        if time.monotonic() >= part.not_before:
            part.start()

    def _hasten(self, part: Child) -> None:
        """Somebody's SIGTERM leaves PostgreSQL neither here nor gone until our own sessions end: let it go, and start it again.

        First it is asked to close them. If that hangs, as it can when it was still recovering from a crash, it is ended at
        once (SIGQUIT): then it recovers when it starts.
        """
        now = time.monotonic()
        since = self._leaving.get(part.name)
        if part.is_leaving is None or not part.is_leaving(part.pid):
            self._leaving.pop(part.name, None)
        elif since is None:
            self._leaving[part.name] = now
            part.signal(part.end)
        elif now - since > LEAVE_S:
            self._leaving[part.name] = now
            part.signal(signal.SIGQUIT)


def _reason(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
