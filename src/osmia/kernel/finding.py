"""Functions by signature, wherever they are: in loaded programs, published libraries, files."""

from __future__ import annotations

import errno
import os
import struct
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from osmia.arguments import names_wrong_arguments
from osmia.btf import BTF, Func, FuncLinkage, declaration, kernel_btf, module_btf
from osmia.btf.signatures import Signature
from osmia.errors import KernelError, OsmiaError, OsmiaWarning
from osmia.formats import open_object
from osmia.kernel.inventory import iterate
from osmia.kernel.libraries import listing, places
from osmia.kernel.libraries.library import read_object
from osmia.kernel.programs.info import ProgramInfo, function_records
from osmia.kernel.sys import pins, syscall
from osmia.kernel.sys.btf_objects import btf_from_id
from osmia.kernel.sys.fd import FileDescriptor
from osmia.named_tuples import NamedTuple
from osmia.object.model import Function, Object
from osmia.passes.kernel_files import read_types

_ELF = b"\x7fELF"
_KERNEL_TYPES = Path("/sys/kernel/btf")


class HasObject(Protocol):
    """A loaded object or a library."""

    @property
    def name(self) -> str: ...
    @property
    def object(self) -> Object: ...


#: "kernel", "libraries", a file, or what was opened or loaded.
Place = str | os.PathLike[str] | Object | HasObject


class FoundFunction(NamedTuple):
    """A function that `find` found. `signature` is its declaration in C; `linkage` is "global",
    "weak", "static" or "extern"; `is_program` tells whether it is one that is attached or run.

    Of one in the kernel `program_id`, `program` and `tag` are those of the loaded program that it
    is in, whose name the kernel cuts. Else `library` and its `version`, or the `file`, or where
    neither is set the object that was given.
    """

    name: str
    signature: str
    linkage: str
    is_program: bool = False
    program_id: int = 0
    program: str = ""
    tag: str = ""
    library: str = ""
    version: int = 0
    file: str = ""

    @property
    def place(self) -> str:
        """Where it is, in words."""
        if self.program_id:
            return f"program {self.program_id} ({self.program})"
        if self.library:
            return f"library {self.library}, version {self.version}"
        return self.file


@names_wrong_arguments
def find(
    signature: str,
    where: Place | Iterable[Place] = ("kernel", "libraries"),
    *,
    root: places.Root = None,
) -> list[FoundFunction]:
    """The functions of a signature: "int (struct xdp_md *, int)", "int parse*(…)".

    A name may be given, with wildcards; `*` is any type, `…` or `...` any parameters; see
    `osmia.btf.signatures`. `where` says where to look: "kernel" (programs that are loaded and
    their functions, CAP_SYS_ADMIN), "libraries" (those published under `root`), paths of objects
    and of BTF (/sys/kernel/btf/vmlinux), objects, loaded objects, libraries; one or several.

    SignatureError, with the column, for text that is no signature; ObjectFormatError and OSError
    as of `osmia.open`. A library that cannot be read is an OsmiaWarning.
    """
    wanted = Signature(signature)
    one = isinstance(where, str | os.PathLike | Object) or hasattr(where, "object")
    found: list[FoundFunction] = []
    for place in [where] if one else where:  # type: ignore[union-attr]
        found += _find_in(wanted, place, root)  # type: ignore[arg-type]
    return found


def _find_in(wanted: Signature, place: Place, root: places.Root) -> Iterator[FoundFunction]:
    if place == "kernel":
        return _in_kernel(wanted)
    if place == "libraries":
        return _in_libraries(wanted, root)
    if isinstance(place, Object):
        return _in_object(wanted, place, FoundFunction("", "", "", file=place.path or place.name))
    if isinstance(place, str | os.PathLike):
        return _in_file(wanted, Path(place))
    like = FoundFunction("", "", "", file=place.name)
    return _in_object(wanted, place.object, like)


def _in_kernel(wanted: Signature) -> Iterator[FoundFunction]:
    """Each BTF object is read once, and only programs whose BTF has such a function are opened."""
    known: dict[int, dict[int, FoundFunction]] = {}
    for info in iterate.programs():
        if not info.btf_id or not info.function_count:
            continue
        if info.btf_id not in known:
            known[info.btf_id] = _known_to_kernel(wanted, info.btf_id)
        matching = known[info.btf_id]
        for slot, type_id in _functions_of(info) if matching else ():
            if type_id in matching:
                yield matching[type_id]._replace(
                    is_program=slot == 0, program_id=info.id, program=info.name, tag=info.tag
                )


def _known_to_kernel(wanted: Signature, btf_id: int) -> dict[int, FoundFunction]:
    """The functions in a BTF object by type id; none where it is gone meanwhile."""
    try:
        return _in_btf(wanted, btf_from_id(btf_id))
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
        return {}


def _functions_of(info: ProgramInfo) -> Iterator[tuple[int, int]]:
    """First slots and type ids of a program's functions; none of one that is gone meanwhile."""
    try:
        with FileDescriptor(syscall.prog_get_fd_by_id(info.id), f"program {info.id}") as fd:
            records, size = function_records(fd.fileno())
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
        return
    for offset in range(0, len(records) - size + 1, size or 1):
        yield struct.unpack_from("=II", records, offset)


def _in_libraries(wanted: Signature, root: places.Root) -> Iterator[FoundFunction]:
    if root is None and not pins.bpffs_mounts():
        return
    for info in listing.published(root):
        try:
            if info.problem:
                raise OsmiaError(info.problem)
            _, obj = read_object(info.name, info.path)
            like = FoundFunction("", "", "", library=info.name, version=info.version)
            yield from list(_in_object(wanted, obj, like))
        except OsmiaError as error:
            if info.path.exists():  # else it was replaced or removed meanwhile
                warnings.warn(f"library {info.name!r}: {error}", OsmiaWarning, stacklevel=4)


def _in_file(wanted: Signature, path: Path) -> Iterator[FoundFunction]:
    file = os.fspath(path)
    with path.open("rb") as opened:
        is_elf = opened.read(len(_ELF)) == _ELF
    if is_elf:
        return _in_object(wanted, open_object(path), FoundFunction("", "", "", file=file))
    if path.parent == _KERNEL_TYPES:
        types = kernel_btf() if path.name == "vmlinux" else module_btf(path.name)
    else:
        types = read_types(path)
    return (each._replace(file=file) for each in _in_btf(wanted, types).values())


def _in_btf(wanted: Signature, btf: BTF) -> dict[int, FoundFunction]:
    found = {}
    for type_id in wanted.functions(btf):
        function = btf.type(type_id)
        assert isinstance(function, Func)
        linkage = FuncLinkage(function.linkage).name.lower() if function.linkage < 3 else ""
        found[type_id] = FoundFunction(function.name, declaration(btf, type_id, ""), linkage)
    return found


def _in_object(wanted: Signature, obj: Object, like: FoundFunction) -> Iterator[FoundFunction]:
    """The functions that an object defines; `like` says where it is."""
    if obj.btf is None:
        return
    entries = {program.function for program in obj.programs.values()}
    for key, function in obj.functions.items():
        if function.btf_id and wanted.matches(obj.btf, function.btf_id):
            yield like._replace(
                name=function.name,
                signature=declaration(obj.btf, function.btf_id, function.name),
                linkage=_linkage(function),
                is_program=key in entries,
            )


def _linkage(function: Function) -> str:
    return "weak" if function.weak else function.linkage.name.lower()
