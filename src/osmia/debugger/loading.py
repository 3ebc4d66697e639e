"""Load a program to be debugged: compiled with DWARF, and passes followed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from osmia.debugger.compiled_files import FileLike
from osmia.debugger.origins import Origins
from osmia.debugger.variables import DebugInformation
from osmia.errors import OsmiaError
from osmia.formats.libbpf import object_name
from osmia.formats.open import open_object, read_elf
from osmia.object.model import Object

if TYPE_CHECKING:
    from osmia.vm.loaded import VmObject

_known: WeakKeyDictionary[VmObject, _Debugged] = WeakKeyDictionary()
"""What was loaded to be debugged, while it is loaded."""


def read(
    source: Object | str | os.PathLike[str], **compile_options: Any
) -> tuple[Object, list[FileLike] | None]:
    """An Object and the files that have its DWARF: of C source (`.c`, or text with a newline in
    it) as the compiler made it, with the options of `osmia.toolchain.compile`; of an object file
    it is that file (None). Raises what compiling and opening raise."""
    if isinstance(source, Object):
        return source, None
    name = os.fspath(source)
    if "\n" not in name and not name.endswith(".c"):
        return open_object(source), None
    from osmia.toolchain import compile as compile_file

    compiled = compile_file(source, **{**compile_options, "dwarf": True})
    obj = read_elf(compiled.data, compiled.name, object_name(compiled.name))
    return obj, [(compiled.name, compiled.data)]


def load(obj: Object, files: Sequence[FileLike] | None = None, **options: Any) -> VmObject:
    """Load an Object into a vm, so that the variables of its programs are known there, whatever
    passes do to its code. `files` are those of `DebugInformation`, read when somebody asks;
    `options` those of the vm's load."""
    origins = Origins()
    passes = [*origins.passes, *options.pop("passes", ())]
    loaded: VmObject = obj.load("vm", passes=passes, **options)
    _known[loaded] = _Debugged(loaded.source, files, origins)
    return loaded


def information_of(loaded: VmObject) -> DebugInformation:
    """What is known of the variables of a loaded object. Of one that was loaded otherwise it is
    that of functions which no pass has changed; where it came from C source it is compiled once
    more, for its DWARF, and counts where that gives the same code."""
    found = _known.get(loaded)
    if found is None:
        found = _known[loaded] = _Debugged(loaded.source, None, None)
        found.changed = _changed(loaded.source.functions, loaded.object.functions)
    return found.information


class _Debugged:
    """An Object that was loaded, and its debug information once somebody asked for that."""

    def __init__(
        self, obj: Object, files: Sequence[FileLike] | None, origins: Origins | None
    ) -> None:
        self._object = obj
        self._files = files
        self._origins = origins
        self.changed: Sequence[str] = ()

    @cached_property
    def information(self) -> DebugInformation:
        """What is known; what is wrong with the files is a remark."""
        try:
            files = self._files if self._files is not None else _compiled_anew(self._object.path)
            made = DebugInformation(self._object, files, self._origins)
        except (OsmiaError, OSError) as error:
            made = DebugInformation(self._object, [], self._origins)
            made.remarks[:] = [f"no local variables: {error}"]
        made.leave_out(self.changed)
        return made


def _compiled_anew(path: str) -> list[FileLike] | None:
    """What the source at a path compiles to, with DWARF; None for what is no source."""
    if not path.endswith(".c") or not Path(path).is_file():
        return None
    return read(path)[1]


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The functions whose code is another now; relocated numbers are no other code."""
    return [
        key
        for key, function in before.items()
        if key not in after or after[key].code[::8] != function.code[::8]
    ]
