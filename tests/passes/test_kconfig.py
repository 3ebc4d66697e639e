"""Configuration values: their shapes, their bytes, their places."""

from __future__ import annotations

import pytest

from osmia.btf import BTFBuilder, Enum, IntEncoding
from osmia.errors import RelocationError
from osmia.object.model import Extern, ExternKind
from osmia.passes.kconfig import config_value, lay_out_config
from osmia.passes.target import Target


@pytest.mark.parametrize(("size", "fits"), [(4, True), (1, False), (0, False), (8, False)])
def test_a_tristate_has_four_bytes(size: int, fits: bool) -> None:
    builder = BTFBuilder()
    type_id = builder.add(Enum(0, "libbpf_tristate", size, False, ()))
    extern = Extern("CONFIG_NET", ExternKind.KCONFIG, type_id)
    if fits:
        assert config_value(builder.build(), extern).kind == "tristate"
        return
    with pytest.raises(RelocationError, match="'CONFIG_NET'"):
        config_value(builder.build(), extern)


#: Of the shapes that externs have: name, what makes the type, its size.
_B = BTFBuilder()
_CHAR = _B.add_int("char", 1)
_INT = _B.add_int("int", 4, IntEncoding.SIGNED)
TYPES = {
    "bool": _B.add_int("_Bool", 1, IntEncoding.BOOL),
    "char": _CHAR,
    "int": _INT,
    "long": _B.add_int("long", 8),
    "short": _B.add_int("short", 2),
    "tristate": _B.add(Enum(0, "libbpf_tristate", 4, False, ())),
    "string": _B.add_array(_CHAR, _INT, 5),
}
BTF = _B.build()


def encoded(shape: str, text: str) -> bytes:
    """The bytes of CONFIG_X of a shape where the configuration says `text`."""
    value = config_value(BTF, Extern("CONFIG_X", ExternKind.KCONFIG, TYPES[shape]))
    section, missing = lay_out_config([value], Target(config={"CONFIG_X": text}), "little")
    assert missing == []
    return bytes(section.contents)


@pytest.mark.parametrize(
    ("shape", "text", "expected"),
    [
        ("bool", "y", b"\1"),
        ("bool", "n", b"\0"),
        ("bool", "1", b"\1"),
        ("char", "m", b"m"),
        ("char", "255", b"\xff"),
        ("tristate", "m", b"\2\0\0\0"),
        ("int", "-2", b"\xfe\xff\xff\xff"),
        ("int", "0x10", b"\x10\0\0\0"),
        ("long", "0xffffffff80000000", b"\0\0\0\x80\xff\xff\xff\xff"),
        ("short", "65535", b"\xff\xff"),
        ("string", '"ab"', b"ab\0\0\0"),
        ("string", '"abcdefgh"', b"abcd\0"),
    ],
)
def test_values_are_bytes_of_their_shape(shape: str, text: str, expected: bytes) -> None:
    assert encoded(shape, text) == expected


@pytest.mark.parametrize(
    ("shape", "text", "problem"),
    [
        ("bool", "m", "a bool cannot hold 'm'"),
        ("int", "y", "a int cannot hold 'y'"),
        ("int", '"ab"', 'a int cannot hold "ab"'),
        ("string", "7", "a string cannot hold 7"),
        ("string", "y", "a string cannot hold 'y'"),
        ("short", "65536", "65536 does not fit 2 bytes"),
        ("int", "0x80000000", "2147483648 does not fit 4 bytes"),
        ("tristate", "7", "a tristate cannot hold 7"),
        ("int", "seven", "CONFIG_X=seven is neither number"),
    ],
)
def test_a_value_of_another_shape_is_an_error(shape: str, text: str, problem: str) -> None:
    with pytest.raises(RelocationError, match=problem):
        encoded(shape, text)


def test_the_section_is_laid_out_as_libbpf_does() -> None:
    """Wide alignments first, then small sizes, then names: the kernel sees the same map."""
    shapes = {"b": "int", "a": "int", "s": "string", "l": "long", "f": "bool", "h": "short"}
    values = [
        config_value(BTF, Extern(f"CONFIG_{name}", ExternKind.KCONFIG, TYPES[shape], weak=True))
        for name, shape in shapes.items()
    ]
    section, missing = lay_out_config(values, Target(config={}), "little")
    places = {name[-1]: variable.offset for name, variable in section.variables.items()}
    assert places == {"l": 0, "a": 8, "b": 12, "h": 16, "f": 18, "s": 19}
    assert (len(section.contents), missing, section.writable) == (24, [], False)


def test_what_the_configuration_lacks_is_missing_unless_it_is_weak() -> None:
    values = [
        config_value(BTF, Extern(name, ExternKind.KCONFIG, TYPES["int"], weak=weak))
        for name, weak in (("CONFIG_STRONG", False), ("CONFIG_WEAK", True))
    ]
    assert lay_out_config(values, Target(config={}), "little")[1] == ["CONFIG_STRONG"]


def test_numbers_are_in_the_objects_byte_order() -> None:
    value = config_value(BTF, Extern("LINUX_KERNEL_VERSION", ExternKind.KCONFIG, TYPES["int"]))
    section, _ = lay_out_config([value], Target(version=0x060107), "big")
    assert bytes(section.contents) == b"\0\x06\x01\x07"
