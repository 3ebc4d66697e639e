"""The vm as an engine: what `osmia.engine.registry` finds under the name "vm"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osmia.vm.options import LoadOptions

if TYPE_CHECKING:
    from osmia.object import Object
    from osmia.passes.options import CommonOptions
    from osmia.vm.loaded import VmObject
    from osmia.vm.programs import VmProgram

_NO_KERNEL = "it is in a vm, of which the kernel knows nothing"


class VmEngine:
    """A userspace machine: see `osmia.engine.protocol.Engine`."""

    name = "vm"
    lacks: Mapping[str, str] = {
        "attach": "the vm has no places to attach to: run programs with Program.run",
        "struct_ops": "the vm calls no struct_ops: run their programs with Program.run",
        "pin": f"{_NO_KERNEL}: it cannot be pinned",
        "publish": f"{_NO_KERNEL}, and ends with its process: other objects of the process can be"
        " loaded against the loaded object itself",
        "open": "programs of a vm are found by no id and no pin",
        "fileno": f"{_NO_KERNEL}: there is no descriptor",
        "info": f"{_NO_KERNEL}: there is no info",
        "btf": f"{_NO_KERNEL}; the object has its types",
        "dump": "the vm rewrites no instructions and keeps no machine code to show",
        "run_statistics": "the vm counts no runs: RunResult has their duration",
        "output": "the vm has no program streams",
    }
    options: Mapping[str, frozenset[str]] = {
        "load": LoadOptions.__optional_keys__,
        "run": frozenset(
            {"executor", "strict", "budget", "hook", "args", "result", "objects", "linear"}
        ),
    }

    def load(self, obj: Object, passes: CommonOptions, options: Mapping[str, Any]) -> VmObject:
        """See `osmia.vm.loader.load`."""
        from osmia.vm.loader import load

        return load(obj, **passes, **options)

    def program_class(self) -> type[VmProgram]:
        """The class of its programs."""
        from osmia.vm.programs import VmProgram

        return VmProgram


ENGINE = VmEngine()
