"""The kernel as an engine: what `osmia.engine.registry` finds under the name "kernel"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osmia.kernel.options import LoadOptions

if TYPE_CHECKING:
    from osmia.kernel.load.loaded import KernelObject
    from osmia.kernel.programs.program import KernelProgram
    from osmia.object import Object
    from osmia.passes.options import CommonOptions


class KernelEngine:
    """bpf(2): see `osmia.engine.protocol.Engine`."""

    name = "kernel"
    lacks: Mapping[str, str] = {
        "session": "no kernel lets anybody step through a program: load it with engine='vm'",
    }
    options: Mapping[str, frozenset[str]] = {
        "load": LoadOptions.__optional_keys__,
        "run": frozenset({"flags", "cpu", "batch_size"}),
    }

    def load(self, obj: Object, passes: CommonOptions, options: Mapping[str, Any]) -> KernelObject:
        """See `osmia.kernel.load.loader.load`, and `load_signed` for `keyring`."""
        if options.get("keyring") is not None:
            from osmia.kernel.skeletons.signed_load import load_signed

            return load_signed(obj, **passes, **options)
        from osmia.kernel.load.loader import load

        options = {name: value for name, value in options.items() if name != "keyring"}

        return load(obj, **passes, **options)

    def program_class(self) -> type[KernelProgram]:
        """What opens programs by id and pin, and loads single ones."""
        from osmia.kernel.programs.program import KernelProgram

        return KernelProgram


ENGINE = KernelEngine()
