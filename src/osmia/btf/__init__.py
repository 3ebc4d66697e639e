"""BTF, the type format of BPF: lazy reader, `.BTF.ext`, the kernel's own types.

Sources: Documentation/bpf/btf.rst and include/uapi/linux/btf.h.
"""

from __future__ import annotations

from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.btf.builder import BTFBuilder
    from osmia.btf.c.dump import dump_c
    from osmia.btf.c.format import declaration, definition, format_type
    from osmia.btf.dedup import Deduplicated, Merged, deduplicate, merge
    from osmia.btf.distill import distill_base, relocate
    from osmia.btf.ext import BTFExt, CoreInfo, FunctionInfo, LineInfo, build_btf_ext
    from osmia.btf.kernel import kernel_btf, module_btf, module_names
    from osmia.btf.minimal import Minimiser, minimise
    from osmia.btf.order import permute
    from osmia.btf.reader import BTF
    from osmia.btf.types import (
        COMPOSITES,
        ENUMS,
        MODIFIERS,
        Array,
        Const,
        DataSec,
        DeclTag,
        Enum,
        Enum64,
        EnumValue,
        Float,
        Func,
        FuncLinkage,
        FuncProto,
        Fwd,
        Int,
        IntEncoding,
        Kind,
        Member,
        Parameter,
        Ptr,
        Restrict,
        SectionVariable,
        Struct,
        Type,
        Typedef,
        TypeTag,
        Union,
        Var,
        VarLinkage,
        Void,
        Volatile,
    )

__all__ = [
    "BTF",
    "COMPOSITES",
    "ENUMS",
    "MODIFIERS",
    "Array",
    "BTFBuilder",
    "BTFExt",
    "Const",
    "CoreInfo",
    "DataSec",
    "DeclTag",
    "Deduplicated",
    "Enum",
    "Enum64",
    "EnumValue",
    "Float",
    "Func",
    "FuncLinkage",
    "FuncProto",
    "FunctionInfo",
    "Fwd",
    "Int",
    "IntEncoding",
    "Kind",
    "LineInfo",
    "Member",
    "Merged",
    "Minimiser",
    "Parameter",
    "Ptr",
    "Restrict",
    "SectionVariable",
    "Struct",
    "Type",
    "TypeTag",
    "Typedef",
    "Union",
    "Var",
    "VarLinkage",
    "Void",
    "Volatile",
    "build_btf_ext",
    "declaration",
    "deduplicate",
    "definition",
    "distill_base",
    "dump_c",
    "format_type",
    "kernel_btf",
    "merge",
    "minimise",
    "module_btf",
    "module_names",
    "permute",
    "relocate",
]

if not TYPE_CHECKING:  # or every name would be one, to type checkers
    __getattr__ = on_demand(
        __name__,
        {
            ".ext": "BTFExt CoreInfo FunctionInfo LineInfo build_btf_ext",
            ".kernel": "kernel_btf module_btf module_names",
            ".reader": "BTF",
            ".types": (
                "COMPOSITES ENUMS MODIFIERS Array Const DataSec DeclTag Enum Enum64 "
                "EnumValue Float Func FuncLinkage FuncProto Fwd Int IntEncoding Kind Member "
                "Parameter Ptr Restrict SectionVariable Struct Type Typedef TypeTag Union "
                "Var VarLinkage Void Volatile"
            ),
            ".builder": "BTFBuilder",
            ".c.dump": "dump_c",
            ".c.format": "declaration definition format_type",
            ".dedup": "Deduplicated Merged deduplicate merge",
            ".distill": "distill_base relocate",
            ".minimal": "Minimiser minimise",
            ".order": "permute",
        },
    )
