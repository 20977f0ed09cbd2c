"""Runs first in every child: `launch.py <death signal> <parent> <uid or -> <gid or -> program argument…`.

Becomes the given user, asks the kernel to be signalled when the parent dies (so that nothing is left if the supervisor
itself is killed), and then becomes the program. A program of its own, not a `preexec_fn`: between fork and exec a process
with threads may not run Python safely. Imports the standard library alone; run with `python -I -S`.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(signal: str, parent: str, uid: str, gid: str, *command: str) -> None:
    """Never returns."""
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    # After setuid, which clears it (prctl(2)). Only Linux has it; elsewhere a killed supervisor leaves its children.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
        if os.getppid() != int(parent):  # it died before the call: the signal will not come
            os._exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
