"""Where the embedded servers keep their data, and as whom they run.

Under `var/data`, as we. But PostgreSQL refuses to run as root: then both servers run as a user of their own, and if the
checkout is in a folder that this user cannot enter, their data goes to `/var/lib/letterlock`.
"""

import contextlib
import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.supervisor.processes import Owner

USER = "letterlock"
FOR_ROOT = Path("/var/lib/letterlock")


@dataclass(frozen=True)
class Place:
    """A folder that the servers own."""

    root: Path
    owner: Owner | None

    def folder(self, name: str) -> Path:
        """A folder in it that only its owner can enter."""
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        self.give(path)
        return path

    def give(self, path: Path) -> None:
        """Hand a file or folder to the owner."""
        if self.owner:
            os.chown(path, self.owner.uid, self.owner.gid)

    def write(self, path: Path, content: str) -> None:
        """Write a file that only the owner can read."""
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        self.give(path)

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command as the owner and wait for it."""
        who = {"user": self.owner.uid, "group": self.owner.gid, "extra_groups": []} if self.owner else {}
        return subprocess.run(command, cwd="/", text=True, capture_output=True, check=False, timeout=120, **who)  # type: ignore[call-overload]

    def reachable(self, base: Path, folders: Sequence[str], program: str) -> Path:
        """The program below `base` where the owner can run it: there, or in a copy of `folders` (of `base`) made once.

        `base` is a site-packages folder; its virtual environment may lie where only root can look.
        """
        if self.owner is None or self._runs(base / program):
            return base / program
        state = f"{base} {[(base / folder).stat().st_mtime_ns for folder in folders]}"
        copy = self.root / "programs" / hashlib.sha256(state.encode()).hexdigest()[:12]
        if not copy.exists():
            draft = copy.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            for folder in folders:
                shutil.copytree(base / folder, draft / folder, symlinks=True)
            for path in (draft, *draft.rglob("*")):
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            draft.rename(copy)
        copy.parent.chmod(0o755)
        return copy / program

    def _runs(self, program: Path) -> bool:
        try:
            return self.run([str(program), "--version"]).returncode == 0
        except (OSError, subprocess.SubprocessError):
            return False


def place_for(var: Path, *, data: Path | None = None) -> Place:
    """The place that belongs to the var folder of a checkout; `data` moves it.

    What was once made stays where it is: a folder that was opened or closed since must not look like an empty database.
    """
    inside = var / "data"
    if os.geteuid() != 0:
        root = data or inside
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o700)
        return Place(root, None)
    outside = FOR_ROOT / hashlib.sha256(str(var.resolve()).encode()).hexdigest()[:12]
    root = data or (outside if outside.exists() or not (inside.exists() or _is_open(var)) else inside)
    root.mkdir(parents=True, exist_ok=True)
    # The owner passes through, and sees no names; what lies inside is 0700 and its own.
    root.chmod(0o711)
    if root == outside:
        FOR_ROOT.chmod(0o711)
        (root / "var").write_text(f"{var.resolve()}\n")
    return Place(root, _server_user())


def _is_open(folder: Path) -> bool:
    """Whether every user can pass through this folder."""
    folder = folder.resolve()
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def _server_user() -> Owner:
    """The user `letterlock`, made if the system lets us; else `nobody`."""
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        try:
            entry = _made_user()
        except (OSError, subprocess.SubprocessError, KeyError):
            entry = pwd.getpwnam("nobody")
    return Owner(entry.pw_uid, entry.pw_gid)


def _made_user() -> pwd.struct_passwd:
    """The user, made by us or by who had the lock before us.

    Of several useradd(8) at once each may write the user with another uid, and the last to write wins: what the others had
    given to theirs is nobody's then.
    """
    command = [
        "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(FOR_ROOT),
        "--shell", "/usr/sbin/nologin", USER,
    ]  # fmt: skip
    with _locked(Path("/etc")):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(USER)
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        return pwd.getpwnam(USER)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone among all who lock this folder, in this process and others (flock(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
