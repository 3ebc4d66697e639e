"""What a member means, from its type and its name: the one place that says so.

BTF knows sizes; people want to see 10.0.0.1. The rules below are such that a wrong guess is
always *seen*: every notation ("10.0.0.1", "02:00:00:00:00:09", "8467.000000123s") shows all
bits of the value and is none that a plain number has. Where only a name would decide between
two numbers that look alike nothing is guessed: `__u32 saddr` may be in either byte order, and
`__u64 ts` in any unit. Whoever knows says so (`--format saddr=ip`, `--format ts=time`).

`osmia.values.readable` writes and reads the notations.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from osmia.values.arrays import ArrayCodec, BytesCodec, StringCodec
from osmia.values.base import Codec
from osmia.values.enums import EnumCodec
from osmia.values.fields import Field
from osmia.values.scalars import IntCodec, PointerCodec
from osmia.values.structs import StructCodec

Kind: TypeAlias = Literal[
    "ipv4",
    "ipv6",
    "network",
    "port",
    "be",
    "mac",
    "text",
    "ktime",
    "time",
    "boottime",
    "hex",
    "plain",
]
"""How a value is to be read.

- ipv4, ipv6: the bytes of an address in their order ("10.0.0.1", "2001:db8::1");
- network: the key of an LPM trie ("10.0.0.0/8");
- port, be: a number in network byte order;
- mac: six bytes ("02:00:00:00:00:09");
- text: bytes up to the first NUL;
- ktime: nanoseconds of a kernel clock, in seconds ("8467.000000123s");
- time, boottime: the same as a moment of the calendar, by CLOCK_MONOTONIC or CLOCK_BOOTTIME;
  never guessed, since a number does not tell its clock;
- hex: the bits; plain: what the type alone says. Both only when asked for.
"""

#: What `--format` calls them. "ip" is the one or the other, by size.
FORMATS: dict[str, tuple[Kind, ...]] = {
    "ip": ("ipv4", "ipv6"),
    "ipv4": ("ipv4",),
    "ipv6": ("ipv6",),
    "port": ("port",),
    "be": ("be",),
    "mac": ("mac",),
    "text": ("text",),
    "ktime": ("ktime",),
    "time": ("time",),
    "boottime": ("boottime",),
    "hex": ("hex",),
    "plain": ("plain",),
}


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_IPV4_SIZE, _MAC_SIZE, _IPV6_SIZE, _COMM_SIZE = 4, 6, 16, 16
_PREFIX_SIZE = 4

#: Words that make a __be32 something else than an address.
_NUMBERS = _set(
    "seq ack spi teid vni vlan id xid label flow flowlabel flowinfo len length size count nr num "
    "mark flags magic cookie nonce csum checksum sum crc ts tsval tsecr time timestamp port ports "
    "proto protocol type offset mtu rate metric weight version word"
)
_IPV4_WORDS = _set("ip ip4 ipv4 v4")
_IPV6_NAME = re.compile(r"(^|_|[a-z])(ip|in|v|addr)_?6(_|[^0-9]|$)")
_MAC_WORDS = _set("eth ether bssid sha tha")
#: What an address of many bytes is called.
_PLACES = _set("source dest destination src dst")
#: Words of what happened at a moment, and of what took its time.
_MOMENTS = _set(
    "ts ktime timestamp stamp time at when now start started begin end ended enter exit seen "
    "created updated expires expiry deadline since until last first boot"
)
_DURATIONS = _set(
    "delta duration dur latency lat elapsed took total sum avg average mean min max run runtime "
    "wait waited delay interval period timeout age rtt srtt cpu user sys on off budget slice "
    "quota cost diff spent used idle busy blocked sleep slept offset"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def meaning(codec: Codec, name: str = "") -> Kind | None:
    """What a value of the type means under a name ("": it has none); None: what C says.

    - `struct in_addr` and `struct in6_addr` are addresses.
    - `__be32` (and `in_addr_t`) is an IPv4 address unless its name says that it is a number
      (seq, spi, vni, …); `__be16` a port where the name says so; they, and `__be64`, are
      numbers in network order otherwise. Typedefs of these count as these.
    - Four bytes named ip, v4 or …addr are an IPv4 address; 16 bytes named …addr, source or
      dest, or whose name says v6 (ip6, v6addr, in6), an IPv6 address, and so is `__be32[4]`
      whose name says v6.
    - Six bytes are a MAC address where the name says mac, …addr, eth, source, dest.
    - `char[N]` is text, and 16 bytes named comm.
    - `ktime_t`, and 64-bit integers whose name says ktime, or both a moment and nanoseconds
      (ts_ns, start_time_ns), are ktime; never one that says that it is a duration (delta_ns,
      wait_ns), nor one without a unit (ts, timestamp).
    """
    match codec:
        case StringCodec():
            return "text"
        case StructCodec():
            return _of_struct(codec)
        case EnumCodec() | PointerCodec():
            return None
        case IntCodec(network=True):
            return _of_network_integer(codec, name)
        case IntCodec(size=8) if _is_moment(codec, name):
            return "ktime"
        case BytesCodec():
            return _of_bytes(codec, name)
        case ArrayCodec(element=IntCodec(network=True, size=4), count=4):
            return "ipv6" if _says_ipv6(codec, name) else None
    return None


def field_meaning(field: Field) -> Kind | None:
    """What a member of a struct means. A bitfield is what C says."""
    return None if field.bits is not None else meaning(field.codec, field.name)


def trie_key_meaning(codec: Codec | None, size: int) -> Kind | None:
    """What the keys of an LPM trie mean: "network" for those that hold one IP address.

    The data behind the u32 of the prefix length must have the size of an address, and be one
    member which is no text (a key of several members is shown member by member). A key whose
    type is not known (`codec` is None) is one by its size.
    """
    if size - _PREFIX_SIZE not in (_IPV4_SIZE, _IPV6_SIZE):
        return None
    return "network" if not isinstance(codec, StructCodec) or _is_one_address(codec) else None


def fits(kind: Kind, codec: Codec) -> bool:
    """Whether values of the type can be read as `kind` (what --format may ask for)."""
    match kind:
        case "ipv4":
            return codec.size == _IPV4_SIZE
        case "ipv6":
            return codec.size == _IPV6_SIZE
        case "network":
            return codec.size - _PREFIX_SIZE in (_IPV4_SIZE, _IPV6_SIZE)
        case "port":
            return isinstance(codec, IntCodec) and codec.size == 2
        case "be":
            return isinstance(codec, IntCodec)
        case "mac":
            return isinstance(codec, BytesCodec) and codec.size == _MAC_SIZE
        case "text":
            return isinstance(codec, BytesCodec)
        case "ktime" | "time" | "boottime":
            return isinstance(codec, IntCodec) and codec.size == 8
        case "hex" | "plain":
            return True


def kind_named(word: str, codec: Codec) -> Kind | None:
    """The kind that a word of `FORMATS` means for a type; None where it fits it not."""
    return next((kind for kind in FORMATS[word] if fits(kind, codec)), None)


def _of_struct(codec: StructCodec) -> Kind | None:
    if codec.type_name == "struct in_addr" and codec.size == _IPV4_SIZE:
        return "ipv4"
    if codec.type_name == "struct in6_addr" and codec.size == _IPV6_SIZE:
        return "ipv6"
    return None


def _of_network_integer(codec: IntCodec, name: str) -> Kind:
    words = _words(codec, name)
    if codec.size == 2:
        return "port" if any(word.endswith("port") for word in words) else "be"
    return "ipv4" if codec.size == _IPV4_SIZE and not words & _NUMBERS else "be"


def _of_bytes(codec: BytesCodec, name: str) -> Kind | None:
    words = _words(codec, name)
    addressed = any(word.endswith("addr") for word in words)
    if codec.size == _MAC_SIZE:
        named = (
            addressed
            or words & (_MAC_WORDS | _PLACES)
            or any(word.endswith("mac") for word in words)
        )
        return "mac" if named else None
    if codec.size == _IPV4_SIZE:
        return "ipv4" if addressed or words & _IPV4_WORDS else None
    if codec.size == _IPV6_SIZE and (addressed or words & _PLACES or _says_ipv6(codec, name)):
        return "ipv6"
    return "text" if codec.size == _COMM_SIZE and "comm" in words else None


def _says_ipv6(codec: Codec, name: str) -> bool:
    return any(_IPV6_NAME.search(each.lower()) for each in (name, codec.type_name))


def _is_moment(codec: IntCodec, name: str) -> bool:
    words = _words(codec, name)
    if words & _DURATIONS:
        return False
    return "ktime" in words or ("ns" in words and bool(words & _MOMENTS))


def _is_one_address(codec: StructCodec) -> bool:
    match codec.fields:
        case (
            Field(codec=IntCodec(size=4), offset=0, bits=None),
            Field(offset=4, bits=None) as data,
        ):
            return data.codec.size == codec.size - _PREFIX_SIZE and _may_be_address(data.codec)
    return False


def _may_be_address(codec: Codec) -> bool:
    if isinstance(codec, StructCodec):
        return _of_struct(codec) is not None
    if isinstance(codec, ArrayCodec):
        return type(codec.element) is IntCodec
    return isinstance(codec, IntCodec | BytesCodec) and not isinstance(codec, StringCodec)


def _words(codec: Codec, name: str) -> frozenset[str]:
    """The words of a name and of its type's: "srcPort_ns" has src, port and ns; plurals count
    as their singular."""
    # A digit belongs to the word before it as well: ip4 is ip and ip4.
    found = set()
    for text in (name, codec.type_name):
        before = ""
        for word in map(str.lower, _WORD.findall(text)):
            found |= {word, before + word} if word.isdigit() else {word}
            before = word
    return frozenset(found | {word.removesuffix("s") for word in found if len(word) > 3})
