"""Which function a program runs when bpf_throw() is called: a declaration tag of the program.

`__attribute__((btf_decl_tag("exception_callback:NAME")))`, read as libbpf reads it.
"""

from __future__ import annotations

from osmia.btf import DeclTag, Func, Kind
from osmia.errors import ObjectFormatError
from osmia.object.model import Linkage, Object
from osmia.records import replace

_PREFIX = "exception_callback:"


def read_exception_callbacks(obj: Object) -> None:
    """Fill in `Program.exception_callback`. ObjectFormatError for tags that cannot hold."""
    if obj.btf is None:
        return
    found: dict[str, list[str]] = {}
    for type_id in obj.btf.ids_of_kind(Kind.DECL_TAG):
        tag = obj.btf.type(type_id)
        if not isinstance(tag, DeclTag) or tag.component != -1 or not tag.name.startswith(_PREFIX):
            continue
        tagged = obj.btf.type(tag.type_id)
        if not isinstance(tagged, Func) or tagged.linkage != Linkage.GLOBAL:
            raise ObjectFormatError(f"{tag.name!r} is no tag of a program", file=obj.path)
        found.setdefault(tagged.name, []).append(tag.name.removeprefix(_PREFIX))
    for name, callbacks in found.items():
        # Of several the verifier says that they are too many.
        if name in obj.programs and len(callbacks) == 1:
            _check(obj, name, callbacks[0])
            obj.programs[name] = replace(obj.programs[name], exception_callback=callbacks[0])


def _check(obj: Object, program: str, callback: str) -> None:
    function = obj.functions.get(callback)
    if function is None or callback in obj.programs:
        raise ObjectFormatError(
            f"program {program!r} has no exception callback {callback!r}", file=obj.path
        )
    if function.linkage is not Linkage.GLOBAL or function.hidden:
        raise ObjectFormatError(
            f"exception callback {callback!r} of program {program!r} is static or hidden",
            file=obj.path,
        )
