"""Load a program to be debugged: compiled with DWARF, and passes followed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from osmia.debugger.compiled_files import FileLike
from osmia.debugger.origins import Origins
from osmia.debugger.variables import DebugInformation
from osmia.formats.libbpf import object_name
from osmia.formats.open import open_object, read_elf
from osmia.object.model import Object

if TYPE_CHECKING:
    from osmia.vm.loaded import VmObject

_known: WeakKeyDictionary[VmObject, DebugInformation] = WeakKeyDictionary()
"""What is known of the variables of objects that are loaded, while they are."""


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
    passes do to its code. `files` are those of `DebugInformation`, `options` of the vm's load."""
    origins = Origins()
    passes = [*origins.passes, *options.pop("passes", ())]
    loaded: VmObject = obj.load("vm", passes=passes, **options)
    try:
        _known[loaded] = DebugInformation(loaded.source, files, origins)
    except BaseException:
        loaded.close()
        raise
    return loaded


def information_of(loaded: VmObject) -> DebugInformation:
    """What is known of the variables of a loaded object. Of one that was loaded otherwise it is
    that of functions which no pass has changed."""
    found = _known.get(loaded)
    if found is None:
        found = _known[loaded] = DebugInformation(loaded.source)
        found.leave_out(_changed(loaded.source.functions, loaded.object.functions))
    return found


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The functions whose code is another now; relocated numbers are no other code."""
    return [
        key
        for key, function in before.items()
        if key not in after or after[key].code[::8] != function.code[::8]
    ]
