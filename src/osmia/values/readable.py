"""The notations of `osmia.values.meaning`, both ways: what `writer` shows `parse` takes back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from osmia.errors import CodecError
from osmia.values.arrays import SHOWN_ELEMENTS, ArrayCodec, BytesCodec, StringCodec, braces, quoted
from osmia.values.base import RAW_BYTES, Codec, encode_named
from osmia.values.fields import Field
from osmia.values.meaning import Kind, meaning
from osmia.values.scalars import IntCodec, ScalarCodec
from osmia.values.struct_value import Struct, StructType

_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2}|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_PREFIX_SIZE = 4


def writer(kind: Kind, codec: Codec) -> Callable[[Any], str]:
    """A function that writes values of the type, decoded or as bytes, in a kind's notation.

    `kind` fits the type (`osmia.values.meaning.fits`). For "plain" it is C's notation.
    """
    if kind == "plain":
        return codec.initialiser
    write = writer_of_bytes(kind, codec)
    pack = codec.packer.pack if isinstance(codec, ScalarCodec) else codec.encode

    def text(value: Any) -> str:
        if kind == "text" and isinstance(value, str):  # as decoded, of a flexible array too
            return quoted(value)
        return write(bytes(value) if isinstance(value, RAW_BYTES) else pack(value))

    return text


def parse(kind: Kind, codec: Codec, text: str) -> bytes:
    """The bytes of a value that is written in a kind's notation. CodecError for other text."""
    try:
        return _parsed(kind, codec, text.strip())
    except (ValueError, OverflowError, OSError):
        what = f"{codec.type_name} as {NAMES[kind]}"
        raise CodecError(f"{text!r:.80} is no value for {what}") from None


#: What a value of a kind is called in messages.
NAMES: dict[Kind, str] = {
    "ipv4": "an IPv4 address (10.0.0.1)",
    "ipv6": "an IPv6 address (2001:db8::1)",
    "network": "a network (10.0.0.0/8)",
    "port": "a port (443)",
    "be": "a number in network order (443)",
    "mac": "a MAC address (02:00:00:00:00:09)",
    "text": "text",
    "ktime": "nanoseconds of a kernel clock, in seconds (12.000000034s)",
    "time": "a time (2026-01-31T12:00:00.000000000+00:00)",
    "boottime": "a time (2026-01-31T12:00:00.000000000+00:00)",
    "hex": "hexadecimal (0x1f, or 0a 1b)",
    "plain": "a plain value",
}


def python_value(codec: Codec, value: Any, name: str = "", kind: Kind | None = None) -> Any:
    """A decoded value as Python has what it means under its name, or as `kind` says: addresses
    and networks of `ipaddress`, numbers in this machine's order, text, moments as `datetime` (in
    UTC, to the microsecond); all others as they are, structs as dictionaries, arrays as lists."""
    kind = kind or meaning(codec, name)
    match kind:
        case "ipv4" | "ipv6" | "network":
            return _address(kind, codec, codec.encode(value))
        case "port" | "be":
            return int.from_bytes(codec.encode(value), "big")
        case "mac" | "hex":
            return writer(kind, codec)(value)
        case "text":
            return value if isinstance(value, str) else _text(bytes(value))
        case "time" | "boottime" if value:
            from datetime import timedelta

            from osmia.values.moments import EPOCH, clock_offset

            return EPOCH + timedelta(microseconds=(int(value) + clock_offset(kind)) // 1000)
    if isinstance(value, Struct):
        return meant_members(value._codec, value)
    if isinstance(codec, ArrayCodec) and isinstance(value, tuple):
        return [python_value(codec.element, each, name) for each in value]
    return value


def _address(kind: Kind, codec: Codec, data: bytes) -> Any:
    import ipaddress

    match kind:
        case "ipv4":
            return ipaddress.IPv4Address(data)
        case "ipv6":
            return ipaddress.IPv6Address(data)
    return ipaddress.ip_network(_network(data, codec), strict=False)


def readable(codec: Codec, value: Any, name: str = "") -> str:
    """A decoded value as C would initialise it, but for what means something under its name."""
    kind = meaning(codec, name)
    match codec:
        case _ if kind is not None:
            return writer(kind, codec)(value)
        case _ if isinstance(value, Struct):
            return readable_members(value._codec, value)
        case ArrayCodec():
            parts = [readable(codec.element, each, name) for each in value[:SHOWN_ELEMENTS]]
            return braces(parts, len(value))
    return codec.initialiser(value)


def readable_members(codec: StructType, value: Struct) -> str:
    """A struct as C would initialise it, but for its members that mean something."""
    parts = []
    for field in codec.fields:
        member = value[field.name]
        plain = field.bits is not None
        text = field.codec.initialiser(member) if plain else readable(*_named(field, member))
        parts.append(f".{field.name} = {text}")
    return "{" + ", ".join(parts) + "}"


def meant_members(codec: StructType, value: Struct) -> dict[str, Any]:
    """A struct's members as Python has what they mean."""
    members = {}
    for field in codec.fields:
        member = value[field.name]
        plain = field.bits is not None
        members[field.name] = member if plain else python_value(*_named(field, member))
    return members


def _named(field: Field, value: Any) -> tuple[Codec, Any, str]:
    return field.codec, value, field.name


def taken(codec: Codec, value: Any, error: CodecError, name: str = "") -> bytes:
    """The bytes of text or of an address of `ipaddress` for what a type means under a name, or of
    a list of them.

    `error` where it means nothing that is written so. Numbers of network types may be written
    in text ("443"): a Python int is what C has in that variable, the bytes as they lie.
    """
    if isinstance(value, list | tuple):
        return _taken_elements(codec, value, error, name)
    kind = meaning(codec, name)
    if isinstance(value, str):
        if kind is None or isinstance(codec, StringCodec):
            raise error
        if kind == "text":
            return StringCodec(codec.size, codec.type_name, codec.byteorder).encode(value)
        return parse(kind, codec, value)
    data: bytes | None = getattr(value, "packed", None)
    if data is None:
        raise error
    in_order = kind in ("ipv4", "ipv6", "be") or isinstance(codec, BytesCodec)
    if in_order and len(data) == codec.size:
        return data
    if in_order or not isinstance(codec, IntCodec):
        raise CodecError(f"{value} has {len(data)} bytes, {codec.type_name} {codec.size}")
    raise CodecError(
        f"{codec.type_name} does not say the byte order of an address: declare it __be32, "
        f"or give bytes or an int"
    )


def _taken_elements(codec: Codec, values: Any, error: CodecError, name: str) -> bytes:
    """An array's, whose elements mean what the array is called."""
    if not isinstance(codec, ArrayCodec) or len(values) != codec.count:
        raise error
    parts = []
    for index, each in enumerate(values):
        try:
            parts.append(encode_named(codec.element, each, name))
        except CodecError as found:
            raise CodecError(found.message, path=f"[{index}]{found.path}") from None
    return b"".join(parts)


def writer_of_bytes(kind: Kind, codec: Codec) -> Callable[[bytes], str]:
    """The same for bytes of the type's size alone: for many values, one after the other."""
    order: Literal["little", "big"] = codec.byteorder
    signed = bool(getattr(codec, "signed", False))
    match kind:
        case "ipv4":
            import socket

            return socket.inet_ntoa
        case "ipv6":
            import socket

            return partial(socket.inet_ntop, socket.AF_INET6)
        case "network":
            return lambda data: _network(data, codec)
        case "port" | "be":
            return lambda data: str(int.from_bytes(data, "big"))
        case "mac":
            return lambda data: data.hex(":")
        case "text":
            return lambda data: quoted(_text(data))
        case "ktime":
            from osmia.values.moments import seconds

            return lambda data: seconds(int.from_bytes(data, order, signed=signed))
        case "time" | "boottime":
            from osmia.values.moments import moment

            return lambda data: moment(kind, int.from_bytes(data, order, signed=signed))
        case "hex" if isinstance(codec, ScalarCodec):
            return lambda data: f"{int.from_bytes(data, order):#x}"
        case "plain":
            return lambda data: codec.initialiser(codec.decode(data))
    return lambda data: data.hex(" ")


def _parsed(kind: Kind, codec: Codec, text: str) -> bytes:
    size, order = codec.size, codec.byteorder
    signed = bool(getattr(codec, "signed", False))
    match kind:
        case "ipv4" | "ipv6":
            return _exactly(size, _ip_bytes(text))
        case "network":
            return _exactly(size, _network_bytes(text, codec))
        case "port" | "be":
            return int(text, 0).to_bytes(size, "big")
        case "mac" if _MAC.fullmatch(text):
            return bytes.fromhex(text.replace("-", ":").replace(":", ""))
        case "text":
            return StringCodec(size, codec.type_name, order).encode(unquoted(text))
        case "ktime" | "time" | "boottime":
            return _ns(kind, text).to_bytes(size, order, signed=signed)
        case "hex" if isinstance(codec, ScalarCodec):
            return int(text, 16).to_bytes(size, order)
        case "hex":
            return _exactly(size, bytes.fromhex(text.replace("0x", " ").replace(":", " ")))
    raise ValueError(text)


def _exactly(size: int, data: bytes) -> bytes:
    if len(data) != size:
        raise ValueError("of another size")
    return data


def _ip(data: Any) -> str:
    import socket

    return socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, data)


def _ip_bytes(text: str) -> bytes:
    import socket

    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def _network(data: Any, codec: Codec) -> str:
    prefix = int.from_bytes(data[:_PREFIX_SIZE], codec.byteorder)
    return f"{_ip(data[_PREFIX_SIZE:])}/{prefix}"


def _network_bytes(text: str, codec: Codec) -> bytes:
    address, slash, length = text.partition("/")
    data = _ip_bytes(address)
    prefix = int(length) if slash else 8 * len(data)
    if not 0 <= prefix <= 8 * len(data):
        raise ValueError("of more bits than the address")
    return prefix.to_bytes(_PREFIX_SIZE, codec.byteorder) + data


def _ns(kind: Kind, text: str) -> int:
    from osmia.values.moments import ns_at, ns_of_seconds

    return ns_at(kind, text) if kind in ("time", "boottime") else ns_of_seconds(text)


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def unquoted(text: str) -> str:
    """Text as C or JSON quotes it, without quotes and escapes; other text as it is."""
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        data = _ESCAPE.sub(_unescaped, text[1:-1].encode("utf-8", "surrogateescape"))
        return data.decode("utf-8", "surrogateescape")


def _unescaped(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    return bytes((int(escape, 8),)) if escape.isdigit() else _ESCAPED.get(escape, escape)
