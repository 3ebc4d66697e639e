"""Names in processes: programs and libraries as compilers, linkers and strip leave them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from osmia.symbols import NoSuchProcessError, ProcessSymbols, Stack, Symbols, frames

from .conftest import Compile, Start


def _names(symbols: ProcessSymbols, address: int) -> list[str]:
    return [each.name for each in symbols.frames(address)]


@pytest.mark.parametrize("options", [("-pie", "-fPIE"), ("-no-pie",), ("-static",)])
def test_functions_have_names_wherever_a_program_is_mapped(
    build: Compile, start: Start, options: tuple[str, ...]
) -> None:
    program = build("places.c", "-w", *options)
    running = start(program)
    symbols = ProcessSymbols(running.pid)
    (frame,) = symbols.frames(running.places["hidden"] + 4)
    assert (frame.name, frame.offset, frame.module) == ("hidden", 4, str(program))
    assert symbols.symbolize([running.places["outer"], 1])[1][0].name == ""


def test_inlined_functions_have_frames_of_their_own(build: Compile, start: Start) -> None:
    running = start(build("places.c", "-g", "-O2"))
    found = ProcessSymbols(running.pid).frames(running.places["inlined"])
    assert [each.name for each in found] == ["innermost", "middle", "outer"]
    assert [each.inlined for each in found] == [True, True, False]
    assert all(each.file.endswith("places.c") for each in found)
    source = (Path(__file__).parent / "sources/places.c").read_text().splitlines()
    assert "sink++" in source[found[0].line - 1]
    assert "return innermost()" in source[found[1].line - 1]
    assert "middle()" in source[found[2].line - 1]


def test_a_return_address_is_in_the_line_of_the_call(build: Compile, start: Start) -> None:
    running = start(build("places.c", "-g", "-O0", "-w"))
    symbols = ProcessSymbols(running.pid)
    first = running.places["hidden"]
    # The byte behind the function before it is not in that one for a stack's first address.
    exact, returned_to = symbols.symbolize([first, first], stack=True)
    assert exact[0].name == "hidden"
    assert returned_to[0].name == "outer"
    assert returned_to[0].address == first


@pytest.mark.parametrize("way", ["debuglink", "build id"])
def test_a_stripped_program_has_the_names_of_its_debug_file(
    build: Compile, start: Start, way: str
) -> None:
    program = build("places.c", "-g", "-O2", "-Wl,--build-id")
    debug = program.with_name("program.debug")
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    subprocess.run(["strip", program], check=True)
    running = start(program)
    assert _names(ProcessSymbols(running.pid), running.places["hidden"]) == [""]
    running.stop()
    kept = None
    if way == "debuglink":
        link = f"--add-gnu-debuglink={debug}"
        subprocess.run(["objcopy", link, program], check=True, cwd=program.parent)
    else:
        text = subprocess.run(
            ["readelf", "-n", program], check=True, capture_output=True, text=True
        ).stdout
        identifier = text.partition("Build ID: ")[2].split()[0]
        kept = Path(f"/usr/lib/debug/.build-id/{identifier[:2]}/{identifier[2:]}.debug")
        kept.parent.mkdir(parents=True, exist_ok=True)
        debug.rename(kept)
    try:
        running = start(program)
        symbols = ProcessSymbols(running.pid)
        assert _names(symbols, running.places["hidden"]) == ["hidden"]
        assert _names(symbols, running.places["inlined"]) == ["innermost", "middle", "outer"]
    finally:
        if kept is not None:
            kept.unlink()


def test_another_builds_debug_file_is_not_taken(build: Compile, start: Start) -> None:
    program = build("places.c", "-g", "-O2")
    debug = program.with_name("program.debug")
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    subprocess.run(["strip", program], check=True)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", program], check=True)
    with debug.open("ab") as file:
        file.write(b"more")
    running = start(program)
    assert _names(ProcessSymbols(running.pid), running.places["hidden"]) == [""]


def test_cplusplus_names_are_demangled(build: Compile, start: Start) -> None:
    running = start(build("shapes.cpp"), until="twice")
    address = running.places["twice"]
    assert _names(ProcessSymbols(running.pid), address) == ["int geo::twice<int>(int)"]


def test_calls_of_other_files_go_through_named_entries(build: Compile, start: Start) -> None:
    program = build("places.c", "-w", "-no-pie")
    listed = subprocess.run(
        ["objdump", "-d", "-j", ".plt", "-j", ".plt.sec", program],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    entry = next(line for line in listed.splitlines() if line.endswith("<printf@plt>:"))
    running = start(program)
    found = ProcessSymbols(running.pid).frames(int(entry.split()[0], 16) + 6)
    assert [(each.name, each.offset) for each in found] == [("printf@plt", 6)]


def test_the_vdso_has_names() -> None:
    libc = ctypes.CDLL(None)
    libc.dlvsym.restype = ctypes.c_void_p
    own = Path("/proc/self/maps").read_text().splitlines()
    start = next(int(each.split("-")[0], 16) for each in own if each.endswith("[vdso]"))
    symbols = ProcessSymbols(os.getpid())
    found = {each[0].name for each in symbols.symbolize(range(start, start + 0x2000, 64))}
    assert any("clock_gettime" in name for name in found)


def test_libraries_opened_later_have_names(build: Compile, start: Start) -> None:
    library = build("library.c", "-shared", "-fPIC", name="later.so")
    running = start(build("places.c", "-w"))
    symbols = ProcessSymbols(running.pid)
    assert _names(symbols, running.places["outer"]) == ["outer"]
    running.say(f"dlopen {library}")
    assert _names(symbols, running.read("loaded")) == ["in_library"]


def test_addresses_from_before_exec_keep_their_names(build: Compile, start: Start) -> None:
    other = build("shapes.cpp", name="other")
    running = start(build("places.c", "-w"))
    symbols = ProcessSymbols(running.pid)
    running.say(f"exec {other}")
    assert _names(symbols, running.read("twice")) == ["int geo::twice<int>(int)"]
    assert _names(symbols, running.places["outer"]) == ["outer"]


def test_a_process_that_ended_is_remembered(build: Compile, start: Start) -> None:
    program = build("places.c", "-g", "-O2")
    running = start(program)
    known = Symbols()
    known.remember([running.pid])
    running.stop()
    program.unlink()
    assert not known.process(running.pid).alive
    (frame,) = known.frames(Stack([running.places["hidden"]]), running.pid)
    assert frame.name == "hidden"
    assert frame.file.endswith("places.c")


def test_a_process_that_is_not_there_is_an_error(build: Compile, start: Start) -> None:
    running = start(build("places.c", "-w"))
    running.stop()
    with pytest.raises(NoSuchProcessError, match=f"no process {running.pid}"):
        ProcessSymbols(running.pid)
    assert [each.name for each in frames([running.places["outer"]], running.pid)] == [""]


def test_files_of_other_mount_namespaces_are_read(
    build: Compile, start: Start, tmp_path: Path
) -> None:
    program = build("places.c", "-w", name="inside")
    place = tmp_path / "mounted"
    place.mkdir()
    # The program is on a file system that only its own namespace has.
    script = f"mount -t tmpfs none {place} && cp {program} {place} && exec {place}/inside"
    running = start("unshare", "--mount", "sh", "-c", script)
    assert not (place / "inside").exists()
    symbols = ProcessSymbols(running.pid)
    (frame,) = symbols.frames(running.places["hidden"])
    assert frame.name == "hidden"
    assert frame.module.endswith(f"{place}/inside")  # behind the root's, where that was changed


def test_a_deleted_program_is_read(build: Compile, start: Start) -> None:
    program = build("places.c", "-w")
    running = start(program)
    program.unlink()
    program.write_bytes(b"something else")
    assert _names(ProcessSymbols(running.pid), running.places["hidden"]) == ["hidden"]


def test_compiled_python_functions_have_names(start: Start) -> None:
    if sys.version_info < (3, 12):
        pytest.skip("Python has trampolines for perf since 3.12")
    code = "def slow(): pass\nslow(); print('pid', 1, flush=True); input()"
    running = start(sys.executable, "-X", "perf", "-c", code)
    map_file = Path(f"/tmp/perf-{running.pid}.map")
    line = next(each for each in map_file.read_text().splitlines() if ":slow:" in each)
    address = int(line.split()[0], 16)
    assert _names(ProcessSymbols(running.pid), address) == [line.split(None, 2)[2]]


def test_what_jit_compilers_tell_is_read_again(build: Compile, start: Start) -> None:
    running = start(build("places.c", "-w"))
    symbols = ProcessSymbols(running.pid)
    path = Path(f"/tmp/perf-{running.pid}.map")
    try:
        path.write_text("1000 10 first one\nnonsense\n2000 zz bad\n-1 5 negative\n")
        assert _names(symbols, 0x1008) == ["first one"]
        assert _names(symbols, 0x1010) == [""]
        path.write_text("1000 10 first one\n1000 20 second one\n")
        os.utime(path, ns=(1, 1))
        assert _names(symbols, 0x1018) == ["second one"]
        assert symbols.frames(0x1018)[0].module == "[jit]"
    finally:
        path.unlink()


def test_a_map_of_somebody_else_or_none_at_all_is_not_read(build: Compile, start: Start) -> None:
    running = start(build("places.c", "-w"))
    path = Path(f"/tmp/perf-{running.pid}.map")
    try:
        path.write_text("1000 10 wrong\n")
        os.chown(path, 65534, 65534)
        assert _names(ProcessSymbols(running.pid), 0x1008) == [""]
        path.unlink()
        os.mkfifo(path)
        assert _names(ProcessSymbols(running.pid), 0x1008) == [""]
    finally:
        path.unlink()
