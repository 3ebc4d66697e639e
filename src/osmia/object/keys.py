"""Keys of functions and variables: what tells those of one name apart, and which a word means.

A symbol's name is what users and ELF see. The key is what relocations mean, and no other
function (or variable) of the object has it: the name itself as long as nobody shares it, and
always that of a symbol that other objects can see. Static ones of one name have their source
file in front ("a.bpf.c:count"), or the section where that does not tell them apart
(".bss:count"), or both; a number is the last resort.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from osmia.errors import AmbiguousNameError
from osmia.named_tuples import NamedTuple

#: As many candidates are listed in an error.
_LISTED = 16


class Named(NamedTuple):
    """What there is to tell a function or variable by; `file` is "" where nobody told it."""

    name: str
    file: str
    section: str
    static: bool = True

    def words(self) -> tuple[str, ...]:
        """The words that mean it, the plain one first."""
        name, section = self.name, f"{self.section}:{self.name}"
        if not self.file:
            return name, section
        return name, f"{self.file}:{name}", section, f"{self.file}:{section}"


def distinct_keys(things: Sequence[Named], reserved: Collection[str] = ()) -> list[str]:
    """A key for each of `things`, in their order; `reserved` are names that somebody else has."""
    sharing: dict[str, list[int]] = defaultdict(list)
    for number, each in enumerate(things):
        sharing[each.name].append(number)
    keys = [each.name for each in things]
    taken = {*keys, *reserved}
    for name, group in sharing.items():
        visible = [number for number in group if not things[number].static]
        if len(visible) == 1 and name not in reserved:
            group.remove(visible[0])
        elif len(group) == 1 and name not in reserved:
            continue
        for number, key in zip(group, _qualified([things[i] for i in group], taken), strict=True):
            keys[number] = key
            taken.add(key)
    return keys


def _qualified(group: list[Named], taken: Collection[str]) -> list[str]:
    """Keys for things of one name: words of one form, if there is one that tells them apart."""
    words = [each.words() for each in group]
    forms = range(1, min(len(each) for each in words)) if words else ()
    for form in forms:
        found = [each[form] for each in words]
        if len({*found}) == len(found) and not any(word in taken for word in found):
            return found
    numbered: dict[str, None] = {}
    number = 0
    for each in words:
        key = each[-1]
        while key in taken or key in numbered:
            number += 1
            key = f"{each[-1]}#{number}"
        numbered[key] = None
    return list(numbered)


def find_key(word: str, things: Mapping[str, Named], kind: str) -> str | None:
    """The key of the one thing that `word` means; None if there is none.

    AmbiguousNameError, which lists them, if there are several. `kind` says in its message
    what they are, in the plural.
    """
    if word in things:
        return word
    found = [key for key, each in things.items() if word in each.words()]
    if len(found) > 1:
        raise ambiguous(word, [(key, things[key].section) for key in found], kind)
    return found[0] if found else None


def ambiguous(word: str, found: Iterable[tuple[str, str]], kind: str) -> AmbiguousNameError:
    """The error for a word that means several; `found` are their keys and sections."""
    keys = [*found]
    listed = ", ".join(f"{key!r} ({section})" for key, section in keys[:_LISTED])
    more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    return AmbiguousNameError(
        f"{word!r} is the name of {len(keys)} {kind}; say which: {listed}{more}",
        tuple(key for key, _ in keys),
    )
