"""Sections that are nobody's here: what other loaders keep in an object, such as libxdp's
`.run_config`. No engine looks at them; what is saved has them as they were."""

from __future__ import annotations

from osmia.named_tuples import NamedTuple
from osmia.records import dataclass


class OtherSymbol(NamedTuple):
    """A variable in such a section; offset and size in bytes."""

    name: str
    offset: int
    size: int
    static: bool = False
    weak: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class OtherSection:
    """A section with contents, in memory when it is loaded as others say, and its variables."""

    name: str
    contents: bytes
    symbols: tuple[OtherSymbol, ...] = ()
    writable: bool = True
    alignment: int = 8
