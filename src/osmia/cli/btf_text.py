"""BTF type by type, as bpftool's raw dump and its JSON show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from osmia import btf as t
from osmia.btf import BTF

Record = dict[str, Any]

LINKAGE = {0: "static", 1: "global", 2: "extern"}
#: Lists that a record may have, printed one element a line.
_LISTS = ("members", "values", "params", "vars")


def records(btf: BTF) -> Iterator[Record]:
    """The types of `btf` (of a split BTF its own ones) in order, under bpftool's names."""
    for type_id in range(btf.first_id, len(btf)):
        yield record_of(btf, type_id)


def chosen(btf: BTF, ids: Iterable[int]) -> Iterator[Record]:
    """These types, in the order given; 0, which no map names, is of an unknown kind."""
    for type_id in ids:
        yield {**record_of(btf, type_id), **({} if type_id else {"kind": "UNKNOWN"})}


def record_of(btf: BTF, type_id: int) -> Record:
    """One type under bpftool's names."""
    found = btf.type(type_id)
    return {
        "id": type_id,
        "kind": found.kind.name,
        "name": found.name or "(anon)",
        **_details(found),
    }


def record_lines(btf: BTF, record: Record) -> Iterator[str]:
    """A record as text: a line, and one for each member, enumerator, parameter, variable."""
    rest = _rest(record)
    if record["kind"] == "VAR":
        rest = rest.replace(" linkage", ", linkage")  # as bpftool has it
    yield f"[{record['id']}] {record['kind']} '{record['name']}'{rest}"
    for key in ("members", "values", "params"):
        for each in record.get(key, ()):
            yield f"\t'{each['name']}'{_rest(each)}"
    for each in record.get("vars", ()):
        found = btf.type(each["type_id"])
        yield f"\t{_rest(each)[1:]} ({found.kind.name} '{found.name}')"


def _rest(record: Record) -> str:
    shown = {k: v for k, v in record.items() if k not in ("id", "kind", "name", *_LISTS)}
    return "".join(f" {key}={value}" for key, value in shown.items())


def _details(found: t.Type) -> Record:
    match found:
        case t.Int():
            encoding = found.encoding.name if found.encoding else "(none)"
            return {
                "size": found.size,
                "bits_offset": found.offset,
                "nr_bits": found.bits,
                "encoding": encoding,
            }
        case t.Array():
            return {
                "type_id": found.element,
                "index_type_id": found.index_type,
                "nr_elems": found.count,
            }
        case t.Struct() | t.Union():
            members = [_member(each) for each in found.members]
            return {"size": found.size, "vlen": len(members), "members": members}
        case t.Enum() | t.Enum64():
            return {
                "encoding": "SIGNED" if found.signed else "UNSIGNED",
                "size": found.size,
                "vlen": len(found.values),
                "values": [{"name": name, "val": value} for name, value in found.values],
            }
        case t.Fwd():
            return {"fwd_kind": "union" if found.is_union else "struct"}
        case t.Func() | t.Var():
            linkage = LINKAGE.get(int(found.linkage), str(int(found.linkage)))
            return {"type_id": found.type_id, "linkage": linkage}
        case t.FuncProto():
            parameters = [
                {"name": each.name or "(anon)", "type_id": each.type_id}
                for each in found.parameters
            ]
            return {
                "ret_type_id": found.return_type,
                "vlen": len(parameters),
                "params": parameters,
            }
        case t.DataSec():
            variables = [each._asdict() for each in found.entries]
            return {"size": found.size, "vlen": len(variables), "vars": variables}
        case t.Float():
            return {"size": found.size}
        case t.DeclTag():
            return {"type_id": found.type_id, "component_idx": found.component}
        case t.Void():
            return {}
    return {"type_id": found.target}


def _member(member: t.Member) -> Record:
    told = {
        "name": member.name or "(anon)",
        "type_id": member.type_id,
        "bits_offset": member.bit_offset,
    }
    return told | ({"bitfield_size": member.bitfield_size} if member.bitfield_size else {})
