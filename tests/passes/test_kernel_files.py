"""What files tell of a kernel: here, types that stand on others."""

from __future__ import annotations

from pathlib import Path

import pytest

from osmia.btf import BTFBuilder, Kind
from osmia.elf import ElfWriter
from osmia.errors import ObjectFormatError
from osmia.passes.kernel_files import read_types


@pytest.mark.parametrize("name", ["here", "field"], ids=["own strings", "strings of the base"])
def test_split_types_want_their_base(tmp_path: Path, name: str) -> None:
    builder = BTFBuilder()
    number = builder.add_int("field", 4)
    base = builder.build()
    split = BTFBuilder(base=base)
    split.add_struct(name, 4, [("field", number, 0)])
    path = tmp_path / "module.btf"
    path.write_bytes(split.build().to_bytes())
    wanted = r"module.btf: .*types on top of others \(split BTF\): name the base"
    with pytest.raises(ObjectFormatError, match=wanted):
        read_types(path)
    assert read_types(path, base).find(name, Kind.STRUCT) > number


def test_a_module_may_bring_the_types_below_its_own(tmp_path: Path) -> None:
    builder = BTFBuilder()
    number = builder.add_int("int", 4)
    base = builder.build()
    split = BTFBuilder(base=base)
    split.add_struct("here", 4, [("field", number, 0)])
    elf = ElfWriter()
    elf.add_section(".BTF", data=split.build().to_bytes())
    elf.add_section(".BTF.base", data=base.to_bytes())
    path = tmp_path / "module.ko"
    path.write_bytes(elf.to_bytes())
    types = read_types(path)
    assert types.find("here") == types.first_id == 2
