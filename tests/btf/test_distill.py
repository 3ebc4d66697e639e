"""Distilled bases, types moved to another base, types in another order: as libbpf does it."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from osmia.btf import BTF, BTFBuilder, Kind, distill_base, kernel_btf, permute, relocate
from osmia.errors import ObjectFormatError
from osmia.passes.kernel_files import read_types

NEWER = Path(__file__).parents[2] / "build/newer-bpftool"

Peer = Callable[..., int]


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Peer:
    """`peer("distill", …)`: what tests/btf/libbpf_peer.c says, 0 or a negative errno."""
    if not (NEWER / "run").exists():
        pytest.skip("no libbpf 1.7: `make packages` fetches it")
    (library,) = NEWER.glob("root/usr/lib/*/libbpf.so.1")
    program = tmp_path_factory.mktemp("peer") / "peer"
    source = Path(__file__).parent / "libbpf_peer.c"
    ignore = "-Wl,--unresolved-symbols=ignore-in-shared-libs"
    command: list[str | Path] = ["gcc", "-o", program, source, library, ignore]
    subprocess.run(command, check=True)

    def ask(*arguments: object) -> int:
        command: list[str | Path] = [NEWER / "run", program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr
        return int(done.stdout) if done.returncode else 0

    return ask


def saved(btf: BTF, path: Path) -> Path:
    path.write_bytes(btf.to_bytes())
    return path


def types(btf: BTF) -> list[object]:
    return [btf.type(i) for i in range(len(btf))]


def distilled_by(peer: Peer, btf: BTF, tmp_path: Path) -> BTF:
    assert btf.base is not None
    base, split = saved(btf.base, tmp_path / "base"), saved(btf, tmp_path / "split")
    assert peer("distill", base, split, tmp_path / "new-base", tmp_path / "new-split") == 0
    new_base = BTF((tmp_path / "new-base").read_bytes())
    return BTF((tmp_path / "new-split").read_bytes(), base=new_base)


@cache
def example() -> BTF:
    """A base of all kinds, and types that refer to most of it in every way."""
    base = BTFBuilder()
    number, real = base.add_int("int", 4), base.add_float("double", 8)
    point = base.add_struct("point", 8, [("x", number, 0), ("y", number, 32)])
    unnamed = base.add_struct("", 8, [("inner", point, 0)])
    union = base.add_union("either", 8, [("real", real, 0)])
    color = base.add_enum("color", [("RED", 0), ("BLUE", 7)])
    big = base.add_enum64("big", [("HUGE", 1 << 40)])
    unnamed_enum = base.add_enum("", [("ALONE", 1)])
    declared = base.add_fwd("elsewhere", is_union=True)
    array = base.add_array(point, number, 3)
    alias = base.add_typedef("points", array)
    prototype = base.add_func_proto(number, [("p", base.add_ptr(union))])
    base.add_func("function", prototype)
    base.add_struct("never_used", 4, [("x", number, 0)])
    tagged = base.add_ptr(base.add_type_tag("user", base.add_const(color)))
    split = BTFBuilder(base.build())
    own = split.add_struct(
        "mine",
        256,
        [
            ("embedded", point, 0),
            ("aliased", alias, 64),
            ("unnamed", unnamed, 256),
            ("pointer", split.add_ptr(union), 320),
            ("tagged", tagged, 384),
            ("big", big, 448),
            ("alone", unnamed_enum, 512),
        ],
    )
    split.add_func("own_function", prototype)
    split.add_typedef("mine_too", split.add_volatile(own))
    split.add_ptr(declared)
    return split.build()


def test_a_distilled_base_has_hulls_of_what_is_needed() -> None:
    result = distill_base(example())
    assert result.base is not None
    found = {each.name: each for each in map(result.base.type, range(1, len(result.base)))}
    assert set(found) == {"int", "double", "point", "either", "color", "big", "elsewhere"} - {
        "double"
    }
    assert found["point"].kind is Kind.STRUCT
    assert result.base.size_of(found["point"].id) == 8
    assert result.base.type(found["point"].id).members == ()  # type: ignore[union-attr]
    assert found["big"].kind is Kind.ENUM
    assert result.base.size_of(found["big"].id) == 8
    assert result.find("own_function") and result.find("points", Kind.TYPEDEF) >= result.first_id


def test_distilling_is_what_libbpf_does(peer: Peer, tmp_path: Path) -> None:
    ours, theirs = distill_base(example()), distilled_by(peer, example(), tmp_path)
    assert ours.base is not None and theirs.base is not None
    assert types(ours.base) == types(theirs.base)
    assert types(ours) == types(theirs)


@pytest.mark.slow
def test_types_on_the_kernels_are_distilled_as_libbpf_does(peer: Peer, tmp_path: Path) -> None:
    kernel = kernel_btf()
    split = BTFBuilder(kernel)
    wanted = ["task_struct", "sk_buff", "file", "page", "net_device", "bpf_map", "inode"]
    ids = [kernel.find(name, Kind.STRUCT) for name in wanted]
    for name, type_id in zip(wanted, ids, strict=True):
        pointer = split.add_ptr(split.add_const(type_id))
        split.add_func(f"use_{name}", split.add_func_proto(0, [("it", pointer)]))
        split.add_struct(f"has_{name}", kernel.size_of(type_id), [("it", type_id, 0)])
    for type_id in random.Random(1).sample(kernel.ids_of_kind(Kind.PTR), 300):
        split.add_typedef(f"pointer_{type_id}", type_id)
    btf = split.build()
    ours, theirs = distill_base(btf), distilled_by(peer, btf, tmp_path)
    assert ours.base is not None and theirs.base is not None
    assert types(ours.base) == types(theirs.base)
    assert types(ours) == types(theirs)
    assert len(ours.base) < 1000


def moved_base(*, size: int = 8) -> BTF:
    """Another base: other ids, more types, `point` of another size if told."""
    base = BTFBuilder()
    base.add_int("char", 1)
    base.add_struct("new", 1, [("c", 1, 0)])
    number = base.add_int("int", 4)
    base.add_enum64("big", [("HUGE", 1 << 41)])
    base.add_enum("color", [("GREEN", 3)])
    base.add_union("either", 16, [("number", number, 0)])
    base.add_fwd("elsewhere", is_union=True)
    base.add_struct("point", size, [("x", number, 0), ("y", number, 32)])
    return base.build()


def test_relocation_is_what_libbpf_does(peer: Peer, tmp_path: Path) -> None:
    distilled, base = distill_base(example()), moved_base()
    assert distilled.base is not None
    ours = relocate(distilled, base)
    assert ours.base is base
    told = peer(
        "relocate",
        saved(distilled.base, tmp_path / "distilled"),
        saved(distilled, tmp_path / "split"),
        saved(base, tmp_path / "base"),
        tmp_path / "new",
    )
    assert told == 0
    assert types(ours) == types(BTF((tmp_path / "new").read_bytes(), base=base))


@pytest.mark.parametrize("size", [4, 12, 8])
def test_what_is_embedded_must_have_kept_its_size(peer: Peer, tmp_path: Path, size: int) -> None:
    distilled, base = distill_base(example()), moved_base(size=size)
    assert distilled.base is not None
    told = peer(
        "relocate",
        saved(distilled.base, tmp_path / "distilled"),
        saved(distilled, tmp_path / "split"),
        saved(base, tmp_path / "base"),
        tmp_path / "new",
    )
    if size == 8:
        assert told == 0
        relocate(distilled, base)
    else:
        assert told == -22
        with pytest.raises(ObjectFormatError, match=r"'point' \(struct\) .* is no type"):
            relocate(distilled, base)


def test_distilled_types_go_back_where_they_came_from() -> None:
    btf = example()
    assert btf.base is not None
    back = relocate(distill_base(btf), btf.base)
    mine = back.type(back.find("mine"))
    names = {
        member.name: back.name_of(back.resolve(member.type_id))
        for member in mine.members  # type: ignore[union-attr]
    }
    assert names["embedded"] == "point"
    assert back.resolve(mine.members[0].type_id) == btf.base.find("point")  # type: ignore[union-attr]


def test_what_two_types_of_the_base_could_be_is_an_error() -> None:
    base = BTFBuilder()
    base.add_int("int", 4)
    base.add_struct("twice", 4, [("a", 1, 0)])
    once = base.build()
    base.add_struct("twice", 4, [("b", 1, 0)])
    split = BTFBuilder(once)
    split.add_ptr(2)
    with pytest.raises(ObjectFormatError, match="is 2 types of the base"):
        relocate(distill_base(split.build()), base.build())


def test_only_split_types_are_distilled_and_moved() -> None:
    whole = moved_base()
    with pytest.raises(ValueError, match="no base"):
        distill_base(whole)
    with pytest.raises(ValueError, match="no distilled base"):
        relocate(whole, whole)
    with pytest.raises(ObjectFormatError, match="no place in a distilled base"):
        relocate(example(), whole)


def test_a_module_with_a_distilled_base_is_read_on_its_kernels_types(tmp_path: Path) -> None:
    from osmia.elf import ElfWriter

    distilled = distill_base(example())
    assert distilled.base is not None
    elf = ElfWriter()
    elf.add_section(".BTF", data=distilled.to_bytes())
    elf.add_section(".BTF.base", data=distilled.base.to_bytes())
    path = tmp_path / "module.ko"
    path.write_bytes(elf.to_bytes())
    base = moved_base()
    assert types(read_types(path, base)) == types(relocate(distilled, base))
    assert types(read_types(path)) == types(distilled)


@pytest.mark.parametrize("split", [False, True])
def test_another_order_is_what_libbpf_makes(peer: Peer, tmp_path: Path, split: bool) -> None:
    btf = example() if split else example().base
    assert btf is not None
    ids = list(range(btf.first_id, len(btf)))
    random.Random(7).shuffle(ids)
    ours = permute(btf, ids)
    base = saved(btf.base, tmp_path / "base") if btf.base is not None else "-"
    assert peer("permute", base, saved(btf, tmp_path / "btf"), tmp_path / "new", *ids) == 0
    assert ours.to_bytes() == (tmp_path / "new").read_bytes()
    assert ours.type(ids[0]).name == btf.type(btf.first_id).name


@pytest.mark.parametrize("ids", [[1, 2], [1, 1, 2, 3, 4, 5, 6, 7], list(range(8))])
def test_ids_that_are_no_order_are_refused(peer: Peer, tmp_path: Path, ids: list[int]) -> None:
    btf = moved_base()
    with pytest.raises(ValueError, match="the new ids are not the 8 from 1 to 8, once"):
        permute(btf, ids)
    assert peer("permute", "-", saved(btf, tmp_path / "btf"), tmp_path / "new", *ids) == -22
