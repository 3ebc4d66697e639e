"""What came into a linked object from which input: a library's things by its own names."""

from __future__ import annotations

from collections.abc import Mapping

from osmia.records import dataclass, field


@dataclass(frozen=True, slots=True)
class Part:
    """The keys that an input's things have in the linked object, by those that they had before.

    What lost to another definition is that one. Code that was left out is not there.
    """

    functions: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    maps: Mapping[str, str] = field(default_factory=dict)
