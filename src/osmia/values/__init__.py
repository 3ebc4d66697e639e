"""C types as Python values: codecs from BTF, structs, enums, global variables.

>>> flow = codec(btf, btf.find("flow")).decode(data)
>>> flow.saddr, flow["saddr"], flow.to_dict()
"""

from osmia.values.arrays import ArrayCodec, BytesCodec, StringCodec
from osmia.values.base import Buffer, Codec, Decode
from osmia.values.enums import EnumCodec, EnumMember
from osmia.values.from_btf import codec, plain_codec
from osmia.values.scalars import (
    BoolCodec,
    FloatCodec,
    IntCodec,
    PointerCodec,
    ScalarCodec,
    WideIntCodec,
)
from osmia.values.struct_value import Struct
from osmia.values.structs import StructCodec
from osmia.values.variables import MemoryStore, Slot, Store, Variables, WholeValueStore

__all__ = [
    "ArrayCodec",
    "BoolCodec",
    "Buffer",
    "BytesCodec",
    "Codec",
    "Decode",
    "EnumCodec",
    "EnumMember",
    "FloatCodec",
    "IntCodec",
    "MemoryStore",
    "PointerCodec",
    "ScalarCodec",
    "Slot",
    "Store",
    "StringCodec",
    "Struct",
    "StructCodec",
    "Variables",
    "WholeValueStore",
    "WideIntCodec",
    "codec",
    "plain_codec",
]
