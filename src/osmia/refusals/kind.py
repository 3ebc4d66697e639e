"""A kind of refusal: how the verifier says it, what that means, what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from osmia.records import dataclass
from osmia.refusals.history import History

#: More of what the words of a kind name, or None when the kind is another.
Condition = Callable[["Refused"], "dict[str, str] | None"]

_PLACE = re.compile(r"\{(\w+)\}")


class Refused:
    """A refusal that a kind is looked for: the complaint in one line, and the log before it.

    `facts` are what the pattern of the kind in question found, by name.
    """

    def __init__(self, message: str, history: History) -> None:
        self.message = message
        self.history = history
        self.facts: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A kind of refusal.

    `says` is a regular expression for the complaint; what its groups find may stand in `means`
    and `hint` as `{name}`. `{value}` is a register with where its value came from. `when` tells
    kinds apart that have the same complaint; the first that fits is the kind. `since` is the
    first kernel that refuses so, "" when all that have BTF do. `rule` is where the kernel's
    documentation has it.
    """

    name: str
    says: str
    means: str
    hint: str
    when: Condition | None = None
    since: str = ""
    rule: str = "Documentation/bpf/verifier.rst"


@dataclass(frozen=True, slots=True)
class Family:
    """Kinds of refusal that are about the same thing, in the order in which they are tried."""

    title: str
    kinds: Sequence[Refusal]


@dataclass(frozen=True, slots=True)
class Finding:
    """The kind of a refusal, with its words for this program. `kind` is a `Refusal.name`."""

    kind: str
    means: str
    hint: str


def fits(kind: Refusal, refused: Refused) -> Finding | None:
    """The words of `kind` when the refusal is of it."""
    found = re.search(kind.says, refused.message)
    if found is None:
        return None
    refused.facts = {name: text for name, text in found.groupdict().items() if text}
    if kind.when is not None:
        more = kind.when(refused)
        if more is None:
            return None
        refused.facts.update(more)
    return Finding(kind.name, _filled(kind.means, refused), _filled(kind.hint, refused))


def _filled(words: str, refused: Refused) -> str:
    def fact(place: re.Match[str]) -> str:
        name = place[1]
        if name == "value":
            register = refused.facts.get("register", "")
            return register + refused.history.described(register)
        return refused.facts.get(name, "")

    return _PLACE.sub(fact, words)
