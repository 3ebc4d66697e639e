"""Locks that hang nobody: their own thread may take them again, and a child made by fork has them
free.

A signal's handler, a callback or a finalizer may come while its own thread has a lock, and want
it too: so all locks are re-entrant.

fork copies only the thread that calls it. What the others hold then would be taken for ever in
the child, and what it guards half changed. So `os.fork` first takes all locks that are there,
outer ones before those that are taken under them, and both processes give them back. It waits
`PATIENCE` for one; what it does not get by then is made free in the child. So are the locks of
modules that other threads were importing: many are imported when they are first needed.
"""

from __future__ import annotations

import os
import sys
from _thread import RLock, get_ident
from _weakref import ref  # all of `weakref` is dear
from collections.abc import Iterator
from itertools import compress, repeat

from osmia.enums import IntEnum
from osmia.protocols import Protocol

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

PATIENCE = 5.0
"""Seconds that a fork waits for one lock. Holders call nothing that waits for other threads,
but compiling a large program takes a while."""


class Order(IntEnum):
    """Which locks are taken first: nobody who has one takes one of an earlier kind."""

    ENGINE = 0  # of a vm's programs and maps; held while they are compiled
    COMPILER = 1
    CPUS = 2
    MAP = 3
    NATIVES = 4
    INNERMOST = 5


class Forks(Protocol):
    """What has to do something around a fork, beside its locks, all of which are taken then."""

    def before_fork(self) -> None:
        """In the thread that forks."""

    def after_fork(self, child: bool) -> None:
        """In the same thread, in the parent and in the child."""


_locks: tuple[set[ref[Any]], ...] = tuple(set() for _ in Order)
_owners: set[ref[Forks]] = set()
_searched: set[str] = set()  # modules
_computing: list[Any] = []
_taken: list[list[Any]] = []  # a list for each fork going on: a handler may come into one


def make_lock(order: Order = Order.INNERMOST) -> RLock:
    """A re-entrant lock, free in a child made by fork unless the thread that forks has it."""
    lock = RLock()
    watch_lock(lock, order)
    return lock


def watch_lock(lock: object, order: Order = Order.INNERMOST) -> None:
    """Do the same for a lock of somebody else's: an RLock; anything else is left alone."""
    if isinstance(lock, RLock):
        _locks[order].add(ref(lock, _locks[order].discard))


def at_fork(owner: Forks) -> None:
    """Tell an object of forks for as long as it lives."""
    _owners.add(ref(owner, _owners.discard))


def held_here(lock: Any) -> bool:
    """Whether this thread has a lock."""
    held: bool = lock._is_owned()
    return held


def _living(known: set[ref[Any]]) -> list[Any]:
    return [each for one in tuple(known) if (each := one()) is not None]


def _all_locks() -> Iterator[Any]:
    for known in _locks:
        yield from _living(known)


def _find_cached_properties() -> None:
    """Look in new modules for the locks that `functools.cached_property` has before Python 3.12,
    one for all instances. Fork waits for none of them: a child computes such a value anew."""
    if sys.version_info < (3, 12):
        for name, module in list(sys.modules.items()):
            if name.startswith("osmia.") and module is not None and name not in _searched:
                if not getattr(getattr(module, "__spec__", None), "_initializing", False):
                    _searched.add(name)
                kinds = [kind for kind in list(vars(module).values()) if isinstance(kind, type)]
                for kind in kinds:
                    found = [getattr(each, "lock", None) for each in list(vars(kind).values())]
                    _computing.extend(lock for lock in found if isinstance(lock, RLock))


def _forget_imports() -> None:
    """In a child: what other threads were importing is imported anew, by whoever wants it. Python
    keeps a module's lock taken otherwise, and half a module where the whole one is looked for."""
    importing: Any = sys.modules["_frozen_importlib"]
    mine = get_ident()
    for name, known in list(importing._module_locks.items()):
        lock = known()
        if lock is not None and lock.owner not in (None, mine):
            importing._module_locks.pop(name, None)
            spec = getattr(sys.modules.get(name), "__spec__", None)
            if getattr(spec, "_initializing", False):
                sys.modules.pop(name, None)


def _before() -> None:
    taken: list[Any] = []
    _taken.append(taken)
    _find_cached_properties()
    locks = [_forking, *_all_locks()]
    # Without a step of Python in between: a signal's exception forgets no lock that was taken.
    taken.extend(compress(locks, map(RLock.acquire, locks, repeat(True), repeat(PATIENCE))))
    for owner in _living(_owners):
        owner.before_fork()


def _after(child: bool) -> None:
    taken = _taken.pop()
    if child:
        _forget_imports()
        for lock in (_forking, *_all_locks(), *_computing):
            if not held_here(lock):
                lock._at_fork_reinit()
    try:
        for owner in _living(_owners):
            owner.after_fork(child)
    finally:
        for lock in reversed(taken):
            lock.release()


_forking = RLock()
os.register_at_fork(
    before=_before,
    after_in_parent=lambda: _after(False),
    after_in_child=lambda: _after(True),
)
