"""What a command line names in the kernel: by id, name, tag or pin, as bpftool's users do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from osmia.cli.usage import usage_error
from osmia.errors import OsmiaError
from osmia.kernel.inventory import iterate
from osmia.named_tuples import NamedTuple

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import TypeVar

    from osmia.engine.maps import Map
    from osmia.engine.maps.info import MapInfo
    from osmia.kernel.links import KernelLink
    from osmia.kernel.programs.info import ProgramInfo
    from osmia.kernel.programs.program import KernelProgram

    _Info = TypeVar("_Info", "ProgramInfo", "MapInfo")

#: Characters of a name that the kernel keeps.
_NAME_LENGTH = 15


class Target(NamedTuple):
    """How something is named ("id", "name", "tag", "pinned") and its id, name, tag or path."""

    how: str
    what: str

    @property
    def identifier(self) -> int:
        """The id. UsageError when it is no number."""
        if not self.what.isdigit():
            raise usage_error(f"an id is a number, not {self.what!r}")
        return int(self.what)

    def __str__(self) -> str:
        return f"{self.how} {self.what}"


def take_target(words: Sequence[str]) -> tuple[Target, list[str]]:
    """The target that `words` begin with, and the words behind it.

    `id 12`, `name flows`, `tag 0a1b…`, `pinned /path`; or the second word alone. UsageError
    when there is none.
    """
    if not words:
        raise usage_error("which one? Give an id, a name or the path of a pin")
    first, *rest = words
    if first in ("id", "name", "tag", "pinned"):
        if not rest:
            raise usage_error(f"{first!r} is followed by nothing")
        return Target(first, rest[0]), rest[1:]
    if first.isdigit():
        return Target("id", first), rest
    return Target("pinned" if "/" in first else "name", first), rest


def only_target(words: Sequence[str]) -> Target:
    """The target, when nothing stands behind it."""
    target, rest = take_target(words)
    if rest:
        raise usage_error(f"unexpected: {' '.join(rest)}")
    return target


def program_infos(target: Target | None) -> list[ProgramInfo]:
    """All programs, or those that `target` names; OsmiaError when there are none."""
    if target is not None and target.how in ("id", "pinned"):
        with open_program(target) as program:
            return [program.info]
    return _matching(iterate.programs(), target, "program")


def map_infos(target: Target | None) -> list[MapInfo]:
    """All maps, or those that `target` names; OsmiaError when there are none."""
    if target is not None and target.how in ("id", "pinned"):
        with open_map(target) as found:
            return [found.info]
    return _matching(iterate.maps(), target, "map")


def open_program(target: Target) -> KernelProgram:
    """The program that `target` names; the caller closes it. OsmiaError when it is not one."""
    from osmia.kernel.programs.program import KernelProgram

    if target.how == "pinned":
        return KernelProgram.from_pin(target.what)
    if target.how == "id":
        return KernelProgram.from_id(target.identifier)
    return KernelProgram.from_id(_only(program_infos(target), target, "programs").id)


def open_map(target: Target) -> Map:
    """The map that `target` names; the caller closes it. OsmiaError when it is not one."""
    from osmia.engine.maps import Map

    opened: Map
    if target.how == "pinned":
        opened = Map.from_pin(target.what)
    elif target.how == "id":
        opened = Map.from_id(target.identifier)
    else:
        opened = Map.from_id(_only(map_infos(target), target, "maps").id)
    return opened


def open_link(target: Target) -> KernelLink:
    """The link that `target` names, by id or pin; the caller closes it."""
    from osmia.kernel.links import KernelLink  # all ways to attach come with it

    if target.how == "pinned":
        return KernelLink.from_pin(target.what)
    if target.how == "id":
        return KernelLink.from_id(target.identifier)
    raise usage_error("links have no names: give an id or the path of a pin")


def _matching(infos: Iterable[_Info], target: Target | None, kind: str) -> list[_Info]:
    matching = [info for info in infos if target is None or _matches(info, target)]
    if target is None:
        return matching
    if not matching:
        raise OsmiaError(f"there is no {kind} with {target}")
    return matching


def _matches(info: ProgramInfo | MapInfo, target: Target) -> bool:
    if target.how == "tag":
        return getattr(info, "tag", None) == target.what  # maps have none
    return info.name in (target.what, target.what[:_NAME_LENGTH])


def _only(infos: list[_Info], target: Target, kind: str) -> _Info:
    if len(infos) > 1:
        ids = ", ".join(str(info.id) for info in infos)
        raise OsmiaError(f"{len(infos)} {kind} have {target}: ids {ids}; give one of them")
    return infos[0]
