"""Pins that come and go together: all or none, also when the process is killed meanwhile.

They are made in a directory of their own first, the journal, in the nearest directory that is
there already. Where all belong below one that is not, the journal becomes that directory by one
rename, and nobody ever sees a part of them. Else they get a second name in their place, one by
one, and the journal says by its own name (of which a bpffs takes none with dots) what to do when
somebody was killed in between:

    osmia_staged_…   not all are in it: nothing happened yet, it is removed
    osmia_moving_…   all are in it: those that have no second name yet get one
    osmia_undone_…   what has a second name loses it: that of an unpinning, or of a failure

Who pins or unpins holds a lock (flock) on the directory with the journal, which ends with the
process, and first does what the journals say that are left there and in the directories above.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from osmia.errors import KernelError
from osmia.kernel.sys import pins, syscall
from osmia.paths import Path

if TYPE_CHECKING:
    #: What to pin: a descriptor, the path, what it is.
    Pin = tuple[int, Path, str]

_STAGED, _MOVING, _UNDONE = "osmia_staged_", "osmia_moving_", "osmia_undone_"
#: How long others may hold the lock, in seconds, and how often to look.
_PATIENCE, _PAUSE = 10.0, 0.005


def pin_all(things: Iterable[Pin], check: Callable[[], object] | None = None) -> None:
    """Pin each, all or none. Missing directories are made, mode 0700.

    When the process is killed meanwhile, what is in a directory that was not there before is
    all there or none; in one that was there, a part may be until somebody pins or unpins there
    again, which first finishes it. `check` is called once nobody else pins there; what it raises
    stops everything. KernelError as of `pins.pin`, and EBUSY where somebody else holds the
    directory's lock for 10 seconds.
    """
    wanted = [(fd, Path(path).absolute(), what) for fd, path, what in things]
    with ExitStack() as undo:
        for group in _groups(wanted):
            _pin_group(group, check)
            undo.callback(unpin_all, [path for _, path, _ in group])
        undo.pop_all()


def unpin_all(paths: Iterable[Path]) -> None:
    """Remove pins; what is gone already is passed over, and so are directories in use.

    When the process is killed meanwhile, who pins or unpins there next goes on. KernelError
    for what is in no bpffs, before anything is removed.
    """
    wanted = [Path(path).absolute() for path in paths]
    for path in wanted:
        if path.exists() and not pins.is_on_bpffs(path):
            raise KernelError(errno.EPERM, f"remove pin '{path}'", hint="it is not in a bpffs")
    for group in _groups([(-1, path, "") for path in wanted]):
        _unpin_group([path for _, path, _ in group])


def remove_directory(directory: Path) -> None:
    """Remove a directory with all pins in it: for whoever looks there all are gone at once, also
    when the process is killed meanwhile. Nothing happens where there is none.

    KernelError as of `unpin_all`.
    """
    directory = directory.absolute()
    if not directory.is_dir():
        return
    if not pins.is_on_bpffs(directory):
        what = f"remove the pins in '{directory}'"
        raise KernelError(errno.EPERM, what, hint="it is not in a bpffs")
    with _locked([directory.parent]) as place:
        journal = _journal(place)
        try:
            directory.rename(journal)
        except FileNotFoundError:  # somebody else did
            return
        except OSError as error:
            raise KernelError(error.errno or 0, f"remove the pins in '{directory}'") from None
        _remove(journal)


def is_journal(name: str) -> bool:
    """Whether a directory of that name is taken for a journal, here or by others."""
    return name.startswith((_STAGED, _MOVING, _UNDONE))


def _groups(wanted: Sequence[Pin]) -> list[list[Pin]]:
    """All in one group where one journal does; else those of each directory."""
    if not wanted:
        return []
    parents = [path.parent for _, path, _ in wanted]
    place = _place(parents)
    if pins.is_on_bpffs(place) and all(
        pins.existing(each).stat().st_dev == place.stat().st_dev for each in parents
    ):
        return [list(wanted)]
    return [
        [each for each in wanted if each[1].parent == parent] for parent in dict.fromkeys(parents)
    ]


def _place(directories: Sequence[Path]) -> Path:
    """The nearest directory above all of them that is there."""
    return pins.existing(Path(os.path.commonpath(directories)))


def _pin_group(group: Sequence[Pin], check: Callable[[], object] | None) -> None:
    if not pins.is_on_bpffs(_place([path.parent for _, path, _ in group])):
        fd, path, what = group[0]
        pins.pin(fd, path, what=what)  # says why not
    with _locked([path.parent for _, path, _ in group]) as place:
        if check is not None:
            check()
        for _, path, what in group:
            if os.path.lexists(path):
                raise KernelError(errno.EEXIST, _saying(what, path))
        base = _base(place, [path for _, path, _ in group])
        journal = _journal(place)
        try:
            _stage(journal, base, group)
            if base == place:
                journal = _renamed(journal, _MOVING)
                _finish(journal)
            else:
                journal.rename(base)
        except BaseException as error:
            _roll_back(journal)
            if isinstance(error, OSError) and not isinstance(error, KernelError):
                raise KernelError(error.errno or 0, f"pin below '{base}'") from None
            raise


def _base(place: Path, paths: Sequence[Path]) -> Path:
    """The directory that is not there yet and shall have all of them; `place` where none is."""
    tops = {path.relative_to(place).parts[0] for path in paths}
    base = place / tops.pop()
    return place if tops or base in paths or os.path.lexists(base) else base


def _stage(journal: Path, base: Path, group: Sequence[Pin]) -> None:
    journal.mkdir(mode=0o700)
    for fd, path, what in group:
        staged = journal / path.relative_to(base)
        _make(staged.parent)
        try:
            syscall.obj_pin(fd, os.fspath(staged), what=_saying(what, path))
        except KernelError as error:
            if error.errno == errno.EPERM and "." in path.name:
                error.hint = pins.NO_DOTS
            raise


def _saying(what: str, path: Path) -> str:
    return f"pin {what} to '{path}'"


def _unpin_group(paths: Sequence[Path]) -> None:
    parents = list(dict.fromkeys(path.parent for path in paths))
    if not pins.is_on_bpffs(_place(parents)):
        return  # then nothing is there
    with _locked(parents) as place:
        there = [path for path in paths if os.path.lexists(path)]
        if there:
            _withdraw(place, there)
    for directory in parents:
        pins.remove_empty(directory)


def _withdraw(place: Path, there: Sequence[Path]) -> None:
    journal = _journal(place)
    try:
        journal.mkdir(mode=0o700)
        for path in there:
            staged = journal / path.relative_to(place)
            _make(staged.parent)
            staged.hardlink_to(path)
        _retract(_renamed(journal, _UNDONE))
    except OSError:  # somebody else's pins, which get no second name: one by one
        _remove(journal)
        for path in filter(os.path.lexists, there):
            pins.unpin(path)


def _make(directory: Path) -> None:
    for _made in pins.make_directories(directory):
        pass


def _journal(place: Path) -> Path:
    return place / f"{_STAGED}{os.urandom(6).hex()}"


def _renamed(journal: Path, prefix: str) -> Path:
    """The journal under the name that says what is to do with it."""
    return journal.rename(journal.with_name(prefix + journal.name.rpartition("_")[2]))


def _finish(journal: Path) -> None:
    """Give what is in the journal its name in the directory around it. KernelError EEXIST when
    something else has that."""
    for staged, path in _pairs(journal):
        _make(path.parent)
        try:
            path.hardlink_to(staged)
        except FileExistsError:
            if not path.samefile(staged):
                raise KernelError(errno.EEXIST, f"pin to '{path}'") from None
    _remove(journal)


def _roll_back(journal: Path) -> None:
    """Undo what a journal stands for."""
    if journal.name.startswith(_MOVING):
        journal = _renamed(journal, _UNDONE)
    _retract(journal) if journal.name.startswith(_UNDONE) else _remove(journal)


def _retract(journal: Path) -> None:
    """Remove what has a name in the directory around the journal, too, and the journal."""
    for staged, path in _pairs(journal):
        with suppress(FileNotFoundError):
            if path.samefile(staged):
                path.unlink()
        if path.parent != journal.parent:
            pins.remove_empty(path.parent)
    _remove(journal)


def _pairs(journal: Path) -> Iterator[tuple[Path, Path]]:
    """The pins in a journal, and where they belong."""
    for directory, _, names in os.walk(journal):
        for name in names:
            staged = Path(directory, name)
            yield staged, journal.parent / staged.relative_to(journal)


def _remove(journal: Path) -> None:
    for directory, _, names in os.walk(journal, topdown=False):
        for name in names:
            Path(directory, name).unlink(missing_ok=True)
        pins.remove_empty(Path(directory))


@contextmanager
def _locked(directories: Sequence[Path]) -> Iterator[Path]:
    """Hold the lock of the nearest directory that is there, when all journals are done with."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        place = _place(directories)
        with _lock(place) as held:
            # Who waited may hold the lock of a directory that was removed meanwhile.
            if held:
                _recover(place)
                yield place
                return
        if time.monotonic() > deadline:
            raise KernelError(errno.EBUSY, f"pin or unpin in '{place}'", hint="somebody else does")
        time.sleep(_PAUSE)


@contextmanager
def _lock(place: Path) -> Iterator[bool]:
    """Whether this process has the lock of a directory, for as long as the block runs."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    except OSError as error:
        raise KernelError(error.errno or 0, f"open the pin directory '{place}'") from None
    try:
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), place.stat()):
                yield True
                return
        yield False
    finally:
        os.close(descriptor)


def _recover(place: Path) -> None:
    """Do what journals say that killed processes left in `place` or above it in the bpffs."""
    for journal in _journals(place):
        _settle(journal)
    device = place.stat().st_dev
    for directory in place.parents:
        with suppress(OSError):
            if directory.stat().st_dev != device:
                return
            if list(_journals(directory)):
                with _lock(directory) as held:
                    for journal in _journals(directory) if held else ():
                        _settle(journal)


def _journals(directory: Path) -> list[Path]:
    """Those of this user: nobody else says what to remove here."""
    return [
        Path(entry.path)
        for entry in os.scandir(directory)
        if is_journal(entry.name) and entry.stat().st_uid == os.geteuid()
    ]


def _settle(journal: Path) -> None:
    if not journal.name.startswith(_MOVING):
        _roll_back(journal)
        return
    try:
        _finish(journal)
    except KernelError:  # somebody took a name meanwhile
        _roll_back(journal)
