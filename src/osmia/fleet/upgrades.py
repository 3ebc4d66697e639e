"""Upgrades host by host: another object takes the place of the one that runs, without a gap.

On each host the new object is loaded with the old one's maps and tried on packets while nothing
runs it; then each link is moved to it in one step (`Link.update`; what the kernel cannot update is
attached anew before the old link goes), and counters are looked at that must move. A host where one
of these fails has the old object again, and so have all before it: the maps are the same all along.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from osmia.errors import OsmiaError
from osmia.fleet.answers import Answers
from osmia.fleet.errors import FleetError, HostError
from osmia.fleet.turns import Turn
from osmia.fleet.wishes import Canary, Wish
from osmia.records import dataclass, replace

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject
    from osmia.fleet.fleet import Host
    from osmia.fleet.running import Running
    from osmia.object.model import Object


@dataclass(frozen=True, slots=True)
class Try:
    """Run a program of the new object on a packet before anything runs it: `expect` is the
    verdict's name ("XDP_PASS") or the number that it has to return."""

    program: str
    packet: bytes
    expect: str | int

    def __call__(self, loaded: LoadedObject) -> None:
        result = loaded.programs[self.program].run(self.packet)
        found = result.verdict if isinstance(self.expect, str) else result.retval
        if found != self.expect:
            raise OsmiaError(
                f"{self.program} answers {found} to a packet of {len(self.packet)} bytes, "
                f"not {self.expect}"
            )


@dataclass(frozen=True, slots=True)
class Moves:
    """A counter, a variable of the new object, that has to grow by `least` within `seconds` after
    the new programs run."""

    variable: str
    least: int = 1
    seconds: float = 5.0

    def __call__(self, loaded: LoadedObject) -> None:
        before = int(loaded.data[self.variable])
        end = time.monotonic() + self.seconds
        while (found := int(loaded.data[self.variable])) < before + self.least:
            if time.monotonic() > end:
                raise OsmiaError(
                    f"{self.variable} grew by {found - before} in {self.seconds:g} s, "
                    f"at least {self.least} were expected"
                )
            time.sleep(0.02)


def upgrade(
    running: Running,
    obj: Object,
    tries: tuple[Try, ...],
    moves: tuple[Moves, ...],
    fraction: float,
    pause: float,
) -> Answers[None]:
    """Upgrade the first `fraction` of the hosts by name (canaries), or all, with a pause of so many
    seconds between two. FleetError where a host's checks fail: everything is as before then.

    Canaries go on with the new object, whatever else of it is changed, until all hosts have one:
    that of an upgrade without a fraction, or the old one after `Running.roll_back`. A fraction of
    more hosts is the next step; those that are canaries stay it. Hosts that have what they are to
    have already are not upgraded again.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}, more than 0 and at most 1 is needed")
    fleet = running.fleet
    with Turn(fleet, running.name, "upgrade") as turn:
        before = running._before(turn)
        hosts = fleet.hosts
        if not hosts:
            raise FleetError("upgrade: the cluster has no hosts", {})
        chosen = hosts[: math.ceil(len(hosts) * fraction)]
        wish = _wish(before, turn.number, obj, None if fraction == 1 else chosen)
        chosen = tuple(each for each in hosts if wish.at(each.own).digest == obj.digest)
        stale = [each for each in chosen if before.at(each.own).digest != obj.digest] or chosen
        done: list[str] = []
        try:
            for host in stale:
                if done and pause:
                    time.sleep(pause)
                turn.check()
                done.append(host.name)
                fleet.ask_host(host.name, "try_upgrade", wish, tries, moves)
            turn.commit(wish)
        except BaseException as error:
            answers = turn.undo(done)
            if isinstance(error, HostError):
                errors: dict[str, HostError] = {error.host: error, **answers.errors}
                where = f"host {len(done)} of {len(stale)}"
                raise FleetError(f"the upgrade was rolled back, {where} failed", errors) from error
            raise
    running._wish = wish
    answers = fleet.ask("settle", running.name, wish.generation, hosts=done)
    return Answers(dict.fromkeys(each.name for each in chosen), answers.errors)


def _wish(before: Wish, number: int, obj: Object, chosen: Iterable[Host] | None) -> Wish:
    """What is wanted when `chosen`, too, or all hosts have the new object."""
    if chosen is None:
        made = before.having(obj, obj.digest).with_signatures_of(obj)
        return replace(made, generation=number, canary=None)
    known = frozenset() if before.canary is None else before.canary.hosts
    canary = Canary(obj, obj.digest, known | {each.own for each in chosen})
    return replace(before, generation=number, canary=canary).with_signatures_of(obj)
