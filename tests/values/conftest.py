"""BTF for the tests of values: from a compiler in both byte orders, and made by hand."""

import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from osmia.btf import BTF, DataSec, Kind, Var
from osmia.elf import ElfFile
from osmia.values import Codec, codec

SOURCE = Path(__file__).with_name("types.bpf.c")
MEANING = Path(__file__).with_name("meaning.bpf.c")
COMPILE = ["-O2", "-g", "-fno-sanitize=all", "-fno-stack-protector", "-fms-extensions", "-c"]


@dataclass(frozen=True)
class Compiled:
    """A compiled file: its types, and the bytes of its initialised variables."""

    btf: BTF
    initial: dict[str, bytes]

    def codec(self, name: str) -> Codec:
        """The codec of the variable `name`."""
        return codec(self.btf, self.btf.find(name, Kind.VAR))


@pytest.fixture(scope="session", params=["little", "big"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    target = {"little": "bpfel", "big": "bpfeb"}[request.param]
    output = tmp_path_factory.mktemp("values") / f"{target}.o"
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", f"{target}-freestanding"]
    subprocess.run([*compiler, *COMPILE, str(SOURCE), "-o", str(output)], check=True)
    return read_compiled(output)


def read_compiled(path: Path) -> Compiled:
    elf = ElfFile.parse(path.read_bytes(), path.name)
    types, section = elf.section(".BTF"), elf.section(".data.values")
    assert types is not None and section is not None
    btf = BTF(types.data, name=path.name)
    layout = btf.type(btf.find(".data.values", Kind.DATASEC))
    assert isinstance(layout, DataSec)
    sizes = {}
    for entry in layout.entries:
        variable = btf.type(entry.type_id)
        assert isinstance(variable, Var)
        sizes[variable.name] = entry.size
    return Compiled(
        btf,
        {
            symbol.name: bytes(section.data[symbol.value : symbol.value + sizes[symbol.name]])
            for symbol in elf.symbols
            if symbol.name in sizes
        },
    )


class RawBTF:
    """BTF packed by hand, so that it can say what no compiler would."""

    def __init__(self, byteorder: str = "little") -> None:
        self.order = "<" if byteorder == "little" else ">"
        self.types: list[bytes] = []
        self.strings = bytearray(1)

    def add(
        self,
        kind: Kind,
        name: str,
        size_or_type: int,
        *words: int,
        vlen: int = 0,
        flag: bool = False,
    ) -> int:
        info = int(flag) << 31 | int(kind) << 24 | vlen
        head = (self.string(name), info, size_or_type)
        whole = [word & 0xFFFFFFFF for word in (*head, *words)]
        self.types.append(struct.pack(f"{self.order}{len(whole)}I", *whole))
        return len(self.types)

    def string(self, name: str) -> int:
        if not name:
            return 0
        offset = len(self.strings)
        self.strings += name.encode("utf-8", "surrogateescape") + b"\0"
        return offset

    def add_int(self, name: str, size: int, encoding: int = 0) -> int:
        return self.add(Kind.INT, name, size, encoding << 24 | 8 * size)

    def add_array(self, element: int, count: int) -> int:
        return self.add(Kind.ARRAY, "", 0, element, element, count)

    def add_struct(
        self, name: str, size: int, *members: tuple[str, int, int], bitfields: bool = False
    ) -> int:
        """Members are (name, type, offset in bits; with `bitfields`, size << 24 is added)."""
        words = [word for member in members for word in (self.string(member[0]), *member[1:])]
        return self.add(Kind.STRUCT, name, size, *words, vlen=len(members), flag=bitfields)

    def add_enum(self, name: str, size: int, *values: tuple[str, int]) -> int:
        words = [word for label, value in values for word in (self.string(label), value)]
        return self.add(Kind.ENUM, name, size, *words, vlen=len(values))

    def build(self) -> BTF:
        types = b"".join(self.types)
        head = (0xEB9F, 1, 0, 24, 0, len(types), len(types), len(self.strings))
        header = struct.pack(f"{self.order}HBBIIIII", *head)
        return BTF(header + types + bytes(self.strings), name="by hand")


@pytest.fixture
def raw_btf() -> RawBTF:
    return RawBTF()


@pytest.fixture(scope="session", params=["little", "big"])
def types(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`types("flow")` is the codec of struct flow, in either byte order."""
    target = {"little": "bpfel", "big": "bpfeb"}[request.param]
    output = tmp_path_factory.mktemp("meaning") / f"{target}.o"
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", f"{target}-freestanding"]
    subprocess.run([*compiler, *COMPILE, str(MEANING), "-o", str(output)], check=True)
    section = ElfFile.parse(output.read_bytes(), output.name).section(".BTF")
    assert section is not None
    btf = BTF(section.data, name=output.name)
    return lambda name: codec(btf, btf.find(name))
