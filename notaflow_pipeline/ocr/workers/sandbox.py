"""Sandbox of a worker process: it cannot inspect other processes of its user.

On Linux a process may read the memory and environment of any other process of its user (`/proc/PID/environ`). A worker
opens untrusted files, and its parent holds the password of the database.
"""

import ctypes
import os
import sys
from contextlib import suppress

PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38  # linux/prctl.h

LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446  # the same on every architecture
MAKE_BLOCK_DEVICES = 1 << 11
"""The only right that the sandbox removes. The process does not have it anyway, but a ruleset must name at least one
right."""


def forbid_tracing() -> None:
    """Prevents other processes of this user from reading the memory, environment and files of this one.

    Root still can. Programs that this process starts are not protected. `py-spy` and debuggers that run as this user no
    longer work.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            _call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)


def enter_sandbox() -> bool:
    """Prevents this process and its children from inspecting any other process, permanently.

    Landlock (Linux 5.13) restricts tracing in addition to file access. Returns False if Landlock is off; then only
    `forbid_tracing` in the parent protects it. A process in the sandbox cannot move a file from one folder to another
    without copying it.
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
    """Calls a function of the C library; raises `OSError` if it returns -1."""
    library = ctypes.CDLL(None, use_errno=True)
    called = getattr(library, function)
    called.restype = ctypes.c_long
    result = int(called(*[ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]))
    if result == -1:
        raise OSError(ctypes.get_errno(), function)
    return result
