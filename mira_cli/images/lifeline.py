"""`python lifeline.py COMMAND…`: run a command that ends, with all that it has started, when its owner is gone.

Its standard input is a pipe that nobody writes to: it closes when the owner closes it or dies, even by `kill -9`. What
the command has started stays below this process, whatever session it has made for itself, so that it is found when the
command is over. The exit code is the command's; 128 + n where the signal n has ended it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
PATIENCE_S = 5.0  # for what is killed and still there, as a process that waits for a disk


def main() -> int:
    """Run the command and return its exit code."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_owner, args=(process,), daemon=True).start()
    code = process.wait()
    end_children()
    return code if code >= 0 else 128 - code


def _end_with_owner(process: subprocess.Popen[bytes]) -> None:
    os.read(0, 1)  # not `sys.stdin`, whose lock Python wants when it ends
    process.kill()


def end_children() -> None:
    """Kill the children of this process until there are none: those of a dead child become its own."""
    last = time.monotonic() + PATIENCE_S
    while (left := _children()) and time.monotonic() < last:
        for child in left:
            with suppress(OSError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _children() -> list[int]:
    """Processes whose parent is this one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after_name = stat.read_bytes().rpartition(b")")[2].split()
            if int(after_name[1]) == os.getpid():
                found.append(int(stat.parent.name))
    return found


if __name__ == "__main__":
    sys.exit(main())
