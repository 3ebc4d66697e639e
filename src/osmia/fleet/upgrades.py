"""Upgrades host by host: another object takes the place of the one that runs, without a gap.

On each host the new object is loaded with the old one's maps and tried on packets while nothing
runs it; then each link is moved to it in one step (`Link.update`; what the kernel cannot update is
attached anew before the old link goes), and counters are looked at that must move. A host where one
of these fails has the old object again, and so have all before it: the maps are the same all along.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from osmia.errors import OsmiaError
from osmia.fleet.answers import Answers
from osmia.fleet.errors import FleetError, HostError
from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject
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

    After a fraction was upgraded those hosts go on with the new object until the next change: what
    is wanted of all is the old one still.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}, more than 0 and at most 1 is needed")
    fleet, before = running.fleet, running._now()
    wish = before.next(obj=obj, digest=obj.digest).with_signatures_of(obj)
    hosts = [each.name for each in fleet.hosts]
    chosen = hosts[: math.ceil(len(hosts) * fraction)]
    done: list[str] = []
    try:
        for host in chosen:
            if done and pause:
                time.sleep(pause)
            done.append(host)
            fleet.ask_host(host, "try_upgrade", wish, tries, moves)
    except BaseException as error:
        back = before.after(wish)
        answers = fleet.ask("roll_back", running.name, back, hosts=done)
        running._wish = back
        fleet._remember(back)
        if isinstance(error, HostError):
            errors: dict[str, HostError] = {error.host: error, **answers.errors}
            where = f"host {len(done)} of {len(chosen)}"
            raise FleetError(f"the upgrade was rolled back, {where} failed", errors) from error
        raise
    found: dict[str, Any] = dict.fromkeys(done)
    answers = fleet.ask("settle", running.name, hosts=done)
    if fraction == 1:
        running._wish = wish
        fleet._remember(wish)
    return Answers(found, answers.errors)
