"""Puts the tools' compiled programs into wheels and source distributions.

Who installs from a source distribution has them in it and needs no compiler. Where there is none
to build from a checkout, they are left out, and the tools want one when they are used.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ToolPrograms(BuildHookInterface[Any]):
    """Compiles each `src/osmia/tools/*.bpf.c` that has no object beside it."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the objects that shall be in what is built; none for an editable installation."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root) / "src"))
        from osmia.errors import CompileError
        from osmia.tools.programs import compile_program, program_names, source_of

        place = "osmia/tools" if self.target_name == "wheel" else "src/osmia/tools"
        self._made = tempfile.TemporaryDirectory(prefix="osmia-tools-")
        try:
            for name in program_names():
                if source_of(name).with_suffix(".o").exists():
                    continue
                made = Path(self._made.name) / f"{name}.bpf.o"
                made.write_bytes(compile_program(name, byteorder="little"))
                build_data["force_include"][str(made)] = f"{place}/{made.name}"
        except CompileError as error:
            self.app.display_warning(f"the tools' programs are left out: {error}")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Nobody needs the objects here any more."""
        if version != "editable":
            self._made.cleanup()
