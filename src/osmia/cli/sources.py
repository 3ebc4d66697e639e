"""Files that verbs take: an object as it is, C source through the compiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from osmia.errors import OsmiaError
from osmia.records import replace

if TYPE_CHECKING:
    from osmia.btf import BTF
    from osmia.object import Object
    from osmia.passes.target import Target

_KERNEL_TYPES = Path("/sys/kernel/btf")

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])


def open_source(path: Path, **compile_options: Any) -> Object:
    """The object in `path`; when that is C source, what the compiler makes of it. It may be an
    image, oci://HOST/NAME:TAG."""
    if reference := image_reference(path):
        from osmia.images.opening import open_image

        return open_image(reference)
    if is_source(path):
        from osmia.toolchain.objects import compile_object

        return compile_object(path, **compile_options)
    from osmia.prepared.opening import open_object  # what is kept is not read to be loaded

    return open_object(path)


def image_reference(path: Path) -> str:
    """ "oci://host/name:tag", where that is what was typed; "" for a file's path."""
    if path.parts[:1] != ("oci:",):
        return ""
    return f"oci://{'/'.join(path.parts[1:])}"  # a Path has single slashes


def types_in(path: Path, base: BTF | None = None) -> BTF:
    """Raw BTF, that of an object, of C source or of a kernel image, or a kernel's own.

    That is one in /sys/kernel/btf. `base` has the types below those of the file, where that is
    split BTF.
    """
    if is_source(path):
        types = open_source(path).btf
        if types is None:
            raise OsmiaError(f"{path}: what the compiler makes of it has no types")
        return types
    from osmia.btf import kernel_btf, module_btf
    from osmia.passes.kernel_files import read_types

    if path.parent == _KERNEL_TYPES and base is None:
        return kernel_btf() if path.name == "vmlinux" else module_btf(path.name)
    return read_types(path, base)


def takes_target(command: AnyCommand) -> AnyCommand:
    """`target=` of `Object.load` on the command line, for `target_of`."""
    machine = click.option(
        "--target",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="DIRECTORY",
        help="Resolve against another machine: a directory with its vmlinux (BTF), modules/,"
        " kallsyms, config, release.",
    )
    types = click.option(
        "--target-btf",
        type=click.Path(path_type=Path),
        help="Answer CO-RE from these types (raw BTF, a kernel image), not the running kernel's.",
    )
    return machine(types(command))


def target_of(
    target: Path | None, target_btf: Path | None, engine: str = "kernel"
) -> Target | None:
    """The machine that `--target` or `--target-btf` names; None without either."""
    from osmia.passes.target import Target

    if target is not None:
        if target_btf is not None:
            raise click.UsageError("--target brings its own types: leave --target-btf out")
        return Target.from_directory(target)
    if target_btf is None:
        return None
    types = types_in(target_btf)
    from osmia.kernel.load.target import kernel_target

    return kernel_target(core_btf=types) if engine == "kernel" else Target.running(core_btf=types)


def is_source(path: Path) -> bool:
    """Whether the file's name says that it is C."""
    return path.suffix == ".c"


def set_globals(obj: Object, assignments: Sequence[str]) -> None:
    """Apply `--set NAME=VALUE` to an object's global variables. UsageError for others."""
    from osmia.cli.formats import taken
    from osmia.cli.literals import parse_literal
    from osmia.values.meant import meant_codec

    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise click.UsageError(f"--set takes NAME=VALUE, not {assignment!r}")
        shown = meant_codec(obj.data.slot(name).codec, name)
        obj.data[name] = taken(shown, parse_literal(text, shown))


def select_programs(obj: Object, names: Sequence[str]) -> Object:
    """The object with none but these programs to be loaded; all as they are without names."""
    from osmia.values.names import unknown_name

    if not names:
        return obj
    for name in names:
        if name not in obj.programs:
            raise OsmiaError(unknown_name(obj.path or obj.name, name, obj.programs))
    chosen = obj.copy()
    for name, program in obj.programs.items():
        chosen.programs[name] = replace(program, autoload=name in names)
    return chosen
