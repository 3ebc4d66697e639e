"""A fleet's objects on one host, made what is wanted and kept so.

Clients ask for changes (`apply`, `try_upgrade`), before these are wanted of all: whether they came
to be, the ledger says. An object that is not of the generation that is wanted, nor of the turn that
goes on, is what somebody left who came to no end: it goes back. Nothing is asked of the scheduler
while all is as it is wanted; it tells of changes, and is looked at now and then.
"""

from __future__ import annotations

import asyncio
import pickle
import shutil
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from osmia.errors import OsmiaError
from osmia.fleet.installed import Installed
from osmia.fleet.kept_wishes import all_kept, keep
from osmia.fleet.ledger import LEASE, Told
from osmia.fleet.reading import status_of
from osmia.fleet.wishes import Wish, checked_name

#: How often an agent looks what there is to attach to, and tries again what failed, in seconds.
INTERVAL = 1.0
#: How often it asks for all that is wanted, though it is told of changes, in seconds.
LOOK = 30.0
#: How long the scheduler may take to answer, in seconds.
_PATIENCE = 10.0

_T = TypeVar("_T")


class Keeping:
    """What a fleet has on this host; each object is changed by one at a time."""

    def __init__(self, host: str, pins: Path, ask: Callable[..., Awaitable[Any]]) -> None:
        """`ask(method, **given)` is the ledger's answer."""
        self.installed: dict[str, Installed] = {}
        self.errors: dict[str, str] = {}
        self._host, self._pins, self._ask = host, pins, ask
        self._wishes: dict[str, Wish] = {}  # what is installed, also if it is on trial
        self._wanted: dict[str, Wish] = {}  # what is wanted of all, as far as it was heard
        self._told: dict[str, Told] = {}
        self._news: dict[str, Told] = {}  # what was told while it was asked for
        self._heard: dict[str, float] = {}  # when the ledger was last asked for what is undecided
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._something = asyncio.Event()
        self._next_look = 0.0
        self._ended = False

    async def apply(self, wish: Wish) -> dict[str, list[str]]:
        """Make an object what a client wants; targets by program where it is attached then."""
        async with self._locks[wish.name]:
            self._check(wish)
            found = await _in_thread(self._apply, wish)
            self._heard[wish.name] = time.monotonic()
            return found

    async def try_upgrade(self, wish: Wish, tries: tuple[Any, ...], moves: tuple[Any, ...]) -> None:
        """Put a new object in the old one's place, and look whether it does what it should; the
        error says what it does not, and the old one runs again."""
        async with self._locks[wish.name]:
            self._check(wish)
            installed = self.find(wish.name)
            await _in_thread(_upgrade, installed, wish.at(self._host), tries, moves)
            self._wishes[wish.name] = wish
            self._heard[wish.name] = time.monotonic()

    async def settle(self, name: str, generation: int) -> None:
        """An upgrade of this generation is wanted of all."""
        async with self._locks[name]:
            if self.find(name).wish.generation == generation:
                await _in_thread(self._decided, name)

    async def drop(self, name: str, generation: int) -> None:
        """Give up an object, its pins too; none that is of a later generation."""
        async with self._locks[name]:
            wish = self._wishes.get(name)
            if wish is None or wish.generation <= generation:
                await _in_thread(self._drop, name)

    def hear(self, name: str, told: Told) -> None:
        """The ledger tells of a change."""
        self._told[name] = self._news[name] = told
        self._something.set()

    async def wait(self) -> None:
        """Until something is to be looked at."""
        with suppress(TimeoutError):
            async with asyncio.timeout(INTERVAL):
                await self._something.wait()
        self._something.clear()

    async def look(self, address: str) -> None:
        """Have everything as it is wanted. What goes wrong with an object is kept for `status`:
        the others go on, and the next look tries again."""
        unheard: Exception | None = None
        if time.monotonic() >= self._next_look:
            try:
                await self._look_at_all(address)
                self._next_look = time.monotonic() + LOOK
            except Exception as error:  # what is here is kept up, and goes back, all the same
                unheard = error
        for name in {*self._told, *self.installed}:
            if self._locks[name].locked():  # it is being changed
                continue
            try:
                async with self._locks[name]:
                    await self._keep(name)
            except Exception as error:
                self.errors[name] = f"{type(error).__name__}: {error}"
            else:
                self.errors.pop(name, None)
        if unheard is not None:
            raise unheard

    async def _look_at_all(self, address: str) -> None:
        """Ask what is wanted of all objects; a scheduler that is new is told of what is here."""
        self._news.clear()
        told = await self._answer("told", agent=address)
        for wish in await asyncio.to_thread(lambda: list(all_kept(self._pins))):
            if wish.name not in told and wish.name not in self.installed:
                await self._offer(wish)
                told = await self._answer("told", agent=address)
        self._told = dict(self._news)
        for name, each in told.items():
            self._learn(name, Told(*each))

    def _learn(self, name: str, told: Told) -> None:
        """What was asked for; unless a later one was told meanwhile."""
        news = self._news.pop(name, told)
        self._told[name] = max(told, news, key=lambda each: each.generation)

    async def _offer(self, wish: Wish) -> None:
        given = {"generation": wish.generation, "content": pickle.dumps(wish)}
        await self._answer("offer", name=wish.name, **given)

    async def _answer(self, method: str, **given: Any) -> Any:
        async with asyncio.timeout(_PATIENCE):  # wait_for loses cancellations in Python 3.11
            return await self._ask(method, **given)

    async def close(self, *, keep_pins: bool = True) -> None:
        """Let go of everything, also of what is being loaded; with `keep_pins` what is pinned goes
        on."""
        self._ended = True
        for name, lock in list(self._locks.items()):
            async with lock:
                installed = self.installed.pop(name, None)
                if installed is not None:
                    await _in_thread(installed.close, keep_pins=keep_pins)

    def find(self, name: str) -> Installed:
        try:
            return self.installed[name]
        except KeyError:
            raise OsmiaError(f"object {name!r} is not on this host") from None

    def objects(self) -> set[tuple[str, int]]:
        """What is here: names, and the generations that they were loaded with."""
        return {(name, each.wish.first) for name, each in list(self.installed.items())}

    def status(self) -> dict[str, dict[str, Any]]:
        """By object what it is here, and what keeps it from being what is wanted."""
        found: dict[str, dict[str, Any]] = {name: {} for name in self.errors}
        for name, each in list(self.installed.items()):
            canary = self._wishes[name].canary
            found[name] = status_of(each)
            found[name]["canary"] = canary is not None and self._host in canary.hosts
        for name, status in found.items():
            status["error"] = self.errors.get(name)
        return found

    async def _keep(self, name: str) -> None:
        if not self._is_decided(name):
            await self._decide(name)
        installed = self.installed.get(name)
        if installed is not None:  # also while an upgrade is on trial
            await _in_thread(installed.keep_up)

    def _is_decided(self, name: str) -> bool:
        """Whether it is what is wanted of all."""
        told, installed = self._told.get(name), self.installed.get(name)
        if told is None or not told.wanted:
            return installed is None and (told is None or not (self._pins / name).exists())
        if installed is None or installed.before is not None:
            return False
        wanted = self._wanted.get(name)
        return wanted is not None and wanted.generation == told.generation == self._at(name)

    def _at(self, name: str) -> int:
        """The generation of what is here."""
        return self._wishes[name].generation if name in self._wishes else 0

    async def _decide(self, name: str) -> None:
        """Ask what is wanted, and make it that."""
        told = self._told.get(name)
        if told is None or not told.wanted or told.generation != self._at(name):
            told = await self._ask_for(name)
        if told is None and name in self._wanted:  # the scheduler is new, and knows nothing
            await self._offer(self._wanted[name])
            told = await self._ask_for(name)
        if told is None:  # a load that came to no end
            await _in_thread(self._drop, name)
        elif told.turn and told.turn == self._at(name):  # it is being changed
            pass
        elif not told.wanted:
            await _in_thread(self._drop, name)
        elif told.generation == self._at(name):
            await _in_thread(self._decided, name)
        else:
            await _in_thread(self._apply, self._wanted[name])
            await _in_thread(self._decided, name)

    async def _ask_for(self, name: str) -> Told | None:
        """What the ledger says of an object; where it cannot be asked, what is on trial here goes
        back after a while."""
        wanted = self._wanted.get(name)
        known = [self._at(name), 0 if wanted is None else wanted.generation]
        self._news.pop(name, None)
        try:
            found = await self._answer("look", name=name, known=known)
        except OSError:  # TimeoutError is one
            if time.monotonic() - self._heard.get(name, time.monotonic()) > LEASE:
                await self._go_back(name)
            raise
        self._heard[name] = time.monotonic()
        if found is None:
            self._told.pop(name, None)
            return None
        told, content = Told(*found[0]), found[1]
        if content is not None:
            self._wanted[name] = pickle.loads(content)
        self._learn(name, told)
        return told

    async def _go_back(self, name: str) -> None:
        wanted = self._wanted.get(name)
        if wanted is None:
            await _in_thread(self._drop, name)
        elif wanted.generation != self._at(name):
            await _in_thread(self._apply, wanted)

    def _check(self, wish: Wish) -> None:
        """Whether a client comes too late with a wish."""
        told = self._told.get(wish.name)
        if self._ended:
            raise OsmiaError("this host's agent has ended")
        if told is not None and wish.generation < told.generation:
            raise OsmiaError(f"object {wish.name!r} was changed by another client meanwhile")

    def _apply(self, wish: Wish) -> dict[str, list[str]]:
        here = wish.at(self._host)
        installed = self.installed.get(wish.name)
        if installed is not None and installed.wish.first != wish.first:  # closed, loaded again
            self._drop(wish.name)
            installed = None
        if installed is None:
            taken_over = wish.pins and (self._pins / wish.name).is_dir()
            made = Installed(here, self._pins)
            try:
                found = made.apply(here)
            except BaseException:  # what goes on without an agent goes on
                made.close(keep_pins=taken_over)
                raise
            self._wishes[wish.name] = wish
            self.installed[wish.name] = made
        else:
            found = installed.apply(here)
            self._wishes[wish.name] = wish
        self.errors.pop(wish.name, None)
        return found

    def _decided(self, name: str) -> None:
        """What is here is what is wanted of all."""
        self.installed[name].settle()
        wish = self._wishes[name]
        if wish.pins and self._wanted.get(name) is not wish:
            keep(wish, self._pins / name)
        self._wanted[name] = wish

    def _drop(self, name: str) -> None:
        place = self._pins / checked_name(name)  # as a client says it: it removes a directory
        installed = self.installed.pop(name, None)
        for known in (self._wishes, self._wanted, self._heard, self.errors):
            known.pop(name, None)
        if installed is not None:
            installed.close(keep_pins=False)
        shutil.rmtree(place, ignore_errors=True)  # of an agent that ended before


async def _in_thread(function: Callable[..., _T], *given: Any, **options: Any) -> _T:
    """What a function answers in a thread. Who is cancelled meanwhile waits for its end, as it is
    not over before, and keeps its lock."""
    doing = asyncio.ensure_future(asyncio.to_thread(function, *given, **options))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait({doing})
        raise


def _upgrade(
    installed: Installed, wish: Wish, tries: tuple[Any, ...], moves: tuple[Any, ...]
) -> None:
    installed.upgrade(wish, before_it_moves=lambda loaded: [each(loaded) for each in tries])
    try:
        for each in moves:
            each(installed.loaded)
    except BaseException:
        installed.roll_back()
        raise
