"""`.kconfig` externs: kernel configuration values laid out as a read-only data section."""

from __future__ import annotations

from osmia.btf import BTF, Array, Enum, Enum64, Int
from osmia.errors import RelocationError
from osmia.object.model import DataKind, DataSection, Extern, Variable
from osmia.passes.target import Target, UnknownPartError
from osmia.records import dataclass

SECTION = ".kconfig"
TRISTATE = {"n": 0, "y": 1, "m": 2}  # enum libbpf_tristate
_MAX_STRING = 4096


@dataclass(frozen=True, slots=True)
class ConfigValue:
    """An extern and its shape. `kind` is bool, char, int, tristate or string; sizes in bytes."""

    extern: Extern
    kind: str
    size: int
    alignment: int
    signed: bool


def layout_order(values: list[ConfigValue]) -> list[ConfigValue]:
    """libbpf's order: wide alignments first, then small sizes, then names."""
    return sorted(values, key=lambda v: (-v.alignment, v.size, v.extern.name))


def config_value(btf: BTF, extern: Extern) -> ConfigValue:
    """The shape of a `.kconfig` extern. RelocationError for a type it cannot have."""
    type_id = btf.resolve(extern.type_id)
    kind = btf.type(type_id)
    signed = isinstance(kind, Int) and kind.signed
    shape = _shape(btf, type_id)
    if shape is None:
        raise RelocationError(
            f"extern {extern.name!r}: a kernel configuration value is a bool, char, integer,"
            " enum libbpf_tristate or char array"
        )
    return ConfigValue(extern, shape, btf.size_of(type_id), btf.alignment_of(type_id), signed)


def _shape(btf: BTF, type_id: int) -> str | None:
    match btf.type(type_id):
        case Int() as number if number.is_bool:
            return "bool" if number.size == 1 else None
        case Int(size=1):
            return "char"
        case Int(size=size) if size in (2, 4, 8):
            return "int"
        case Enum(name="libbpf_tristate", size=4) | Enum64(name="libbpf_tristate", size=8):
            return "tristate"
        case Array(count=count, element=element) if 0 < count <= _MAX_STRING:
            inner = _shape(btf, btf.resolve(element))
            return "string" if inner == "char" else None
    return None


def lay_out_config(
    values: list[ConfigValue], target: Target, byteorder: str
) -> tuple[DataSection, list[str]]:
    """The section with every value in it, and the strong externs that have none."""
    missing = []
    variables: dict[str, Variable] = {}
    contents = bytearray()
    for value in layout_order(values):
        start = -(-len(contents) // value.alignment) * value.alignment
        contents.extend(bytes(start - len(contents)))
        try:
            encoded = _encoded(value, target, byteorder)
        except UnknownPartError as error:
            raise RelocationError(f"extern {value.extern.name!r}: {error}") from None
        if encoded is None and not value.extern.weak:
            missing.append(value.extern.name)
        contents.extend(encoded or bytes(value.size))
        variables[value.extern.name] = Variable(
            value.extern.name, start, value.size, value.extern.type_id
        )
    return DataSection(SECTION, DataKind.KCONFIG, contents, variables), missing


def _encoded(value: ConfigValue, target: Target, byteorder: str) -> bytes | None:
    name = value.extern.name
    if name == "LINUX_KERNEL_VERSION":
        return _number(value, target.version, byteorder)
    if name.startswith("LINUX_HAS_"):
        return _number(value, int(target.feature(name)), byteorder)
    text = target.config.get(name)
    if text is None:
        return None
    if text in TRISTATE:
        return _tristate(value, text, byteorder)
    if text.startswith('"'):
        return _string(value, text)
    try:
        return _number(value, int(text, 0), byteorder)
    except ValueError:
        raise RelocationError(f"{name}={text} is neither number, string nor y/n/m") from None


def _tristate(value: ConfigValue, text: str, byteorder: str) -> bytes:
    match value.kind:
        case "bool" if text != "m":
            return bytes([TRISTATE[text]])
        case "tristate":
            return TRISTATE[text].to_bytes(value.size, byteorder)  # type: ignore[arg-type]
        case "char":
            return text.encode()
    raise RelocationError(f"extern {value.extern.name!r}: a {value.kind} cannot hold {text!r}")


def _string(value: ConfigValue, text: str) -> bytes:
    if value.kind != "string" or len(text) < 2 or not text.endswith('"'):
        raise RelocationError(f"extern {value.extern.name!r}: a {value.kind} cannot hold {text}")
    return text[1:-1].encode()[: value.size - 1].ljust(value.size, b"\0")


def _number(value: ConfigValue, number: int, byteorder: str) -> bytes:
    if value.kind not in ("int", "char", "bool"):
        raise RelocationError(f"extern {value.extern.name!r}: a {value.kind} cannot hold {number}")
    try:
        return number.to_bytes(value.size, byteorder, signed=value.signed)  # type: ignore[arg-type]
    except OverflowError:
        raise RelocationError(
            f"extern {value.extern.name!r}: {number} does not fit {value.size} bytes"
        ) from None
