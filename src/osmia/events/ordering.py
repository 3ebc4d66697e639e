"""A memory barrier for Python: what reading memory shared with the kernel needs on arm64.

A consumer of a ring must read the producer's position before the records, and must have
read the records before it gives their room back. Python has no acquire loads and no
release stores. Each access here is one load or store of an aligned word (a `memoryview`
cast to "Q" or "I"; CPython copies such an item whole), in program order: every access is
a call into the interpreter of its own, so no compiler reorders two of them. What is left
is the processor.

x86-64 (and s390x) keep loads in order with loads and with later stores, so there is
nothing to do.

arm64 does not. There, releasing one lock and then taking it is a full barrier:
unlocking is a store-release, locking a load-acquire, and Arm's memory model puts

    all accesses before | store-release | load-acquire | all accesses after

in this order, because a store-release is ordered before a later load-acquire (Arm ARM
B2.3, "barrier-ordered-before": the acquire is RCsc, which LDAR, LDAXR, and CAS with A are;
the weaker LDAPR is not what compilers emit for locks). That holds for every way CPython
builds a lock: on POSIX semaphores (`sem_post`, `sem_trywait`), on a mutex, or on its own
PyMutex since 3.14; and for the fences that other machines use in these places. Locking
twice gives "unlock, lock" in the middle. It costs 0.4 µs, three times a batch.

A reader that goes to sleep needs one order more: its new position must be visible before
it finds the ring empty, or the producer may think it is still busy and not wake it. There
poll(2) looks last, inside the kernel, after taking the lock of the ring's wait queue.

membarrier(2) looks like the tool and is not: it orders the threads of one process and
returns at once, without a barrier, when the process has a single thread.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from collections.abc import Callable

#: Machines (`uname -m`) with total store order.
_ORDERED = frozenset({"x86_64", "amd64", "i386", "i686", "s390x"})


def locked_barrier() -> None:
    """Order all memory accesses before the call with all after it, on any machine."""
    lock = allocate_lock()  # its own: a handler in the middle of a barrier makes another one
    with lock:
        pass
    with lock:
        pass


def _nothing() -> None:
    """No barrier: this machine keeps the order that readers of rings need."""


def barrier_for(machine: str) -> Callable[[], None]:
    """The barrier that a machine, by its `uname -m` name, needs."""
    return _nothing if machine.lower() in _ORDERED else locked_barrier


#: Between a position or header and the data it stands for, and before giving room back.
barrier: Callable[[], None] = barrier_for(os.uname().machine)
