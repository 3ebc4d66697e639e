"""C types as Python values: codecs from BTF, structs, enums, global variables.

>>> flow = codec(btf, btf.find("flow")).decode(data)
>>> flow.saddr, flow["saddr"], flow.to_dict()
"""

from __future__ import annotations

from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
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
    from osmia.values.table import Table
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
    "Table",
    "Variables",
    "WholeValueStore",
    "WideIntCodec",
    "codec",
    "plain_codec",
]

if not TYPE_CHECKING:  # or every name would be one, to type checkers
    __getattr__ = on_demand(
        __name__,
        {
            ".arrays": "ArrayCodec BytesCodec StringCodec",
            ".base": "Buffer Codec Decode",
            ".enums": "EnumCodec EnumMember",
            ".from_btf": "codec plain_codec",
            ".scalars": "BoolCodec FloatCodec IntCodec PointerCodec ScalarCodec WideIntCodec",
            ".struct_value": "Struct",
            ".structs": "StructCodec",
            ".table": "Table",
            ".variables": "MemoryStore Slot Store Variables WholeValueStore",
        },
    )
