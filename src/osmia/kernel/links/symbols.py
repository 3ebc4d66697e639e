"""Functions in files: which file a name means, and where in the file a symbol lies."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable, Iterable, Iterator

from osmia.elf import SHN_UNDEF, Binding, ElfFile, Symbol, SymbolType
from osmia.elf.versions import SymbolVersion, symbol_versions
from osmia.errors import ObjectFormatError, OsmiaError
from osmia.kernel.links.libraries import find_library, mapped_library
from osmia.named_tuples import NamedTuple
from osmia.paths import Path

_NAME_AND_OFFSET = re.compile(r"(?P<name>.+?)(?:\+(?P<offset>0x[0-9a-fA-F]+|\d+))?")


class SymbolNotFoundError(OsmiaError, LookupError):
    """A file that has no such function, or a name that no file answers to."""


class AmbiguousSymbolError(SymbolNotFoundError):
    """A name that several functions of a file have: give a version or an offset."""


class Function(NamedTuple):
    """A function that a file defines, and where in the file its code begins."""

    name: str
    offset: int
    binding: Binding
    version: SymbolVersion | None = None

    def __str__(self) -> str:
        at = "" if self.version is None else "@@" if self.version.default else "@"
        version = "" if self.version is None else self.version.name
        return f"{self.name}{at}{version} at {self.offset:#x}"


def find_binary(name: str | os.PathLike[str], pid: int | None = None) -> Path:
    """The file that `name` means: a path (anything that is no `str`, and what has a "/" in it),
    a program in $PATH, or a library: "libc", "c", or by its file's name "libc.so.6".

    With `pid`, libraries are first looked for among what that process has mapped.
    SymbolNotFoundError when there is none.
    """
    text = os.fspath(name)
    if "/" in text or not isinstance(name, str):
        return Path(text)
    if pid and (mapped := mapped_library(text, pid)):
        return mapped
    found = find_library(text) or _in_path(text)
    if found is None:
        raise SymbolNotFoundError(f"no library or program is called {text!r}")
    return found


def function_offset(path: Path, function: str) -> int:
    """The file offset of a function: "malloc", "malloc+0x10" (decimal or hex), or with the
    version of its symbol, "memcpy@GLIBC_2.2.5" ("@@" is the same).

    A name without a version means the default one, as for the linker. SymbolNotFoundError when
    the file defines no such function, AmbiguousSymbolError when several have the name.
    """
    said = _NAME_AND_OFFSET.fullmatch(function)
    if said is None:
        raise SymbolNotFoundError("a function without a name")
    written = said["offset"] or "0"
    if len(written) > 1 and written[0] == "0" and written[1] not in "xX":
        raise SymbolNotFoundError(
            f"{function!r}: an offset is decimal or 0x…, and {written!r} could be octal"
        )
    inside = int(written, 0)
    name, _, version = said["name"].partition("@")
    for table in _functions(path, name.__eq__, version.removeprefix("@")):
        if found := _meant(table):
            if len(found) > 1:
                places = ", ".join(str(each) for each in found)
                problem = f"{path}: {len(found)} functions are called {said['name']!r}: {places}"
                raise AmbiguousSymbolError(f"{problem}; give a version or an offset")
            return found[0].offset + inside
    raise SymbolNotFoundError(f"{path}: no function {said['name']!r}")


def matching_functions(path: Path, pattern: str) -> list[Function]:
    """Functions whose names match a pattern with "*" and "?", each place once. The pattern may
    go on with a version: "mem*@GLIBC_2.2.5"."""
    name, _, version = pattern.partition("@")
    matches = glob(name).fullmatch
    found: dict[int, Function] = {}
    for table in _functions(
        path, lambda each: matches(each) is not None, version.removeprefix("@")
    ):
        for function in table:
            found.setdefault(function.offset, function)
    if not found:
        raise SymbolNotFoundError(f"{path}: no function matches {pattern!r}")
    return list(found.values())


def glob(pattern: str) -> re.Pattern[str]:
    """A pattern in which "*" and "?" stand for anything, as libbpf has it: brackets are
    letters, as in the names of Go's functions."""
    special = {"*": ".*", "?": "."}
    return re.compile("".join(special.get(each) or re.escape(each) for each in pattern), re.DOTALL)


def open_binary(path: Path) -> ElfFile:
    """A program or library, mapped into memory. ObjectFormatError when it is none."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise ObjectFormatError("an empty file", file=str(path))
        # The mapping ends with the last view of it.
        contents = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return ElfFile.parse(contents, str(path), allow_32_bit=True)


def _meant(functions: list[Function]) -> list[Function]:
    """Those that a name stands for: of versions the default one, global ones before weak ones,
    and each place once."""
    chosen: Iterable[Function] = functions
    if any(each.version is not None and each.version.default for each in functions):
        chosen = [each for each in functions if each.version is not None and each.version.default]
    if any(each.binding is not Binding.WEAK for each in chosen):
        chosen = [each for each in chosen if each.binding is not Binding.WEAK]
    return list({each.offset: each for each in chosen}.values())


def _functions(
    path: Path, is_wanted: Callable[[str], bool], version: str
) -> Iterator[list[Function]]:
    """Defined functions of wanted names, and of a version where one is given (a pattern): the
    exported ones, then those of the full symbol table, where versions are part of the name."""
    elf = open_binary(path)
    exported = symbol_versions(elf)
    is_right = glob(version).fullmatch
    for table in (elf.dynamic_symbols, elf.symbols):
        found = []
        for symbol in table:
            if symbol.type != SymbolType.FUNC or symbol.section == SHN_UNDEF or not symbol.name:
                continue
            name, at, written = symbol.name.partition("@")
            if not is_wanted(name):
                continue
            own = exported.get(symbol.index) if table is elf.dynamic_symbols else None
            if at:
                own = SymbolVersion(written.removeprefix("@"), written.startswith("@"))
            if not version or (own is not None and is_right(own.name)):
                found.append(Function(name, _file_offset(elf, symbol, path), symbol.binding, own))
        yield found


def _file_offset(elf: ElfFile, symbol: Symbol, path: Path) -> int:
    offset = elf.file_offset(symbol.value)
    if offset is None:
        raise SymbolNotFoundError(f"{path}: function {symbol.name!r} lies outside of the file")
    return offset


def _in_path(name: str) -> Path | None:
    directories = os.environ.get("PATH", os.defpath).split(os.pathsep)
    candidates = (Path(directory, name) for directory in directories if directory)
    return next((path for path in candidates if path.is_file()), None)
