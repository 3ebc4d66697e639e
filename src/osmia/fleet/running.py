"""`Running`: an object on the hosts of a fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from osmia.errors import OsmiaError
from osmia.fleet.answers import Answers
from osmia.fleet.errors import FleetError
from osmia.fleet.maps import FleetMaps
from osmia.fleet.streams import EventStream
from osmia.fleet.wishes import Attachment, Wish

if TYPE_CHECKING:
    from osmia.fleet.fleet import Fleet
    from osmia.fleet.upgrades import Moves, Try
    from osmia.object.model import Object


class Running:
    """An object that a fleet runs; what `Fleet.load` gives.

    What is changed here is changed on all hosts that are there, and on those that come.
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
        before = self._now()
        answers = self._want(
            before.with_attachments([attachment]), "attach", best_effort=best_effort, before=before
        )
        targets = {host: found.get(program, []) for host, found in answers.items()}
        if not any(targets.values()) and targets and attachment.kind != "":
            self._want(before.after(self._wish), "detach", before=None)
            raise OsmiaError(f"no host has {attachment.kind} {attachment.pattern!r}")
        return Answers(targets, answers.errors)

    def detach(self, program: str) -> Answers[Any]:
        """Detach a program on all hosts."""
        before = self._now()
        kept = tuple(each for each in before.attachments if each.program != program)
        return self._want(before.next(attachments=kept), "detach", best_effort=True, before=before)

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
        wait in the kernel's buffers, and programs are told when these are full. Columns of
        moments (`times`) are by this machine's clock, as well as the network lets it be compared.
        Ends when no host had an event for `timeout` seconds, and after `duration` seconds in any
        case. KeyError for a name of no map.
        """
        _ = self.maps[name]
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

    def close(self) -> None:
        """Give it up on all hosts; those that are away do it when they come back."""
        self.fleet._forget(self.name, self._wish.generation)
        self.fleet.ask("drop", self.name)

    def __repr__(self) -> str:
        return f"<Running {self.name!r}, generation {self._wish.generation}>"

    def _want(
        self, wish: Wish, what: str, *, best_effort: bool = False, before: Wish | None
    ) -> Answers[dict[str, list[str]]]:
        """Have a wish done on all hosts; where one cannot, as it was `before` everywhere, unless
        with `best_effort`."""
        try:
            answers = self.fleet.ask("apply", wish)
        except BaseException:  # Ctrl-C: some hosts have it
            self._undo(wish, what, before)
            raise
        if not answers.errors and not answers:
            raise FleetError(f"{what}: the cluster has no hosts", {})
        if answers.errors and not best_effort:
            self._undo(wish, what, before)
            answers.checked(what)
        self._wish = wish
        self.fleet._remember(wish)
        return answers

    def _undo(self, wish: Wish, what: str, before: Wish | None) -> None:
        """Have it everywhere as it was before a wish that some hosts may have done."""
        if before is None and what == "load":
            self.fleet._forget(self.name, wish.generation)
            self.fleet.ask("drop", self.name)
        elif before is not None:
            self._wish = before.after(wish)
            self.fleet.ask("apply", self._wish)
            self.fleet._remember(self._wish)

    def _now(self) -> Wish:
        """What is wanted now, also by another client. OsmiaError where it was closed."""
        if self.fleet._told().get(self.name, 0) != self._wish.generation:
            self._wish = self.fleet._wish(self.name)
        return self._wish


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
        running = self._running
        before = running._now()
        wish = before.next(data={**before.data, **values})
        running._want(wish, f"set {', '.join(values)}", before=before)

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
