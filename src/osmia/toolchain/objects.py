"""`osmia.compile` and `osmia.link`: from C source straight to an Object, from several to one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from osmia.arguments import names_wrong_arguments
from osmia.prepared.opening import object_of, open_object
from osmia.toolchain.compilation import compile  # noqa: A004

if TYPE_CHECKING:
    from osmia.object import Object


def compile_object(source: str | os.PathLike[str], **options: Any) -> Object:
    """Compile a C source file, or C text (a `str` with a newline in it), to an Object.

    The options are those of `osmia.toolchain.compile`: `compiler`, `includes`, `defines`,
    `flags`, `cpu`, `target`, `architecture`, `vmlinux`, `name`. A clang with the BPF
    target is used if there is one, else the one in the `ziglang` wheel (the extra
    `osmia[compile]`), so that nothing needs to be installed but Python packages.

    Raises CompileError with the compiler's diagnostics.
    """
    compiled = compile(source, **options)
    return object_of(compiled.data, compiled.name, "")


@names_wrong_arguments
def link_objects(
    inputs: Iterable[Object | str | os.PathLike[str]],
    *,
    gc: bool | None = None,
    allow_undefined: bool = False,
    name: str = "",
) -> Object:
    """Join objects, or the files that they are in, to one Object, as `bpftool gen object` does.

    Externs of one are bound to what another defines; what stands under one name must agree by
    the types that BTF tells. Of several definitions a strong one wins, else the first weak one.
    Static functions, variables and maps stay apart, whatever their names. Inputs of iproute2's
    dialect are converted to libbpf's. The inputs stay as they are; `Object.save` writes the
    result, and `Object.parts` says what came from which of them.

    `gc` says which code is left out: by default (None) that of weak functions that lost, with
    the static ones that only they used; True: all static functions that nobody uses, too;
    False: none. With `allow_undefined` externs that nobody defines stay externs, to be linked
    later or bound by `load(imports=…)`. `name` names the result (default: as the first input).

    Raises LinkError, which lists all that is wrong: names that two define or that nobody does,
    declarations that disagree, other licenses or versions, mixed byte orders; and what
    `osmia.open` raises for files.
    """
    from osmia.object import Object
    from osmia.passes.linking import link_objects as link

    if isinstance(inputs, str | os.PathLike):
        raise TypeError("link takes several objects or paths: a list of them")
    objects = [each if isinstance(each, Object) else open_object(each) for each in inputs]
    return link(objects, gc=gc, allow_undefined=allow_undefined, name=name)
