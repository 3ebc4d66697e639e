"""From an object to its light skeleton."""

from __future__ import annotations

from osmia.kernel.load.target import kernel_target
from osmia.kernel.skeletons.contents import contents_of
from osmia.kernel.skeletons.light_header import header_text
from osmia.kernel.skeletons.loader_program import Form, loader_program, signed_bytes
from osmia.kernel.skeletons.names import checked_name
from osmia.kernel.skeletons.pkcs7 import Signer
from osmia.object.model import Object
from osmia.passes.target import Target


def light_skeleton(
    obj: Object,
    name: str = "",
    *,
    target: Target | None = None,
    signer: Signer | None = None,
    form: Form = Form.CHECKED,
) -> str:
    """A C header with the object in it and a BPF program that loads it (since 5.14).

    It needs libbpf's skel_internal.h to compile, and nothing of it to run. Its functions are
    those of bpftool's light skeletons: `NAME__open_and_load()`, … (`skeleton_name` unless
    told). CO-RE records and externs are resolved where it runs, `__kconfig` values are those
    of `target` (default: the kernel here).

    With a `signer` the kernel is to check the program, in a `form` that it takes (since 6.18): set
    `skel->keyring_id` to the keyring that has the signer's certificate. It takes the
    skel_internal.h of a libbpf for that form: CHECKED since 1.7.

    Raises ValueError for a name that C cannot have, NotSupportedError for what a BPF program
    cannot load (pinned maps, struct_ops, arenas, jump tables, freplace), and as `load`.
    """
    name = checked_name(obj, name)
    # Maps of data sections have the skeleton's name before them, as bpftool has it.
    contents = contents_of(obj.copy(name=name), target or kernel_target())
    if signer is None:
        return header_text(contents, loader_program(contents), name)
    made = loader_program(contents, form)
    return header_text(contents, made, name, signer.sign(signed_bytes(form, made)))
