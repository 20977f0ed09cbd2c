"""Building the web client: `npm ci` by the lock file, then Vite; each only when what it is made from has changed.

The result is `web/dist` (web/vite.pages.ts says how it is laid out). It is built beside the old one and put in its place at
once, also under running servers, and two builds at the same time wait for each other. Files with a hash in their names stay for
a while after the build that they are of: tabs that are open ask for them, and so does who got its page from another host.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

WEB: Final = Path(__file__).resolve().parent.parent.parent / "web"
DIST: Final = WEB / "dist"

# What Vite asks for.
NODE: Final = ((20, 19), (22, 12))
INSTALLED_FROM: Final = ("package.json", "package-lock.json")
BUILT_FROM: Final = (*INSTALLED_FROM, "index.html", "tsconfig.json", "vite.config.ts", "vite.pages.ts", "src", "public")
STAMP: Final = "stamp"
HASHED: Final = ("static/assets", "static/workers")
# Which of them are the build's own.
OWN: Final = "own.txt"
KEPT_S: Final = 14 * 86_400


class CannotBuild(Exception):
    """There is no client, and why: a sentence for people."""


def build() -> bool:
    """Bring `web/dist` up to date; answers whether anything had to be done. Raises `CannotBuild`."""
    wanted = _hash(BUILT_FROM)
    if _read(DIST / STAMP) == wanted:
        return False
    with alone():
        if _read(DIST / STAMP) == wanted:
            return False
        install()
        fresh = DIST.with_name("dist.new")
        shutil.rmtree(fresh, ignore_errors=True)
        npm("run", "build", "--", "--outDir", "dist.new/static", "--emptyOutDir", "--logLevel", "warn")
        (fresh / STAMP).write_text(wanted)
        put(fresh, DIST)
    return True


def put(fresh: Path, place: Path) -> None:
    """Put a build in the place of the one before, with the files that are still asked for."""
    (fresh / OWN).write_text("".join(f"{name}\n" for name in sorted(_hashed(fresh))))
    old = place.with_name(f"{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        _keep_former(place, fresh)
        place.rename(old)
    fresh.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _keep_former(place: Path, fresh: Path) -> None:
    """A file's own date becomes the one since when it is of no build any more."""
    now = time.time()
    own = set(_read(place / OWN).split())
    for name in _hashed(place) - _hashed(fresh):
        if name in own or now - (place / name).stat().st_mtime < KEPT_S:
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(place / name, fresh / name)
            if name in own:
                os.utime(fresh / name, (now, now))


def _hashed(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix() for name in HASHED for path in (folder / name).rglob("*") if path.is_file()
    }


def install() -> None:
    """Install what the lock file names, unless that is there. Raises `CannotBuild`."""
    node()
    stamp, wanted = WEB / "node_modules" / f".{STAMP}", _hash(INSTALLED_FROM)
    if _read(stamp) != wanted:
        npm("ci", "--no-audit", "--no-fund", "--loglevel", "error")
        stamp.write_text(wanted)


def node() -> str:
    """The version of Node. Raises `CannotBuild` where there is none, or one that Vite does not run on."""
    oldest = ".".join(str(part) for part in NODE[0])
    program = shutil.which("node")
    if program is None or shutil.which("npm") is None:
        raise CannotBuild(f"Node {oldest} or newer is needed for it, with npm, and there is none")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    version = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    if version < NODE[0] or (version[0] > NODE[0][0] and version < NODE[1]):
        raise CannotBuild(f"Node {oldest} or newer is needed for it (of 22, {NODE[1][0]}.{NODE[1][1]}), this is {said}")
    return said


def npm(*arguments: str, shown: bool = False) -> None:
    """Run npm in `web/`; its words go to the terminal, or into the refusal. Raises `CannotBuild` when it fails."""
    command: Sequence[str] = ["npm", *arguments]
    environment = {**os.environ, "VITE_CONFIG_NATIVE_IGNORE_WARNING": "true", "NO_UPDATE_NOTIFIER": "1"}
    done = subprocess.run(command, cwd=WEB, env=environment, capture_output=not shown, text=True, check=False)
    if done.returncode:
        words = "" if shown else f":\n{(done.stdout + done.stderr).strip()[-2000:]}"
        raise CannotBuild(f"`npm {' '.join(arguments[:2])}` failed{words}")


@contextmanager
def alone() -> Iterator[None]:
    """While this lasts, nobody else installs or builds."""
    with (WEB / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _hash(names: Sequence[str]) -> str:
    """Of the files and folders of these names, their names and content."""
    made = hashlib.sha256()
    for name in names:
        root = WEB / name
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                made.update(f"{path.relative_to(WEB)}\0{path.stat().st_size}\0".encode())
                made.update(path.read_bytes())
    return made.hexdigest()


def _read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""
