"""Count the keys of variable-key tail calls: what a second load makes direct first.

A hash map of the object's, `tail_call_keys`, counts each key of each function, on each CPU by
itself. Its `attributes` tell the number of each function.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from osmia.errors import RewriteError
from osmia.isa.state import FRAME_SIZE
from osmia.object.editing import FunctionEditor, apply_edits
from osmia.object.frames import frame_sizes
from osmia.object.known_code import known_code
from osmia.object.model import Map, Object, Relocation, RelocationKind
from osmia.object.uapi import MapType
from osmia.passes.tail_call_sites import has_tail_calls, tail_call_sites

MAP: Final = "tail_call_keys"
MOST_KEYS = 4096
"""Keys of all functions together that are counted; more are not."""
_BYTES = 40
"""Of the frame: what the call was given, the map's key, a first count."""


def count_keys(obj: Object, *, variable: Collection[str] = ()) -> Object:
    """`obj` with the map, and code before each tail call whose key is not known.

    RewriteError where the object has a map of that name, or a frame no room.
    """
    if not any(has_tail_calls(each.code, obj.byteorder) for each in obj.functions.values()):
        return obj
    if MAP in obj.maps:
        raise RewriteError(f"{obj.name} has a map {MAP!r} already")
    code = known_code(obj, variable=variable)
    frames = frame_sizes(code)
    numbers: dict[str, int] = {}
    editors: dict[str, FunctionEditor] = {}
    for site in tail_call_sites(code):
        if site.key is None:
            editor = editors.setdefault(site.function, FunctionEditor(obj, site.function))
            number = numbers.setdefault(site.function, len(numbers))
            _count(editor, site.slot, number, frames[site.function])
    if not editors:
        return obj
    made, _ = apply_edits(obj, editors.values())
    counts = Map(MAP, MapType.PERCPU_HASH, 8, 8, MOST_KEYS, attributes=numbers)
    return made.copy(maps=made.maps | {MAP: counts})


def hot_keys(counts: Any, numbers: Mapping[str, int]) -> dict[str, list[int]]:
    """The keys of each function, the most frequent first: `counts` is the map, `numbers` its
    attributes."""
    names = {number: name for name, number in numbers.items()}
    found: dict[str, dict[int, int]] = {}
    for key, values in counts.items():
        packed = bytes(key) if not isinstance(key, int) else key.to_bytes(8, "little")
        number, slot = int.from_bytes(packed[:4], "little"), int.from_bytes(packed[4:], "little")
        total = sum(v if isinstance(v, int) else int.from_bytes(v, "little") for v in values)
        if number in names:
            found.setdefault(names[number], {})[slot] = total
    return {name: sorted(keys, key=lambda key: (-keys[key], key)) for name, keys in found.items()}


def _count(editor: FunctionEditor, slot: int, number: int, frame: int) -> None:
    """Count the key in r3, and leave r1 to r3 as they were."""
    if frame + _BYTES > FRAME_SIZE:
        raise RewriteError(
            f"function {editor.key!r} uses {frame} bytes of stack: there is no room to count keys"
        )
    at = {name: frame + 8 * n for n, name in enumerate(("r1", "r2", "r3", "key", "one"), 1)}
    text = f"""
        *(u64 *)(r10 -{at["r1"]}) = r1
        *(u64 *)(r10 -{at["r2"]}) = r2
        *(u64 *)(r10 -{at["r3"]}) = r3
        *(u32 *)(r10 -{at["key"]}) = {number}
        *(u32 *)(r10 -{at["key"] - 4}) = r3
        r1 = 0 ll
        r2 = r10
        r2 += -{at["key"]}
        call bpf_map_lookup_elem
        if r0 == 0 goto first
        r1 = *(u64 *)(r0 +0)
        r1 += 1
        *(u64 *)(r0 +0) = r1
        goto done
        first:
        *(u64 *)(r10 -{at["one"]}) = 1
        r1 = 0 ll
        r2 = r10
        r2 += -{at["key"]}
        r3 = r10
        r3 += -{at["one"]}
        r4 = 0
        call bpf_map_update_elem
        done:
        r1 = *(u64 *)(r10 -{at["r1"]})
        r2 = *(u64 *)(r10 -{at["r2"]})
        r3 = *(u64 *)(r10 -{at["r3"]})
    """
    counted = [Relocation(8 * place, RelocationKind.MAP, MAP) for place in (5, 16)]
    editor.insert_before(editor.label(slot), text, relocations=counted)
