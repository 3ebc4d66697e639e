"""What a CO-RE record may ask."""

from __future__ import annotations

from osmia.enums import IntEnum


class CoreKind(IntEnum):
    """enum bpf_core_relo_kind, include/uapi/linux/bpf.h, since 5.17 (in BTF.ext since 5.4)."""

    FIELD_BYTE_OFFSET = 0
    FIELD_BYTE_SIZE = 1
    FIELD_EXISTS = 2
    FIELD_SIGNED = 3
    FIELD_LSHIFT_U64 = 4
    FIELD_RSHIFT_U64 = 5
    TYPE_ID_LOCAL = 6
    TYPE_ID_TARGET = 7
    TYPE_EXISTS = 8
    TYPE_SIZE = 9
    ENUMVAL_EXISTS = 10
    ENUMVAL_VALUE = 11
    TYPE_MATCHES = 12
