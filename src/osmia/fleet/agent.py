"""What runs on each host: a plugin of its Dask worker, which does what clients ask and keeps up
with what is wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Status, WorkerPlugin

from osmia.fleet.answering import Failure, Parcel, failure_of, parcelled
from osmia.fleet.hosts import Claim, host_name
from osmia.fleet.installed import Installed
from osmia.fleet.keeping import Keeping
from osmia.fleet.ledger import OPERATION, Told, plugin_name
from osmia.fleet.readers import Events, Readers
from osmia.fleet.reading import map_table, reduced
from osmia.fleet.redaction import redact_logs
from osmia.fleet.wishes import Wish
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    from distributed import Worker

#: Where agents pin what shall outlive them.
PINS = Path("/sys/fs/bpf/osmia-fleet")


class Greeting(NamedTuple):
    """What a worker says of itself."""

    host: str
    agent: bool


class Agent(WorkerPlugin):
    """One fleet's agent on a worker; on a host with several workers, all but one stand by."""

    idempotent = True

    def __init__(self, fleet: str) -> None:
        self.fleet = fleet
        self.name = plugin_name(fleet)

    async def setup(self, worker: Worker) -> None:
        """Called by Dask, on every worker, and on those that join later."""
        redact_logs()
        self._worker = worker
        self._claim = Claim(self.fleet)
        self._readers = Readers()
        self.host = host_name()
        self._keeping = Keeping(self.host, PINS / self.fleet, self._ask)
        self._error: str | None = None
        worker.stream_handlers[OPERATION] = _hearing(worker)
        self._claim.take()
        self._task = asyncio.create_task(self._keep_up())

    async def teardown(self, worker: Worker) -> None:
        """Called by Dask when the worker ends, or the plugin is taken away."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._readers.close()
        # A worker that goes on loses its plugin when the fleet has ended: nothing is wanted then.
        await self._keeping.close(keep_pins=worker.status not in (Status.running, Status.paused))
        self._claim.give_up()

    def greet(self) -> Greeting:
        return Greeting(self.host, self._claim.held)

    async def apply(self, wish: Wish) -> dict[str, list[str]]:
        """See `Keeping.apply`."""
        return await self._keeping.apply(wish)

    async def drop(self, name: str, generation: int) -> None:
        """See `Keeping.drop`."""
        await self._keeping.drop(name, generation)
        self._readers.keep(self._keeping.objects())

    async def try_upgrade(self, wish: Wish, tries: tuple[Any, ...], moves: tuple[Any, ...]) -> None:
        """See `Keeping.try_upgrade`."""
        await self._keeping.try_upgrade(wish, tries, moves)

    async def settle(self, name: str, generation: int) -> None:
        """See `Keeping.settle`."""
        await self._keeping.settle(name, generation)

    async def run(self, name: str, program: str, *given: Any, **options: Any) -> Any:
        """Run a program of the object once, on data."""
        loaded = self._find(name).loaded
        return await asyncio.to_thread(loaded.programs[program].run, *given, **options)

    async def call(self, name: str, function: Any, *given: Any) -> Any:
        """Call a function of the caller's with the object that is loaded here."""
        return await asyncio.to_thread(function, self._find(name).loaded, *given)

    async def data(self, name: str, variable: str) -> Any:
        return self._find(name).loaded.data[variable]

    async def table(self, name: str, held: str, options: Mapping[str, Any]) -> Any:
        """A map as a table of Arrow's."""
        return await asyncio.to_thread(map_table, self._find(name).loaded, held, dict(options))

    async def reduced(self, name: str, held: str, options: Mapping[str, Any], how: Any) -> Any:
        """A map, reduced here: see `osmia.fleet.reading.reduced`."""
        loaded = self._find(name).loaded
        return await asyncio.to_thread(reduced, loaded, held, dict(options), how)

    async def next_events(self, name: str, held: str, reader: str, **options: Any) -> Any:
        """The next table of events of a reader, which is made when it is first asked."""
        found = self._find(name)
        owner = name, found.wish.first  # another object of that name has other events
        events = await self._readers.next(found.loaded, owner, held, reader, **options)
        return Events(Parcel(events.table), events.lost, events.clock)

    async def renew_events(self, reader: str) -> None:
        """Keep a reader whose client does not ask now."""
        self._readers.renew(reader)

    async def end_events(self, reader: str) -> None:
        self._readers.end(reader)

    async def figures(self, name: str, choice: Any) -> Any:
        """An object's metrics, see `osmia.fleet.metrics`."""
        from osmia.fleet.metrics import figures_of

        return await asyncio.to_thread(figures_of, self._find(name).loaded, choice)

    async def clock(self) -> int:
        """Nanoseconds of this host's wall clock."""
        return time.time_ns()

    async def status(self) -> dict[str, Any]:
        """What is here: by object its generation, digest, targets, programs' and maps' figures,
        whether this host is a canary, since when an upgrade is on trial, what went wrong; under ""
        what went wrong with all."""
        found = self._keeping.status()
        return found | {"": {"error": self._error}} if self._error else found

    def hear(self, name: str, told: Told) -> None:
        """The scheduler tells of a change."""
        self._keeping.hear(name, told)

    def _find(self, name: str) -> Installed:
        return self._keeping.find(name)

    async def _ask(self, method: str, **given: Any) -> Any:
        """The answer of the fleet's ledger."""
        scheduler: Any = self._worker.scheduler
        answer = await scheduler.osmia_fleet(fleet=self.fleet, method=method, given=given)
        if not answer:
            raise LookupError(f"the scheduler knows no fleet {self.fleet!r}")
        return answer[0]

    async def _keep_up(self) -> None:
        """What was asked for while this host was away; interfaces that came; the agent that
        ended. Errors are kept for `status`: the next round tries again."""
        while True:
            try:
                if self._claim.take():
                    await self._keeping.look(self._worker.address)
            except Exception as error:
                self._error = f"{type(error).__name__}: {error}"
            else:
                self._error = None
            self._readers.keep(self._keeping.objects())
            self._readers.expire()
            await self._keeping.wait()


def _hearing(worker: Any) -> Any:
    """The worker's handler of what the scheduler tells agents; those that ended need not hear."""

    def hear(fleet: str, name: str, told: Any) -> None:
        agent = worker.plugins.get(plugin_name(fleet))
        if agent is not None:
            agent.hear(name, Told(*told))

    return hear


async def call(
    fleet: str, method: str, given: tuple[Any, ...], options: dict[str, Any], dask_worker: Any
) -> Any:
    """Call a method of the worker's agent; a Failure stands for its error."""
    agent = dask_worker.plugins.get(plugin_name(fleet))
    if agent is None:
        return Failure("LookupError", f"no agent of fleet {fleet!r} is here", None)
    try:
        result = getattr(agent, method)(*given, **options)
        return parcelled(await result if asyncio.iscoroutine(result) else result)
    except Exception as error:
        return failure_of(error)
