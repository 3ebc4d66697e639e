"""An object's types in the kernel: as they are, else with what it lacks replaced, else none."""

from __future__ import annotations

import warnings

from osmia.btf import BTF
from osmia.errors import OsmiaWarning
from osmia.kernel.sys.btf_objects import BtfLoadError, load_btf
from osmia.kernel.sys.fd import FileDescriptor
from osmia.named_tuples import NamedTuple


class ObjectBtf(NamedTuple):
    """The descriptor of the types in the kernel; `functions`: also those of functions, which
    a program's func_info and line_info need (since 5.0)."""

    fd: FileDescriptor
    functions: bool = True


def load_object_btf(btf: BTF, name: str, *, needed: bool, token_fd: int = 0) -> ObjectBtf | None:
    """Load the types of the object `name`; since 4.18.

    A kernel that refuses them is asked which kinds it lacks, and gets the types without
    those. When it takes none at all, the object is loaded without types, with a warning;
    where it cannot be (`needed`: for struct_ops) that is a BtfLoadError.
    """
    try:
        return ObjectBtf(load_btf(btf.to_bytes(), token_fd=token_fd))
    except BtfLoadError as error:
        refusal = error
    from osmia.btf.sanitize import FUNC, KINDS, sanitized
    from osmia.kernel.probes import features

    lacking = [kind for kind in KINDS if not features.has(kind)]
    simpler = sanitized(btf, lacking)
    if simpler is not btf:
        try:
            return ObjectBtf(load_btf(simpler.to_bytes(), token_fd=token_fd), FUNC not in lacking)
        except BtfLoadError as error:
            refusal = error
    if needed:
        raise refusal
    message = f"{name} is loaded without types (no source lines, plain maps): {refusal}"
    warnings.warn(message, OsmiaWarning, stacklevel=8)
    return None
