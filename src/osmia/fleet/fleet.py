"""`Fleet`: the hosts of a Dask cluster, and what runs on all of them."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from osmia.errors import MissingPackageError, OsmiaError
from osmia.fleet.answers import Answers
from osmia.fleet.errors import HostError, HostLostError
from osmia.fleet.wishes import Wish, checked_name
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    from distributed import Client

    from osmia.fleet.running import Running
    from osmia.object.model import Object


#: Hosts that are asked at the same time: Dask keeps 512 connections, and makes others anew.
_AT_ONCE = 400


class Host(NamedTuple):
    """A host of a fleet: its name, and the address of the worker that is its agent."""

    name: str
    address: str


class Fleet:
    """The hosts of a Dask cluster, as places for BPF objects.

    `cluster` is a scheduler's address, or a `distributed.Client`, which stays the caller's.
    Fleets of other names on the same cluster do not see each other. `timeout` is how many seconds
    a host has to answer before it counts as lost.

    What is loaded stays when the Fleet is left (`with`): another one of the same name finds it;
    `Running.close` and `Fleet.close` give it up everywhere.
    """

    def __init__(
        self, cluster: str | Client, *, name: str = "default", timeout: float = 20.0
    ) -> None:
        distributed = _distributed()
        from osmia.fleet.agent import Agent, has_plugin

        self.name = checked_name(name)
        self.timeout = timeout
        self._own = isinstance(cluster, str)
        if isinstance(cluster, str):  # a Client of a wrong one would be closed for 40 s
            distributed.comm.get_address_host_port(cluster, strict=True)
        self.client: Any = (
            distributed.Client(cluster, timeout=timeout, set_as_default=False)
            if isinstance(cluster, str)
            else cluster
        )
        try:
            if not self.client.run_on_scheduler(has_plugin, self.name):  # two would be one anew
                self.client.register_plugin(Agent(self.name))
        except BaseException:
            self.disconnect()
            raise

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The hosts that are there now, by name."""
        return tuple(sorted(self._ask_for_hosts()))

    def load(
        self,
        obj: Object,
        *,
        name: str = "",
        engine: str = "kernel",
        pins: bool = False,
        best_effort: bool = False,
        **options: Any,
    ) -> Running:
        """Load an object on all hosts, and on those that join later.

        `name` is how it is called in the fleet (default: the object's name). With `pins` its maps
        and links are pinned on each host, and go on when its agent ends; the next agent takes
        them over. `options` are those of `Object.load`.

        All hosts load it or none: FleetError, with an error for each that could not. With
        `best_effort` those that can keep it, the others try again (`Running.errors`).
        """
        from osmia.fleet.running import Running

        called = checked_name(name or obj.name)
        if called in self._generations():
            raise OsmiaError(f"the fleet has an object {called!r} already: upgrade or close it")
        generation = 1 - self._told().get(called, 0)  # hosts that are away may have the last one
        wish = Wish(called, obj, obj.digest, generation, engine=engine, options=options, pins=pins)
        running = Running(self, wish)
        running._want(wish, "load", best_effort=best_effort, before=None)
        return running

    def running(self) -> dict[str, Running]:
        """What runs, by name: also what was loaded by somebody else."""
        from osmia.fleet.running import Running

        return {name: Running(self, self._wish(name)) for name in sorted(self._generations())}

    def status(self) -> Answers[dict[str, Any]]:
        """By host and object: generation, targets, run counts, maps; what went wrong there."""
        return self.ask("status")

    def close(self) -> None:
        """Give up all that runs, everywhere, and disconnect."""
        from osmia.fleet.agent import plugin_name

        try:
            for each in self.running().values():
                each.close()
            self.client.unregister_worker_plugin(plugin_name(self.name))
        finally:
            self.disconnect()

    def disconnect(self) -> None:
        """Leave what runs running."""
        if self._own:
            self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()

    def __repr__(self) -> str:
        return f"<Fleet {self.name!r}: {len(self.hosts)} hosts>"

    def ask(
        self, method: str, *given: Any, hosts: Iterable[str] | None = None, **options: Any
    ) -> Answers[Any]:
        """Call a method of the agents, on all hosts or those named, at once."""
        there = self.hosts
        wanted = None if hosts is None else set(hosts)
        asked = [each for each in there if wanted is None or each.name in wanted]
        found, errors = self.client.sync(self._ask_all, asked, method, given, options)
        if wanted is not None:
            for name in wanted - {each.name for each in there}:
                errors[name] = HostLostError(name, "it is not there any more")
        return Answers(found, errors)

    def ask_host(self, host: str, method: str, *given: Any, **options: Any) -> Any:
        """The same of one host: its answer, or its error."""
        return self.ask(method, *given, hosts=[host], **options)[host]

    async def _ask_all(
        self, hosts: list[Host], method: str, given: tuple[Any, ...], options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, HostError]]:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(host: Host) -> Any:
            async with turns:
                return await self.ask_one(host, method, given, options)

        answers = await asyncio.gather(*map(one, hosts))
        found: dict[str, Any] = {}
        errors: dict[str, HostError] = {}
        for host, answer in zip(hosts, answers, strict=True):
            if isinstance(answer, HostError):
                errors[host.name] = answer
            else:
                found[host.name] = answer
        return found, errors

    async def ask_one(
        self,
        host: Host,
        method: str,
        given: tuple[Any, ...] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """The answer of one host, or a HostError as a value."""
        from osmia.fleet.agent import call
        from osmia.fleet.answering import Failure, error_of
        from osmia.fleet.reaching import answer_of

        asking = answer_of(
            self.client, host.address, call, (self.name, method, given, dict(options or {}))
        )
        try:
            async with asyncio.timeout(self.timeout):
                answer = await asking
        except TimeoutError:
            return HostLostError(host.name, f"no answer to {method} in {self.timeout:g} s")
        if isinstance(answer, Failure):
            error = HostError(host.name, answer.message, answer.kind)
            error.__cause__ = error_of(answer)
            return error
        if isinstance(answer, BaseException):
            told = str(answer) or type(answer).__name__
            return HostLostError(host.name, f"it went away during {method}: {told}")
        return answer

    def _ask_for_hosts(self) -> set[Host]:
        return set(self.client.sync(self.find_hosts))

    async def find_hosts(self) -> list[Host]:
        """Ask every worker which host it is on, and whether it is its agent."""
        from osmia.fleet.agent import call

        try:
            asking = self.client._run(call, self.name, "greet", (), {}, on_error="return")
            async with asyncio.timeout(self.timeout):
                answers = await asking
        except TimeoutError:
            answers = await self._ask_workers_apart()
        found: list[Host] = []
        names: dict[str, int] = {}
        for address, greeting in sorted(answers.items()):
            if not getattr(greeting, "agent", False):
                continue
            count = names.get(greeting.host, 0)
            names[greeting.host] = count + 1
            found.append(Host(f"{greeting.host}#{count}" if count else greeting.host, address))
        return found

    async def _ask_workers_apart(self) -> dict[str, Any]:
        """The same where a worker does not answer: the others' answers."""
        from osmia.fleet.agent import call

        async def one(address: str) -> Any:
            asking = self.client._run(
                call, self.name, "greet", (), {}, workers=[address], on_error="return"
            )
            try:
                async with asyncio.timeout(self.timeout / 4):
                    return (await asking).get(address)
            except TimeoutError:
                return None

        info = await self.client.scheduler.identity()
        addresses = list(info["workers"])
        answers = await asyncio.gather(*(one(each) for each in addresses))
        return dict(zip(addresses, answers, strict=True))

    def _told(self) -> dict[str, int]:
        """The generations of what is wanted; those of what is wanted no more are negative."""
        from osmia.fleet.agent import METADATA

        keys = [METADATA, self.name, "generations"]
        return dict(self.client.get_metadata(keys, default=None) or {})

    def _generations(self) -> dict[str, int]:
        return {name: generation for name, generation in self._told().items() if generation > 0}

    def _wish(self, name: str) -> Wish:
        from osmia.fleet.agent import METADATA

        content = self.client.get_metadata([METADATA, self.name, "wishes", name], default=None)
        if content is None:
            raise OsmiaError(f"the fleet has no object {name!r}")
        found: Wish = pickle.loads(content)
        return found

    def _remember(self, wish: Wish) -> None:
        """Tell hosts that join or were away what is wanted."""
        from osmia.fleet.agent import METADATA

        self.client.set_metadata([METADATA, self.name, "wishes", wish.name], pickle.dumps(wish))
        # By itself: other clients tell of other objects at the same time.
        keys = [METADATA, self.name, "generations", wish.name]
        self.client.set_metadata(keys, wish.generation)

    def _forget(self, name: str, generation: int) -> None:
        """Tell hosts that an object, up to a generation, is wanted no more."""
        from osmia.fleet.agent import METADATA

        last = max(generation, abs(self._told().get(name, 0)))
        self.client.set_metadata([METADATA, self.name, "generations", name], -last)
        self.client.set_metadata([METADATA, self.name, "wishes", name], None)


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingPackageError("distributed", extra="fleet") from error
    return distributed
