"""`Fleet`: the hosts of a Dask cluster, and what runs on all of them."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from osmia.errors import MissingPackageError, OsmiaError
from osmia.fleet.answers import Answers
from osmia.fleet.errors import HostError, HostLostError
from osmia.fleet.turns import Turn
from osmia.fleet.wishes import Wish, checked_name
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    import os

    from distributed import Client
    from distributed.security import Security

    from osmia.fleet.connecting import Access
    from osmia.fleet.reaching import Message
    from osmia.fleet.running import Running
    from osmia.object.model import Object


#: Hosts that are asked at the same time: Dask keeps 512 connections, and makes others anew.
_AT_ONCE = 400


class Host(NamedTuple):
    """A host of a fleet: its name, and the address of the worker that is its agent."""

    name: str
    address: str

    @property
    def own(self) -> str:
        """What the host calls itself; several of one name are numbered here."""
        return self.name.partition("#")[0]


class Fleet:
    """The hosts of a Dask cluster, as places for BPF objects.

    `cluster` is a scheduler's address, "tls://host:8786", or a `distributed.Client`, which stays
    the caller's. Whoever can be a client of it runs code on all hosts, so TLS shows who it is: the
    authority's certificate, one's own and its key are `ca`, `cert` and `key` (PEM files, see `osmia
    fleet certificates`), a `distributed.Security`, or what Dask's configuration has. Plain TCP is
    refused beyond this machine, unless with `insecure`, which is warned of. SchedulerError where no
    scheduler answers within `timeout`, or does not take the certificate.

    Fleets of other names on the same cluster do not see each other. `timeout` is how many seconds
    a host has to answer before it counts as lost.

    What is loaded stays when the Fleet is left (`with`): another one of the same name finds it;
    `Running.close` and `Fleet.close` give it up everywhere.
    """

    def __init__(
        self,
        cluster: str | Client,
        *,
        ca: str | os.PathLike[str] | None = None,
        cert: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        security: Security | None = None,
        insecure: bool = False,
        name: str = "default",
        timeout: float = 20.0,
    ) -> None:
        _distributed()
        from osmia.fleet.connecting import Access, check_client, connected

        self.name = checked_name(name)
        self.timeout = timeout
        self._own = isinstance(cluster, str)
        self._access = access = Access(ca, cert, key, security, insecure)
        if not isinstance(cluster, str):
            check_client(cluster, access)
        self.client: Any = (
            connected(cluster, access, timeout) if isinstance(cluster, str) else cluster
        )
        try:
            self._join(access)
        except BaseException:
            self.disconnect()
            raise

    def _join(self, access: Access) -> None:
        """Have the ledger on the scheduler and agents on the workers; those that are there stay."""
        from osmia.fleet.agent import Agent
        from osmia.fleet.connecting import check_workers
        from osmia.fleet.ledger import Ledger

        client, ledger, agent = self.client, Ledger(self.name), Agent(self.name)
        workers = self._speak(
            "connecting", lambda: client._run_on_scheduler(_workers_of), self.timeout
        )
        check_workers(client.scheduler.address, workers, access)
        for register in (
            lambda: client._register_scheduler_plugin(ledger, ledger.name, ledger.idempotent),
            lambda: client._register_worker_plugin(agent, agent.name, agent.idempotent),
        ):
            self._speak("connecting", register, self.timeout)

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
        them over. `options` are those of `Object.load`; the object's signatures and the key of
        `require_signature` travel with it, as hosts may require signatures of their own.

        All hosts load it or none: FleetError, with an error for each that could not. With
        `best_effort` those that can keep it, the others try again (`Running.errors`).
        """
        from osmia.fleet.running import Running

        called = checked_name(name or obj.name)
        key = options.pop("require_signature", None)
        if key is not None:  # its file is here
            from osmia.object.signatures import public_key

            options["require_signature"] = public_key(key).public_bytes_raw()
        with Turn(self, called, "load") as turn:
            if turn.before is not None:
                raise OsmiaError(f"the fleet has an object {called!r} already: upgrade or close it")
            wish = Wish(
                called,
                obj,
                obj.digest,
                turn.number,
                first=turn.number,
                engine=engine,
                options=options,
                pins=pins,
            ).with_signatures_of(obj)
            running = Running(self, wish)
            running._make(turn, wish, "load", best_effort=best_effort)
        return running

    def running(self) -> dict[str, Running]:
        """What runs, by name: also what was loaded by somebody else."""
        from osmia.fleet.running import Running

        return {name: Running(self, wish) for name, wish in self._wishes().items()}

    def status(self) -> Answers[dict[str, Any]]:
        """By host and object: generation, targets, run counts, maps; what went wrong there."""
        return self.ask("status")

    def close(self) -> None:
        """Give up all that runs, everywhere, and disconnect. An OsmiaError where another client
        changes something, and is not done within `timeout`. Other clients of it are told that it
        was closed."""
        try:
            while (left := self._ledger("end"))["wanted"] or left["changing"]:
                for name in left["changing"]:  # waits for its end
                    with Turn(self, name, "close"):
                        pass
                for each in self.running().values():
                    each.close()
        finally:
            self.disconnect()

    def disconnect(self) -> None:
        """Leave what runs running."""
        from osmia.fleet.speaking import leave

        if self._own:
            leave(self.client, min(self.timeout, 5.0))

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
        found, errors = self._speak(
            method, lambda: self._ask_all(asked, method, given, options), seconds=None
        )
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
        message = self._message(method, given, options)

        async def one(host: Host) -> Any:
            async with turns:
                return await self._answer(host, method, message)

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
        return await self._answer(host, method, self._message(method, given, options or {}))

    def _message(self, method: str, given: tuple[Any, ...], options: Mapping[str, Any]) -> Message:
        from osmia.fleet.agent import call
        from osmia.fleet.reaching import Message

        return Message(call, self.name, method, given, dict(options))

    async def _answer(self, host: Host, method: str, message: Message) -> Any:
        from distributed.comm.core import CommClosedError

        from osmia.fleet.answering import Failure, error_of
        from osmia.fleet.reaching import answer_of
        from osmia.fleet.speaking import gone

        try:
            async with asyncio.timeout(self.timeout):
                answer = await answer_of(self.client, host.address, message)
        except TimeoutError:
            return HostLostError(host.name, f"no answer to {method} in {self.timeout:g} s")
        except OSError as lost:  # those of hosts are answers
            raise gone(self.client, method, lost) from None
        except Exception as unsent:  # what was asked, or the answer, cannot travel
            told = str(unsent).partition("\n")[0]
            return HostError(host.name, told, type(unsent).__name__)
        if isinstance(answer, Failure):
            error = HostError(host.name, answer.message, answer.kind)
            error.__cause__ = error_of(answer)
            return error
        if isinstance(answer, OSError):  # Dask's says which connection it was: nobody asks for that
            told = "" if isinstance(answer, CommClosedError) else f": {answer}"
            return HostLostError(host.name, f"it went away during {method}{told}")
        if isinstance(answer, BaseException):  # what was asked could not be read there
            return HostError(host.name, str(answer), type(answer).__name__)
        return answer

    def _ask_for_hosts(self) -> set[Host]:
        return set(self._speak("looking for hosts", self._find_hosts, seconds=None))

    async def find_hosts(self) -> list[Host]:
        """The same within the loop of the Client."""
        from osmia.fleet.speaking import answered

        found: list[Host] = await answered(
            self.client, "looking for hosts", self._find_hosts, seconds=None
        )
        return found

    async def _find_hosts(self) -> list[Host]:
        """Ask every worker which host it is on, and whether it is its agent."""
        from osmia.fleet.agent import call
        from osmia.fleet.connecting import check_workers
        from osmia.fleet.speaking import gone

        try:
            asking = self.client._run(call, self.name, "greet", (), {}, on_error="return")
            async with asyncio.timeout(self.timeout):
                answers = await asking
        except TimeoutError:
            answers = await self._ask_workers_apart()
        except OSError as error:
            raise gone(self.client, "looking for hosts", error) from None
        if not self._access.insecure:  # also of workers that came since
            check_workers(self.client.scheduler.address, list(answers), self._access)
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
        from osmia.fleet.speaking import gone

        async def one(address: str) -> Any:
            asking = self.client._run(
                call, self.name, "greet", (), {}, workers=[address], on_error="return"
            )
            try:
                async with asyncio.timeout(self.timeout / 4):
                    return (await asking).get(address)
            except TimeoutError:
                return None

        try:
            async with asyncio.timeout(self.timeout):
                info = await self.client.scheduler.identity()
        except OSError as error:  # TimeoutError is one
            raise gone(self.client, "looking for hosts", error) from None
        addresses = list(info["workers"])
        answers = await asyncio.gather(*(one(each) for each in addresses))
        return dict(zip(addresses, answers, strict=True))

    def _wishes(self, *names: str) -> dict[str, Wish]:
        """What is wanted, of these names or of all."""
        found = self._ledger("wishes", names=list(names) or None)
        return {name: pickle.loads(content) for name, content in sorted(found.items())}

    def _ledger(self, method: str, **given: Any) -> Any:
        """What the scheduler's ledger answers. OsmiaError where the fleet was closed."""
        return self._speak(
            f"{method} of what is wanted",
            lambda: self._ask_ledger(method, given),
            # The end waits for all workers, also for one that is found to be dead only then.
            seconds=None if method == "end" else self.timeout + given.get("wait", 0.0),
        )

    async def _ask_ledger(self, method: str, given: dict[str, Any]) -> Any:
        scheduler = self.client.scheduler
        if scheduler is None:
            raise ConnectionError(f"fleet {self.name!r} is disconnected")
        answer = await scheduler.osmia_fleet(fleet=self.name, method=method, given=given)
        if not answer:
            raise OsmiaError(f"fleet {self.name!r} was closed")
        return answer[0]

    def _speak(
        self, what: str, asking: Callable[[], Coroutine[Any, Any, Any]], seconds: float | None
    ) -> Any:
        """What the scheduler answers in `seconds` (None: as long as it takes, while it is there);
        SchedulerError where it does not."""
        from osmia.fleet.speaking import answered, gone

        if self.client.status in ("closing", "closed"):
            raise gone(self.client, what, None)
        return self.client.sync(answered, self.client, what, asking, seconds)


def _workers_of(dask_scheduler: Any) -> list[str]:
    """The addresses of all workers; run on the scheduler."""
    return list(dask_scheduler.workers)


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingPackageError("distributed", extra="fleet") from error
    return distributed
