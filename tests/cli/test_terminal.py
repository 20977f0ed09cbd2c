"""The messenger on a real terminal: a pseudo-terminal of 80 by 24, read by an emulator (pyte) that knows nothing of us."""

import asyncio
import fcntl
import os
import pty
import re
import secrets
import signal
import struct
import termios

import pyte
import pytest

from client import Client
from config.supervisor.system import CHECKOUT
from tests.cast import until
from tests.cli.conftest import PASSWORD

ROWS, COLUMNS = 24, 80
PATIENCE_S = 60.0


class Emulator:
    """A terminal with a program in it."""

    def __init__(self, *command: str, environment: dict[str, str]) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environment)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._changed = asyncio.Event()
        self.ended = False
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65_536)
        except OSError:
            data = b""
        if not data:
            self.ended = True
            asyncio.get_running_loop().remove_reader(self._fd)
        self.raw += data
        # An emulator skips what it does not know; this one does not know private modes with a $ in them.
        self._stream.feed(data)
        self._changed.set()

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def types(self, text: str) -> None:
        os.write(self._fd, text.encode())

    async def sees(self, *texts: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while any(text not in self.text for text in texts):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{texts} not on the terminal:\n{self.text}") from None

    async def ends(self) -> int:
        """Wait for the end of the program: its exit status."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.ended:
                self._changed.clear()
                await self._changed.wait()
        _, status = await asyncio.to_thread(os.waitpid, self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if not self.ended:
            asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)


@pytest.fixture
async def emulator(system, tmp_path):
    made = []

    def start(*arguments: str, **environment: str) -> Emulator:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LETTERLOCK", "TEXTUAL", "NO_COLOR"))
        }
        kept |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
        made.append(Emulator(str(CHECKOUT / "letterlock"), *arguments, environment=kept | environment))
        return made[-1]

    yield start
    for emulator in made:
        emulator.close()


async def test_start_one_conversation_and_the_end(system, emulator, tmp_path):
    run = secrets.token_hex(4)
    async with Client(system.url, tmp_path / "bob.db") as client:
        await client.register(f"bob.{run}", PASSWORD, device_name="phone")
        client.connect()
        await client.caught_up()
        terminal = emulator("--url", system.url)
        await terminal.sees("Sign up", "Ctrl+Q quits")
        terminal.types("\x1b[B\r")
        await terminal.sees("The same password again")
        for line in (f"alice.{run}", PASSWORD, PASSWORD):
            terminal.types(f"{line}\r")
        await terminal.sees("Write this down on paper", "To confirm, type the groups")
        groups = dict(re.findall(r"(\d+) (\w{4})\b", terminal.text))
        first, second = re.findall(r"the groups (\d+) and (\d+)", terminal.text)[0]
        terminal.types(f"{groups[first]} {groups[second]}\r")
        await terminal.sees("● live", f"You are alice.{run}")
        assert PASSWORD.encode() not in terminal.raw

        terminal.types(f"/chat bob.{run}\r")
        await terminal.sees("you began the conversation")
        terminal.types("Hello, Bob! äöü\rand at once\r")
        await terminal.sees("Hello, Bob! äöü", "and at once", "✓✓")

        (room,) = await client.rooms()
        before = len(terminal.raw)
        await client.send(room.id, "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b5n and \u202eback".encode())
        await terminal.sees("[2J", "red", "and back")
        sent = bytes(terminal.raw[before:])
        assert (
            b"\x1b]0;owned" not in sent
            and b"\xc2\x9b5n" not in sent
            and b"\x1b[2J" not in sent
            and b"\xe2\x80\xae" not in sent
        )
        assert "owned" not in terminal.screen.title
        assert f"You are alice.{run}" not in terminal.text
        client.read(room.id, client.stored)
        await terminal.sees("✓✓ read")

        terminal.types("\x11")  # Ctrl+Q
        assert await terminal.ends() == 0

    again = emulator("--url", system.url)
    await again.sees("● live", f"bob.{run}")
    again.types("\x0e")  # Ctrl+N
    await again.sees("Hello, Bob! äöü")
    again.types("/quit\r")
    assert await again.ends() == 0


async def test_a_profile_in_use_is_said_before_the_screen_begins(system, emulator, tmp_path):
    first = emulator("--url", system.url)
    await first.sees("Sign up")
    second = emulator("--url", system.url)
    await second.sees("this profile is open in another letterlock")
    assert await second.ends() == 6
    assert b"\x1b[?1049h" not in second.raw  # it never took the screen


async def test_keys_under_a_passphrase_ask_for_it_before_the_screen_begins(system, emulator, tmp_path):
    store = tmp_path / "letterlock" / "default" / "device.db"
    store.parent.mkdir(parents=True)
    async with Client(system.url, store, passphrase="open sesame, please") as client:
        await client.register(f"alice.{secrets.token_hex(4)}", PASSWORD, device_name="phone")
        client.keys.confirm_recovery_key()
    terminal = emulator("--url", system.url)
    await terminal.sees("Passphrase of this device:")
    terminal.types("open barley\n")
    await terminal.sees("that does not open your keys")
    # What is typed before it asks again is not for it.
    await until(lambda: terminal.text.count("Passphrase of this device:") == 2)
    terminal.types("open sesame, please\n")
    await terminal.sees("● live")
    assert b"sesame" not in terminal.raw


async def test_a_terminal_that_hangs_up_ends_it(system, emulator):
    terminal = emulator("--url", system.url)
    await terminal.sees("Sign up")
    os.kill(terminal.pid, signal.SIGTERM)
    assert await terminal.ends() in {-signal.SIGTERM, 0, 143}
