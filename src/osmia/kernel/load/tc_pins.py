"""Where tc and ip pin maps: the bpffs they use, and the directories in it.

As lib/bpf_legacy.c of iproute2 has it: `tc/globals/MAP` for all, `tc/<sha1>/MAP` for one
object file, `<subpath>/MAP` for the namespaces that /etc/iproute2/bpf_pinning names; `xdp`
and `ip` are symbolic links to `tc`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from osmia.errors import KernelError, OsmiaError, RelocationError
from osmia.kernel.sys.pins import BPFFS, bpffs_mounts, is_on_bpffs, mount_bpffs, safe_name
from osmia.object.model import Map, Pinning
from osmia.paths import Path

#: The environment variable that says which bpffs to use.
MOUNT_VARIABLE = "TC_BPF_MNT"

#: Where the namespaces of pins are named; later iproute2 keeps its own file elsewhere.
NAMESPACE_FILES = (
    "/etc/iproute2/bpf_pinning",
    "/usr/share/iproute2/bpf_pinning",
    "/usr/lib/iproute2/bpf_pinning",
)

_SECOND_PLACE = "/bpf"
_TC = "tc"
_GLOBALS = "globals"
_LINKS = ("xdp", "ip")

#: A namespace file of more bytes is none.
_FILE_LIMIT = 1 << 20


def tc_root(environment: Mapping[str, str] = os.environ) -> Path:
    """The bpffs that tc uses: $TC_BPF_MNT, else /sys/fs/bpf, else /bpf, else the first one.

    Where there is none it is mounted, mode 0700: at $TC_BPF_MNT, else at /sys/fs/bpf.
    """
    mounts = bpffs_mounts()
    said = environment.get(MOUNT_VARIABLE, "")
    if said:
        place = Path(said)
        if not place.is_dir() or not is_on_bpffs(place):
            _mount(place)
        return place
    for place in (Path(BPFFS), Path(_SECOND_PLACE), *mounts):
        if place in mounts:
            return place
    place = Path(BPFFS)
    _mount(place)
    return place


def _mount(place: Path) -> None:
    try:
        place.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise KernelError(error.errno or 0, f"make the directory '{place}' for a bpffs") from None
    mount_bpffs(place)


def pin_path(definition: Map, digest: str) -> Path:
    """Where a map is pinned that asks for one of tc's places. `digest`: see `Object.pin_digest`.

    Raises RelocationError for a namespace that no file names and for a name that is no
    file's name; nothing is made.
    """
    name = safe_name(definition.name)
    match definition.pinning:
        case Pinning.GLOBAL:
            return tc_root() / _TC / _GLOBALS / name
        case Pinning.OBJECT:
            if not digest:
                raise RelocationError(
                    f"map {definition.name!r} is pinned for its file alone, and the file is not"
                    " known; set Object.pin_digest"
                )
            return tc_root() / _TC / safe_name(digest) / name
    subpath = namespaces().get(definition.pinning)
    if subpath is None:
        raise RelocationError(
            f"map {definition.name!r}: pinning {definition.pinning} is not known; no line of"
            f" {NAMESPACE_FILES[0]} names it"
        )
    return tc_root().joinpath(*map(safe_name, subpath.strip("/").split("/")), name)


def root_for_names(maps: Iterable[Map]) -> Path:
    """The directory for maps that are pinned by name where nobody says one: libbpf's.

    OsmiaError when tc has pinned one of them already and libbpf has not: what is attached
    beside tc's programs is to share their maps.
    """
    for definition in maps:
        if definition.pinning == Pinning.BY_NAME and not definition.pin_path:
            name = safe_name(definition.name)
            other = tc_root() / _TC / _GLOBALS
            if (other / name).exists() and not Path(BPFFS, name).exists():
                raise OsmiaError(
                    f"map {definition.name!r} is pinned in '{other}' and not in '{BPFFS}'; say"
                    " which of them this is for (--pin-root)"
                )
    return Path(BPFFS)


def namespaces() -> dict[int, str]:
    """The subdirectories for pinning values from 3 on, as the first file that exists says."""
    for path in NAMESPACE_FILES:
        try:
            with Path(path).open(encoding="utf-8", errors="surrogateescape") as file:
                return dict(_entries(file.read(_FILE_LIMIT)))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise KernelError(error.errno or 0, f"read '{path}'") from None
    return {}


def _entries(text: str) -> Iterator[tuple[int, str]]:
    """The lines "NUMBER SUBPATH", "#" begins a comment; numbers below 3 have their meaning."""
    for line in text.splitlines():
        number, *rest = line.partition("#")[0].split() or [""]
        try:
            value = int(number, 0)
        except ValueError:
            continue
        if value > Pinning.GLOBAL and rest:
            yield value, rest[0]


def make_layout(root: Path) -> list[Path]:
    """Make `tc`, and `xdp` and `ip` as links to it; what was made, in order."""
    made = []
    try:
        directory = root / _TC
        if not directory.exists():
            directory.mkdir(mode=0o700)
            made.append(directory)
        for name in _LINKS:
            if not os.path.lexists(root / name):
                (root / name).symlink_to(_TC)
                made.append(root / name)
    except OSError as error:
        remove_layout(made)
        raise KernelError(error.errno or 0, f"make '{error.filename}'") from None
    return made


def remove_layout(made: list[Path]) -> None:
    """Remove what `make_layout` made and is not in use by now."""
    for path in reversed(made):
        try:
            path.unlink() if path.is_symlink() else path.rmdir()
        except OSError:
            continue  # somebody else's pins are in it
