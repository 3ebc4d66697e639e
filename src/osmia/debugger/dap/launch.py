"""What "launch" asks for: a program, loaded into a vm, and what to run it on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osmia.debugger import loading
from osmia.errors import OsmiaError
from osmia.records import dataclass, field
from osmia.values.names import unknown_name

if TYPE_CHECKING:
    from osmia.vm.loaded import VmObject
    from osmia.vm.programs import VmProgram

#: Arguments of "launch", with the types that their values have in JSON.
_ARGUMENTS: Mapping[str, tuple[type, ...]] = {
    "program": (str,),
    "function": (str,),
    "packet": (str,),
    "packetFile": (str,),
    "pcap": (str,),
    "ctx": (dict, list, str, bytes),
    "data": (dict,),
    "maps": (dict,),
    "stopOnEntry": (bool,),
    "stopAtEnd": (bool,),
    "elapse": (int, float),
    "executor": (str,),
    "strict": (bool,),
    "budget": (int,),
    "cwd": (str,),
    "includes": (list,),
    "defines": (dict, list),
    "flags": (list,),
    "cpu": (str,),
    "compiler": (str,),
    "options": (dict,),
    "noDebug": (bool,),
}
_NUMBER_TEXT = 16
_COMPILER = ("defines", "flags", "cpu", "compiler")


class LaunchError(OsmiaError):
    """Arguments of "launch" that cannot be right."""


@dataclass(slots=True)
class Launched:
    """A program and the inputs that it is run on, one after the other. `close` unloads it."""

    loaded: VmObject
    program: VmProgram
    inputs: list[bytes]
    ctx: Any
    directory: Path
    undo: ExitStack
    stop_on_entry: bool = False
    stop_at_end: bool = False
    debug: bool = True
    elapse: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def close(self) -> None:
        """Unload the program."""
        self.undo.close()


def launch(arguments: Mapping[str, Any]) -> Launched:
    """Load what the arguments say. LaunchError for those that cannot be right, and what compiling,
    opening and loading raise; nothing is left loaded then."""
    _check(arguments)
    directory = Path(arguments.get("cwd") or ".").absolute()
    source = _path(directory, arguments["program"])
    compile_options = {name: arguments[name] for name in _COMPILER if name in arguments}
    if "includes" in arguments:
        compile_options["includes"] = [_path(directory, each) for each in arguments["includes"]]
    obj, files = loading.read(source, **compile_options)
    for name, value in arguments.get("data", {}).items():
        obj.data[name] = value
    with ExitStack() as undo:
        loaded = undo.enter_context(
            loading.load(obj, files, **_load_options(arguments.get("options", {})))
        )
        for name, entries in arguments.get("maps", {}).items():
            _fill(loaded, name, entries)
        ctx = arguments.get("ctx")
        program = _program(loaded, arguments.get("function"))
        launched = Launched(
            loaded,
            program,
            list(_inputs(arguments, directory, program)),
            bytes.fromhex(ctx) if isinstance(ctx, str) else ctx,
            directory,
            undo,
            arguments.get("stopOnEntry", False),
            arguments.get("stopAtEnd", False),
            not arguments.get("noDebug", False),
            arguments.get("elapse"),
            {name: arguments[name] for name in ("strict", "budget") if name in arguments},
        )
        launched.undo = undo.pop_all()
    return launched


def _check(arguments: Mapping[str, Any]) -> None:
    if not arguments.get("program"):
        raise LaunchError('"program" is missing: the path of a C source or an object file')
    for name, value in arguments.items():
        kinds = _ARGUMENTS.get(name)
        if kinds is not None and not isinstance(value, kinds):
            words = " or ".join(each.__name__ for each in kinds)
            raise LaunchError(f'"{name}" is {value!r:.80}, and not {words}')
    if arguments.get("executor", "interpreter") not in ("interpreter", "auto"):
        raise LaunchError('"executor": what is stepped through is interpreted: "interpreter"')
    if arguments.get("elapse", 0) < 0:
        raise LaunchError('"elapse": so many seconds go by behind the program\'s end')
    given = [name for name in ("packet", "packetFile", "pcap") if name in arguments]
    if len(given) > 1:
        raise LaunchError(f"one of {', '.join(given)} is enough")


def _load_options(options: Mapping[str, Any]) -> dict[str, Any]:
    if "passes" in options:
        raise LaunchError('"options": passes are functions, which JSON has not')
    return dict(options)


def _path(directory: Path, path: str) -> Path:
    return directory / os.path.expanduser(path)  # noqa: PTH111 - Path's refuses unknown users


def _program(loaded: VmObject, name: str | None) -> VmProgram:
    programs = loaded.programs
    if name is not None:
        if name not in programs:
            raise LaunchError(unknown_name("the object", name, programs, kind="program "))
        return programs[name]
    if len(programs) != 1:
        known = ", ".join(programs) or "none"
        raise LaunchError(f'"function" says which of its programs to run: {known}')
    return next(iter(programs.values()))


def _inputs(arguments: Mapping[str, Any], directory: Path, program: VmProgram) -> Iterator[bytes]:
    if "pcap" in arguments:
        from osmia.captures.packets import read_packets

        yield from (data for _, data in read_packets(_path(directory, arguments["pcap"])))
    elif "packetFile" in arguments:
        yield _path(directory, arguments["packetFile"]).read_bytes()
    elif "packet" in arguments:
        text = arguments["packet"]
        try:
            yield bytes.fromhex(text.replace(":", " "))
        except ValueError:
            raise LaunchError(f'"packet" is no hexadecimal text: {text!r:.80}') from None
    else:
        from osmia.captures.packets import PACKET_TYPES

        yield bytes(64) if program.type in PACKET_TYPES else b""


def _fill(loaded: VmObject, name: str, entries: Any) -> None:
    """Put entries into a map: an object of keys and values, or a list of values for an array."""
    if name not in loaded.maps:
        raise LaunchError(unknown_name("the object", name, loaded.maps, kind="map "))
    pairs = enumerate(entries) if isinstance(entries, list) else entries.items()
    for key, value in pairs:
        loaded.maps[name][_key(key)] = value


def _key(key: Any) -> Any:
    """JSON has no keys but text: numbers are meant as such."""
    if isinstance(key, str) and len(key) <= _NUMBER_TEXT:
        try:
            return int(key, 0)
        except ValueError:
            return key
    return key
