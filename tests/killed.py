"""Processes that are killed between two system calls, whichever they are."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from itertools import count

_TRACEME, _SYSCALL = 0, 24
_libc = ctypes.CDLL(None, use_errno=True)


def killed_everywhere(work: Callable[[], object]) -> Iterator[int]:
    """Do `work` in a process of its own that is killed before its first system call, in another
    that is killed before the second one, …; gives each number when that process is dead.

    The last one is that of a process which came to its end.
    """
    for number in count():
        ended = not _killed(work, number)
        yield number
        if ended:
            return


def _killed(work: Callable[[], object], number: int) -> bool:
    """Whether it was killed; else it came to its end, without an error."""
    child = os.fork()
    if not child:
        status = 1
        try:
            _ptrace(_TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    for _ in range(2 * number + 1):  # each call stops at its beginning and at its end
        assert os.WIFSTOPPED(status), status
        _ptrace(_SYSCALL, child)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return False
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    return True


def _ptrace(request: int, process: int) -> None:
    if _libc.ptrace(request, process, None, None):
        raise OSError(ctypes.get_errno(), "ptrace")
