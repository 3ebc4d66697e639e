"""What is wanted of a fleet's hosts, as the scheduler keeps it: a plugin of Dask's scheduler.

An object is changed by one client at a time, in its turn. A turn has a number, higher than all
before it of that object, which is the generation of what the client makes: so no two contents have
the same generation, and a change is always based on what was wanted when the turn began. The turn
ends with the change being wanted (`commit`), or with nothing changed: when the client gives it
back, leaves, or was not heard for `LEASE` seconds. Hosts that did a change whose turn has ended
without it go back by themselves.

The scheduler's event loop runs one call at a time, up to its next `await`: that is what makes each
step here a whole one.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed import SchedulerPlugin

from osmia.named_tuples import NamedTuple
from osmia.records import dataclass, field

if TYPE_CHECKING:
    from distributed import Scheduler

#: What a client and an agent ask the scheduler for, and what the scheduler tells agents.
OPERATION = "osmia_fleet"
#: How long a turn lasts whose client is not heard, in seconds.
LEASE = 15.0


class Told(NamedTuple):
    """What an agent is told of an object: the generation of what is wanted, whether it is wanted
    at all, and the number of the turn that goes on, or 0."""

    generation: int
    wanted: bool
    turn: int = 0


@dataclass(slots=True)
class _Turn:
    number: int
    client: str
    what: str
    since: float
    until: float


@dataclass(slots=True)
class _Entry:
    """An object: `content` is the pickled wish, None where it is not wanted; `last` the highest
    number given to a turn."""

    generation: int = 0
    last: int = 0
    content: bytes | None = None
    offered: bool = False
    turn: _Turn | None = None
    free: asyncio.Event = field(default_factory=asyncio.Event)


class Ledger(SchedulerPlugin):
    """One fleet's. What clients and agents may call are the methods named in `_CALLED`."""

    idempotent = True

    def __init__(self, fleet: str) -> None:
        self.fleet = fleet
        self.name = plugin_name(fleet)

    def start(self, scheduler: Scheduler) -> None:  # type: ignore[override]
        """Called by Dask, on the scheduler. No coroutine: then two at once would start twice."""
        self._scheduler: Any = scheduler
        self._entries: dict[str, _Entry] = {}
        self._agents: set[str] = set()
        self._ended = False
        self.lease = LEASE
        self._scheduler.handlers[OPERATION] = _answering(self._scheduler)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Called by Dask when a client leaves or dies: its turns are over."""
        for entry in self._entries.values():
            if entry.turn is not None and entry.turn.client == client:
                self._free(entry)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        """Called by Dask."""
        self._agents.discard(worker)

    async def begin(self, name: str, what: str, client: str, wait: float) -> dict[str, Any]:
        """The turn to change an object, once it is this client's: its `number` and what is wanted
        until then; `busy`, where another one has it longer than `wait` seconds."""
        entry = self._entries.setdefault(name, _Entry())
        end = time.monotonic() + wait
        while (held := self._turn(entry)) is not None:
            left = end - time.monotonic()
            if left <= 0:
                return {"busy": held.what, "seconds": time.monotonic() - held.since}
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, self.lease)):
                    await entry.free.wait()
        if self._ended:
            return {"busy": "close of the fleet", "seconds": 0.0}
        entry.last += 1
        now = time.monotonic()
        entry.turn = _Turn(entry.last, client, what, now, now + self.lease)
        entry.free.clear()
        return {"number": entry.last, "content": entry.content}

    def renew(self, name: str, number: int) -> bool:
        """The client of a turn is there still; whether it has it still."""
        turn = self._turn_of(name, number)
        if turn is not None:
            turn.until = time.monotonic() + self.lease
        return turn is not None

    def commit(self, name: str, number: int, content: bytes | None) -> bool:
        """What was made in a turn is what is wanted from now on; None: the object is wanted no
        more. False where the turn is over: nothing is changed then."""
        if self._turn_of(name, number) is None:
            return False
        entry = self._entries[name]
        entry.generation, entry.content, entry.offered = number, content, False
        self._free(entry)
        self._tell(name, entry)
        return True

    def abandon(self, name: str, number: int) -> None:
        """A turn ends, and nothing is changed."""
        if self._turn_of(name, number) is not None:
            self._free(self._entries[name])

    def told(self, agent: str = "") -> dict[str, Told]:
        """What is wanted of all objects; an agent is told from now on what is changed."""
        if agent:
            self._agents.add(agent)
        return {name: self._told(each) for name, each in self._entries.items()}

    def look(self, name: str, known: list[int]) -> tuple[Told, bytes | None] | None:
        """What is wanted of one object, with its wish unless it is of a generation that is known;
        None of one that was never heard of."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        return self._told(entry), None if entry.generation in known else entry.content

    def offer(self, name: str, generation: int, content: bytes) -> None:
        """What a host had when a scheduler before this one ended; the latest is believed, until a
        client says something."""
        entry = self._entries.setdefault(name, _Entry())
        unheard = entry.last == 0 or (entry.offered and entry.turn is None)
        if unheard and generation > entry.generation:
            entry.generation = entry.last = generation
            entry.content, entry.offered = content, True
            self._tell(name, entry)

    def wishes(self, names: list[str] | None = None) -> dict[str, bytes]:
        """The wishes of what is wanted, of these names or all."""
        chosen = self._entries if names is None else names
        found = {name: self._entries[name].content for name in chosen if name in self._entries}
        return {name: content for name, content in found.items() if content is not None}

    async def end(self) -> dict[str, list[str]]:
        """Close the fleet, whose agents end; not while something is `wanted`, or is `changing`."""
        wanted = sorted(self.wishes())
        changing = sorted(name for name, each in self._entries.items() if self._turn(each))
        if not wanted and not changing:
            self._ended = True
            self._scheduler.remove_plugin(self.name)
            if self.name in self._scheduler.worker_plugins:
                await self._scheduler.unregister_worker_plugin(None, self.name)
        return {"wanted": wanted, "changing": changing}

    def _turn(self, entry: _Entry) -> _Turn | None:
        """The turn that goes on."""
        if entry.turn is not None and entry.turn.until < time.monotonic():
            self._free(entry)
        return entry.turn

    def _turn_of(self, name: str, number: int) -> _Turn | None:
        entry = self._entries.get(name)
        turn = None if entry is None else self._turn(entry)
        return turn if turn is not None and turn.number == number else None

    def _free(self, entry: _Entry) -> None:
        entry.turn = None
        entry.free.set()

    def _told(self, entry: _Entry) -> Told:
        turn = self._turn(entry)
        number = 0 if turn is None else turn.number
        return Told(entry.generation, entry.content is not None, number)

    def _tell(self, name: str, entry: _Entry) -> None:
        """Tell all agents, through the streams that Dask has to workers."""
        message = {"op": OPERATION, "fleet": self.fleet, "name": name, "told": self._told(entry)}
        for address in self._agents & set(self._scheduler.stream_comms):
            self._scheduler.worker_send(address, dict(message))


_CALLED = frozenset(
    ("begin", "renew", "commit", "abandon", "told", "look", "offer", "wishes", "end")
)


def plugin_name(fleet: str) -> str:
    """What Dask calls a fleet's plugins, on the scheduler and on workers."""
    return f"osmia-fleet-{fleet}"


def _answering(scheduler: Any) -> Any:
    """The scheduler's handler of calls: [the answer], or [] where there is no such fleet."""

    async def answer(fleet: str, method: str, given: dict[str, Any]) -> list[Any]:
        ledger = scheduler.plugins.get(plugin_name(fleet))
        if ledger is None or method not in _CALLED:
            return []
        result = getattr(ledger, method)(**given)
        return [await result if asyncio.iscoroutine(result) else result]

    return answer
