"""What runs on each host: a plugin of its Dask worker, which does what clients ask and keeps up
with what is wanted."""

from __future__ import annotations

import asyncio
import pickle
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin

from osmia.errors import OsmiaError
from osmia.fleet.answering import Failure, failure_of, parcelled
from osmia.fleet.hosts import Claim, host_name
from osmia.fleet.installed import Installed
from osmia.fleet.reading import Readers, map_table, reduced, status_of
from osmia.fleet.wishes import Wish
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    from distributed import Worker

#: Where agents pin what shall outlive them.
PINS = Path("/sys/fs/bpf/osmia-fleet")
#: The scheduler's metadata that fleets are in.
METADATA = "osmia-fleet"
#: How often an agent looks what is wanted and what there is to attach to, in seconds.
INTERVAL = 1.0
#: How long a client may take to have an object on all hosts before it says that it is wanted.
PATIENCE = 120.0


class Greeting(NamedTuple):
    """What a worker says of itself."""

    host: str
    agent: bool


class Agent(WorkerPlugin):
    """One fleet's agent on a worker; on a host with several workers, all but one stand by."""

    def __init__(self, fleet: str) -> None:
        self.fleet = fleet
        self.name = plugin_name(fleet)

    async def setup(self, worker: Worker) -> None:
        """Called by Dask, on every worker, and on those that join later."""
        self._worker = worker
        self._claim = Claim(self.fleet)
        self._pins = PINS / self.fleet
        self._installed: dict[str, Installed] = {}
        self._readers = Readers()
        self._wishes: dict[str, Wish] = {}
        self._errors: dict[str, str] = {}
        self._asked: dict[str, float] = {}  # when a client asked for it
        self._busy = asyncio.Lock()
        self.host = host_name()
        self._claim.take()
        self._task = asyncio.create_task(self._keep_up())

    async def teardown(self, worker: Worker) -> None:
        """Called by Dask when the worker ends, or the plugin is taken away."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._readers.close()
        for each in self._installed.values():
            await asyncio.to_thread(each.close, keep_pins=True)
        self._installed = {}
        self._claim.give_up()

    def greet(self) -> Greeting:
        return Greeting(self.host, self._claim.held)

    async def apply(self, wish: Wish) -> dict[str, list[str]]:
        """Make an object here what is wanted; targets by program where it is attached."""
        async with self._busy:
            self._asked[wish.name] = time.monotonic()
            return await asyncio.to_thread(self._apply, wish)

    async def drop(self, name: str, generation: int | None = None) -> None:
        """Give up an object, its pins too; with `generation` none that is of a later one."""
        async with self._busy:
            wish = self._wishes.get(name)
            if generation is not None and wish is not None and wish.generation > generation:
                return
            self._asked.pop(name, None)
            self._wishes.pop(name, None)
            self._errors.pop(name, None)
            installed = self._installed.pop(name, None)
            self._readers.close(name)
            if installed is not None:
                await asyncio.to_thread(installed.close, keep_pins=False)

    async def try_upgrade(self, wish: Wish, tries: tuple[Any, ...], moves: tuple[Any, ...]) -> None:
        """Put a new object in the old one's place, and look whether it does what it should; the
        error says what it does not, and the old one runs again."""
        installed = self._find(wish.name)
        async with self._busy:
            await asyncio.to_thread(self._upgrade, installed, wish, tries, moves)
            self._wishes[wish.name] = wish

    async def settle(self, name: str) -> None:
        """The upgrade is wanted everywhere."""
        async with self._busy:
            await asyncio.to_thread(self._find(name).settle)

    async def roll_back(self, name: str, wish: Wish) -> None:
        """The upgrade is wanted no more."""
        async with self._busy:
            installed = self._find(name)
            await asyncio.to_thread(installed.roll_back)
            installed.wish = wish
            self._wishes[name] = wish

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
        loaded = self._find(name).loaded
        return await self._readers.next(loaded, name, held, reader, **options)

    async def end_events(self, reader: str) -> None:
        self._readers.end(reader)

    async def figures(self, name: str) -> Any:
        """An object's metrics, see `osmia.fleet.metrics`."""
        from osmia.fleet.metrics import figures_of

        return await asyncio.to_thread(figures_of, self._find(name).loaded)

    async def clock(self) -> int:
        """Nanoseconds of this host's wall clock."""
        return time.time_ns()

    async def status(self) -> dict[str, Any]:
        """What is here: by object its generation, digest, targets, programs' and maps' figures."""
        return {
            name: status_of(each) | {"error": self._errors.get(name)}
            for name, each in self._installed.items()
        } | {
            name: {"error": error}
            for name, error in self._errors.items()
            if name not in self._installed
        }

    def _find(self, name: str) -> Installed:
        try:
            return self._installed[name]
        except KeyError:
            raise OsmiaError(f"object {name!r} is not on this host") from None

    def _apply(self, wish: Wish) -> dict[str, list[str]]:
        installed = self._installed.get(wish.name)
        if installed is None:
            taken_over = wish.pins and (self._pins / wish.name).is_dir()
            made = Installed(wish, self._pins)
            try:
                found = made.apply(wish)
            except BaseException:  # what goes on without an agent goes on
                made.close(keep_pins=taken_over)
                raise
            self._installed[wish.name] = made
        else:
            found = installed.apply(wish)
        self._wishes[wish.name] = wish
        self._errors.pop(wish.name, None)
        return found

    def _upgrade(
        self, installed: Installed, wish: Wish, tries: tuple[Any, ...], moves: tuple[Any, ...]
    ) -> None:
        installed.upgrade(wish, before_it_moves=lambda loaded: [each(loaded) for each in tries])
        try:
            for each in moves:
                each(installed.loaded)
        except BaseException:
            installed.roll_back()
            raise

    async def _keep_up(self) -> None:
        """What was asked for while this host was away; interfaces that came; the agent that
        ended. Errors are kept for `status`: the next round tries again."""
        while True:
            try:
                if self._claim.take():
                    await self._reconcile()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self._errors[""] = f"{type(error).__name__}: {error}"
            else:
                self._errors.pop("", None)
            await asyncio.sleep(INTERVAL)

    async def _reconcile(self) -> None:
        keys = [METADATA, self.fleet, "generations"]
        told = await self._worker.scheduler.get_metadata(keys=keys, default=None)
        if told is None:  # no client has said anything yet
            return
        wanted = {name: generation for name, generation in told.items() if generation > 0}
        for name in [name for name in self._installed if name not in wanted]:
            wish = self._wishes.get(name)
            if wish is not None and self._is_given_up(wish, -told.get(name, 0)):
                await self.drop(name, wish.generation)
        async with self._busy:  # which has pins that are being made
            await asyncio.to_thread(self._sweep, set(wanted))
        for name, generation in wanted.items():
            known = self._wishes.get(name)
            if known is None or known.generation < generation:
                keys = [METADATA, self.fleet, "wishes", name]
                content = await self._worker.scheduler.get_metadata(keys=keys, default=None)
                if content is None:
                    continue
                known = pickle.loads(content)
            await self._keep_one(known, generation)

    def _is_given_up(self, wish: Wish, closed: int) -> bool:
        """Whether an object that is not wanted was (`closed` is its last generation), or never was
        by a client that came to no end: a load that goes on is told when all hosts have done it."""
        since = self._asked.get(wish.name)
        return wish.generation <= closed or since is None or time.monotonic() - since > PATIENCE

    async def _keep_one(self, wish: Wish, generation: int) -> None:
        """`generation` is that which is wanted everywhere: lower while an upgrade is on trial."""
        try:
            async with self._busy:
                installed = self._installed.get(wish.name)
                if installed is not None and installed.before is not None:
                    if generation < installed.wish.generation:
                        return
                    same = wish.digest == installed.wish.digest  # the trial ended without this host
                    end = installed.settle if same else installed.roll_back
                    await asyncio.to_thread(end)
                await asyncio.to_thread(self._apply, wish)
        except (OsmiaError, OSError) as error:
            self._errors[wish.name] = f"{type(error).__name__}: {error}"

    def _sweep(self, wanted: set[str]) -> None:
        """Remove pins of objects that are wanted no more: their agent ended before it could."""
        if self._pins.is_dir():
            for place in self._pins.iterdir():
                if place.name not in wanted and place.name not in self._installed:
                    shutil.rmtree(place, ignore_errors=True)


def plugin_name(fleet: str) -> str:
    """What Dask calls a fleet's plugin."""
    return f"osmia-fleet-{fleet}"


def has_plugin(fleet: str, dask_scheduler: Any) -> bool:
    """Whether a fleet's agents are there; run on the scheduler."""
    return plugin_name(fleet) in dask_scheduler.worker_plugins


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
