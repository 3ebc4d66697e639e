"""`Running`: an object on the hosts of a fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from osmia.errors import OsmiaError
from osmia.fleet.answers import Answers
from osmia.fleet.errors import FleetError
from osmia.fleet.maps import FleetMaps
from osmia.fleet.streams import EventStream
from osmia.fleet.turns import Turn
from osmia.fleet.wishes import Attachment, Wish
from osmia.records import replace

if TYPE_CHECKING:
    from osmia.fleet.fleet import Fleet
    from osmia.fleet.upgrades import Moves, Try
    from osmia.object.model import Object


class Running:
    """An object that a fleet runs; what `Fleet.load` gives.

    What is changed here is changed on all hosts that are there, and on those that come. Clients
    change an object one after the other: who has to wait longer than the fleet's `timeout` gets an
    OsmiaError, and so does who changes what was closed meanwhile.
    """

    def __init__(self, fleet: Fleet, wish: Wish) -> None:
        self.fleet = fleet
        self._wish = wish
        self.maps = FleetMaps(self)
        self.data = FleetData(self)

    @property
    def name(self) -> str:
        """How it is called in the fleet."""
        return self._wish.name

    @property
    def digest(self) -> str:
        """The `Object.digest` of what runs."""
        return self._wish.digest

    @property
    def object(self) -> Object:
        """What was loaded."""
        return self._wish.obj

    @property
    def errors(self) -> dict[str, str]:
        """By host what keeps it from doing what is wanted; it tries again each second."""
        found: dict[str, str] = {}
        for host, status in self.fleet.status().items():
            error = status.get(self.name, {}).get("error") or status.get("", {}).get("error")
            if error:
                found[host] = error
        return found

    def attach(
        self,
        program: str,
        *,
        interface: str = "",
        cgroup: str = "",
        pid: int | None = None,
        best_effort: bool = False,
        **options: Any,
    ) -> Answers[list[str]]:
        """Attach a program on each host; the targets there.

        `interface` and `cgroup` are patterns, as the shell has them; interfaces and groups that
        come later are attached to within a second or two. `pid` is that of a process on each
        host. With none of them the program's section says where. `options` are those of
        `Program.attach`. All hosts do it or none (FleetError), unless with `best_effort`. An
        OsmiaError where no host has anything that fits.
        """
        if program not in self._wish.obj.programs:
            has = ", ".join(self._wish.obj.programs)
            raise OsmiaError(f"object {self.name!r} has no program {program!r}: {has}")
        attachment = _attachment(program, interface, cgroup, pid, options)

        def check(answers: Answers[dict[str, list[str]]]) -> None:
            targets = [found.get(program, []) for found in answers.values()]
            if not any(targets) and targets and attachment.kind != "":
                raise OsmiaError(f"no host has {attachment.kind} {attachment.pattern!r}")

        answers = self._change(
            "attach",
            lambda wish: replace(wish, attachments=(*wish.attachments, attachment)),
            best_effort=best_effort,
            check=check,
        )
        targets = {host: found.get(program, []) for host, found in answers.items()}
        return Answers(targets, answers.errors)

    def detach(self, program: str) -> Answers[Any]:
        """Detach a program on all hosts."""

        def without(wish: Wish) -> Wish:
            kept = tuple(each for each in wish.attachments if each.program != program)
            return replace(wish, attachments=kept)

        return self._change("detach", without, best_effort=True)

    def run(self, program: str, data: bytes = b"", **options: Any) -> Answers[Any]:
        """Run a program once on each host, see `Program.run`."""
        return self.fleet.ask("run", self.name, program, data, **options)

    def call(self, function: Callable[..., Any], *given: Any) -> Answers[Any]:
        """What a function makes of the LoadedObject on each host: `function(loaded, *given)`. It
        has to be importable there, or one that cloudpickle takes."""
        return self.fleet.ask("call", self.name, function, *given)

    def events(
        self,
        name: str,
        *,
        max_rows: int = 65536,
        wait: float = 1.0,
        timeout: float | None = None,
        duration: float | None = None,
        times: Any = (),
    ) -> EventStream:
        """The events of a ring or perf buffer on all hosts, in tables, for `for` and `async for`.

        Hosts are asked for `max_rows` at most, and only as fast as tables are taken: then events
        wait in the kernel's buffers, and programs are told when these are full. Every stream has
        all events; where another one takes them faster, this one loses what the host cannot keep
        for it (`HostBatch.lost`). Columns of moments (`times`) are by this machine's clock, as well
        as the network lets it be compared.
        Ends when no host had an event for `timeout` seconds, and after `duration` seconds in any
        case. KeyError for a name of no map, OsmiaError for a map that is no such buffer.
        """
        from osmia.object import MapType

        kind = self.object.maps[self.maps[name].name].type
        if kind not in (MapType.RINGBUF, MapType.PERF_EVENT_ARRAY):
            raise OsmiaError(f"{name!r} has no events: it is no ring or perf buffer")
        return EventStream(
            self,
            name,
            max_rows=max_rows,
            wait=wait,
            timeout=timeout,
            duration=duration,
            times=times,
        )

    def upgrade(
        self,
        obj: Object,
        *,
        tries: tuple[Try, ...] | list[Try] = (),
        moves: tuple[Moves, ...] | list[Moves] = (),
        fraction: float = 1.0,
        pause: float = 0.0,
    ) -> Answers[None]:
        """Put another object into this one's place, host by host: see `osmia.fleet.upgrades`."""
        from osmia.fleet.upgrades import upgrade

        return upgrade(self, obj, tuple(tries), tuple(moves), fraction, pause)

    def status(self) -> Answers[dict[str, Any]]:
        """Of this object: generation, digest, targets, programs' run counts, maps, by host."""
        answers = self.fleet.status()
        return Answers(
            {host: each.get(self.name, {}) for host, each in answers.items()}, answers.errors
        )

    def roll_back(self) -> Answers[dict[str, list[str]]]:
        """End what `upgrade` with a fraction began: all hosts have the object that ran before it.
        An OsmiaError where no host has another one."""

        def without(wish: Wish) -> Wish:
            if wish.canary is None:
                raise OsmiaError(f"object {self.name!r} has no canaries: all hosts have the same")
            return replace(wish, canary=None)

        return self._change("roll back", without)

    def close(self) -> None:
        """Give it up on all hosts; those that are away do it when they come back. Nothing is done
        where it was closed before."""
        with Turn(self.fleet, self.name, "close") as turn:
            if turn.before is None or turn.before.first != self._wish.first:
                return
            turn.commit(None)
        self.fleet.ask("drop", self.name, turn.number)

    def __repr__(self) -> str:
        return f"<Running {self.name!r}, generation {self._wish.generation}>"

    def _change(
        self,
        what: str,
        changed: Callable[[Wish], Wish],
        *,
        best_effort: bool = False,
        check: Callable[[Answers[Any]], None] = lambda answers: None,
    ) -> Answers[dict[str, list[str]]]:
        """Have on all hosts what `changed` makes of what is wanted now."""
        with Turn(self.fleet, self.name, what) as turn:
            wish = replace(changed(self._before(turn)), generation=turn.number)
            return self._make(turn, wish, what, best_effort=best_effort, check=check)

    def _make(
        self,
        turn: Turn,
        wish: Wish,
        what: str,
        *,
        best_effort: bool,
        check: Callable[[Answers[Any]], None] = lambda answers: None,
    ) -> Answers[dict[str, list[str]]]:
        """Have a wish done on all hosts; where one cannot (unless with `best_effort`), or `check`
        refuses what they answer, it is everywhere as before."""
        try:
            answers = self.fleet.ask("apply", wish)
            if not answers.errors and not answers:
                raise FleetError(f"{what}: the cluster has no hosts", {})
            if not best_effort:
                answers.checked(what)
            check(answers)
            turn.commit(wish)
        except BaseException:  # Ctrl-C, too: some hosts have it
            turn.undo()
            raise
        self._wish = wish
        return answers

    def _before(self, turn: Turn) -> Wish:
        """What is wanted in a turn, also by another client. OsmiaError where it was closed."""
        if turn.before is None or turn.before.first != self._wish.first:
            raise OsmiaError(f"the fleet has no object {self.name!r}: it was closed")
        self._wish = turn.before
        return turn.before


class FleetData:
    """Variables of an object on all hosts: setting one sets it everywhere, and on hosts that
    come; getting one gives Answers."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def __getitem__(self, name: str) -> Answers[Any]:
        return self._running.fleet.ask("data", self._running.name, name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several at once. FleetError, and all as before, where a host refuses."""
        self._running._change(
            f"set {', '.join(values)}",
            lambda wish: replace(wish, data={**wish.data, **values}),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._running._wish.obj.data)


def _attachment(
    program: str, interface: str, cgroup: str, pid: int | None, options: Mapping[str, Any]
) -> Attachment:
    given = {
        kind: pattern
        for kind, pattern in (
            ("interface", interface),
            ("cgroup", cgroup),
            ("pid", "" if pid is None else str(pid)),
        )
        if pattern
    }
    if len(given) > 1:
        raise TypeError(f"one of {' and '.join(given)} says where to attach, not both")
    for kind, pattern in given.items():
        return Attachment(program, kind, pattern, dict(options))
    return Attachment(program, options=dict(options))
