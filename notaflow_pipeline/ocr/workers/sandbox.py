"""Sandbox of a worker process: it cannot inspect other processes of its user.

On Linux a process may read the memory and environment of any other process of its user (`/proc/PID/environ`). A worker opens
untrusted files, and its parent holds the database's password.
"""

import ctypes
import os
import sys
from contextlib import suppress

PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38  # linux/prctl.h

LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446  # the same on every architecture
MAKE_BLOCK_DEVICES = 1 << 11
"""The one right that a sealed process gives up in its files, which it has not anyway: a rule set must name one."""


def forbid_tracing() -> None:
    """Let no other process of this user read this one's memory, environment and open files. Root still may.

    Programs that it starts are open again. It costs what needs the same: `py-spy` and debuggers as this user.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            _call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)


def enter_sandbox() -> bool:
    """Keep this process and all that it starts from looking into any process outside of them, for good.

    Landlock (Linux 5.13) does that beside what it is known for; where it is off, False is returned and `forbid_tracing` in
    the parent has to do. A sealed process cannot move a file from one folder to another without copying it.
    """
    if sys.platform != "linux":
        return False
    handled = ctypes.c_uint64(MAKE_BLOCK_DEVICES)
    with suppress(OSError):
        _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        rules = _call("syscall", LANDLOCK_CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), 0)
        try:
            _call("syscall", LANDLOCK_RESTRICT_SELF, rules, 0)
        finally:
            os.close(rules)
        return True
    return False


def _call(function: str, *arguments: object) -> int:
    """Call the C library; raise `OSError` where it returns -1."""
    library = ctypes.CDLL(None, use_errno=True)
    called = getattr(library, function)
    called.restype = ctypes.c_long
    result = int(called(*[ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]))
    if result == -1:
        raise OSError(ctypes.get_errno(), function)
    return result
