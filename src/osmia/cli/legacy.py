"""What the verbs for iproute2's objects share: opening, and remarks as lines on stderr."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from osmia.cli.output import note, remarks_noted
from osmia.object.uapi import MapType, ProgramType

if TYPE_CHECKING:
    from osmia.kernel.load.loaded import KernelObject
    from osmia.object import Object

#: Types of programs by the kernel's names, and by those of tc and ip.
TYPES = {
    **{kind.name.lower(): kind for kind in ProgramType if kind},
    "tc": ProgramType.SCHED_CLS,
    "action": ProgramType.SCHED_ACT,
}
DIALECTS = ("libbpf", "iproute2")
Function = TypeVar("Function", bound=Callable[..., Any])


def open_legacy(path: Path, **options: Any) -> Object:
    """The object in a file, C source included, with what tc would not say as warnings."""
    from osmia.cli.sources import is_source, open_source
    from osmia.formats import open_object

    with remarks_noted():
        if is_source(path):
            return open_source(path)
        return open_object(path, **options)


def program_type(name: str | None) -> ProgramType | None:
    """The type that `--type` says."""
    return TYPES[name] if name else None


def takes_type(function: Function) -> Function:
    """Give a verb `--type` and `--dialect`."""
    function = click.option(
        "--type",
        "kind",
        type=click.Choice(list(TYPES)),
        metavar="TYPE",
        help="The type of programs whose section tells none: tc, xdp, lwt_out, kprobe, …",
    )(function)
    return click.option(
        "--dialect", type=click.Choice(DIALECTS), help="The file's dialect.  [default: found out]"
    )(function)


def takes_pin_root(function: Function) -> Function:
    """Give a verb `--pin-root`."""
    return click.option(
        "--pin-root",
        type=click.Path(path_type=Path),
        help="Where maps are pinned by name.  [default: /sys/fs/bpf]",
    )(function)


def load_attachable(obj: Object, pin_root: Path | None) -> KernelObject:
    """Load what is attached for longer than this process lives."""
    from osmia.kernel.load import loader, tc_pins

    warn_unpinned(obj)
    return loader.load(obj, pin_root=pin_root or tc_pins.root_for_names(obj.maps.values()))


def warn_unpinned(obj: Object) -> None:
    """Say which prog arrays the kernel will empty when this process ends."""
    for definition in obj.maps.values():
        pinned = bool(definition.pinning or definition.pin_path)
        if definition.type is MapType.PROG_ARRAY and definition.slots and not pinned:
            note(
                f"osmia: warning: prog array {definition.name!r} is not pinned: the kernel"
                " empties it when this command ends"
            )
