"""Direct tail calls: a variable key is compared with constants, each with a call of its own.

With a constant key the kernel's JIT jumps straight into the program that is in the slot
(since 5.5); with another it goes through a bounds check and an indirect jump, with retpolines
14 ns instead of 2. In front of such a call this puts comparisons with the keys that are
likely, each with the same call where the verifier knows the key, and the call as it was last:
what happens is the same for every key, filled or not, and for the count of tail calls.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from osmia.object.editing import FunctionEditor, apply_edits
from osmia.object.known_code import known_code
from osmia.object.model import Map, Object
from osmia.object.uapi import MapType
from osmia.passes.tail_call_sites import TailCallSite, has_tail_calls, tail_call_sites

MOST_KEYS = 8
"""Keys that were told a site is compared with, unless the caller says otherwise."""
MOST_SLOTS = 64
"""The same of keys that nobody told, which are as likely as each other: all of them, or none.
Some of many cost every other key the search, and the indirect jump after it."""
IN_A_ROW = 4
"""So many keys are compared one after the other; more are searched by halves."""
_LARGEST_KEY = 0x7FFFFFFF
"""The largest that an immediate can be compared with, which is signed."""

#: Likely keys by map, or by the function that makes the call, hottest first.
HotKeys = Mapping[str, Sequence[int]]


def direct_tail_calls(
    obj: Object,
    hot: HotKeys | None = None,
    *,
    filled: Mapping[str, Collection[int]] | None = None,
    most: int | None = None,
    variable: Collection[str] = (),
) -> Object:
    """`obj` with its variable-key tail calls as comparisons with at most `most` keys a site
    (`MOST_KEYS`, `MOST_SLOTS`).

    The keys are those of `hot`, hottest first; for who is not in there those whose slots are
    filled when the map is made (`Map.slots`) or were `filled` before, and where none is, those
    that the code can have: of both all or, where they are more than `most`, none. Keys that it
    cannot have are left out. Nothing is done where the key is constant, the map is not known,
    or no key is. `variable` names read-only sections whose contents are not final; see
    `object.known_code`.
    """
    if not any(has_tail_calls(each.code, obj.byteorder) for each in obj.functions.values()):
        return obj
    editors: dict[str, FunctionEditor] = {}
    for site in tail_call_sites(known_code(obj, variable=variable)):
        keys = likely_keys(obj, site, hot or {}, filled or {}, most)
        if keys:
            editor = editors.get(site.function)
            if editor is None:
                editor = editors[site.function] = FunctionEditor(obj, site.function)
            _make_direct(editor, site.slot, keys)
    return apply_edits(obj, editors.values())[0] if editors else obj


def likely_keys(
    obj: Object,
    site: TailCallSite,
    hot: HotKeys,
    filled: Mapping[str, Collection[int]],
    most: int | None = None,
) -> list[int]:
    """The keys that are worth a comparison at a site, best first; none where it cannot help."""
    definition = obj.maps.get(site.map or "")
    if definition is None or definition.type is not MapType.PROG_ARRAY or site.key is not None:
        return []
    possible = site.keys
    told = hot.get(site.function, hot.get(definition.name, ()))
    wanted = [*told, *(() if told else _in_slots(definition, filled))]
    if possible is not None:
        wanted = [key for key in wanted if key in possible] or sorted(possible)
    limit = min(definition.max_entries, _LARGEST_KEY)
    keys = [key for key in dict.fromkeys(wanted) if 0 <= key < limit]
    if told:
        return keys[: MOST_KEYS if most is None else most]
    return keys if len(keys) <= (MOST_SLOTS if most is None else most) else []


def _in_slots(definition: Map, filled: Mapping[str, Collection[int]]) -> Iterable[int]:
    return sorted({index for index, _ in definition.slots} | set(filled.get(definition.name, ())))


def _make_direct(editor: FunctionEditor, slot: int, keys: Sequence[int]) -> None:
    """Put the comparisons before the call at `slot`.

    The verifier must know all 64 bits of the key, of which the call takes 32: those above are
    cleared before it is compared.
    """
    searched = list(keys) if len(keys) <= IN_A_ROW else sorted(keys)
    lines = ["w3 = w3", *_search(searched, "all")]
    for key in keys:
        lines += [f"k{key}: call 12", "goto done"]
    lines.append("other:")  # the call as it was
    text = "\n".join(lines)
    editor.insert_before(editor.label(slot), text, labels={"done": editor.label(slot + 1)})


def _search(keys: Sequence[int], name: str) -> list[str]:
    """Comparisons that find one of some keys; of many, which are ascending, by halves."""
    if len(keys) <= IN_A_ROW:
        return [*(f"if r3 == {key} goto k{key}" for key in keys), "goto other"]
    middle = len(keys) // 2
    low, high = keys[:middle], keys[middle:]
    return [
        f"if r3 >= {high[0]} goto {name}h",
        *_search(low, name + "l"),
        f"{name}h:",
        *_search(high, name + "h"),
    ]
