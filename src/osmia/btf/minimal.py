"""The few of a kernel's types that objects need: for machines whose kernel shows no BTF.

What stays are the types that CO-RE records go through: structs with just the members that
some record names, what those are made of but not what they point to, enumerations whole.
Every candidate that a record matches stays, not the first alone, so that the answers are
those of the whole BTF, and so is what does not match. Type ids are new: a record that asks
for an id (TYPE_ID_TARGET) gets the small BTF's, which means nothing to a kernel.
"""

from __future__ import annotations

from collections.abc import Iterable

from osmia.btf.builder import BTFBuilder
from osmia.btf.core.kinds import CoreKind
from osmia.btf.core.match import Candidates, essential_name
from osmia.btf.core.records import CORE_KINDS, FIELD_KINDS, CoreRecord, match_record, parse_record
from osmia.btf.core.spec import Spec
from osmia.btf.reader import BTF
from osmia.btf.sizes import LONG_NAMES
from osmia.btf.types import MODIFIERS, Array, FuncProto, Kind, Ptr, Struct, Union
from osmia.errors import ObjectFormatError


def minimise(local: BTF, records: Iterable[CoreRecord], kernel: BTF) -> BTF:
    """The part of `kernel` that the CO-RE records of one object need; `local` is its BTF.

    Loading the object with `Target.running(core_btf=…)` of it gives the same programs as
    with `kernel`.
    For several objects, or modules' BTF, see `Minimiser`.
    """
    minimiser = Minimiser(kernel)
    minimiser.add(local, records)
    return minimiser.build()


class Minimiser:
    """Collects what objects need of one kernel's BTF; `build` makes a BTF of that."""

    def __init__(self, kernel: BTF) -> None:
        self.kernel = kernel
        self._candidates = Candidates(kernel, dict)
        #: The types to keep, and whether what they point to is kept too.
        self._kept: dict[int, bool] = {}
        self._members: dict[int, set[int]] = {}
        if kernel.pointer_size != 8:
            self._keep_all(kernel.find_all(name, Kind.INT) for name in LONG_NAMES)

    def add(self, local: BTF, records: Iterable[CoreRecord]) -> None:
        """Keep what the records of one object need; `local` is the object's own BTF.

        Raises ObjectFormatError for a record that leads nowhere in `local`.
        """
        for record in records:
            if record.kind not in CORE_KINDS:
                raise ObjectFormatError(f"CO-RE kind {record.kind} is not known", file=local.name)
            kind = CoreKind(record.kind)
            wanted = parse_record(local, kind, record.type_id, record.access)
            name = local.name_of(record.type_id)
            if kind is CoreKind.TYPE_ID_LOCAL or not name:
                continue
            for btf, type_id in self._candidates.find(name, local.kind_of(record.type_id)):
                found = match_record(kind, wanted, btf, type_id)
                if found is not None:
                    self._keep_match(kind, wanted, found)

    def build(self, name: str = "") -> BTF:
        """The BTF of what was kept, in the order that the kernel's has."""
        builder = BTFBuilder(byteorder=self.kernel.byteorder)
        kept = sorted(self._kept)
        numbers = {old: new for new, old in enumerate(kept, 1)}
        for type_id in kept:
            found = self.kernel.type(type_id)
            if isinstance(found, Struct | Union):
                chosen = sorted(self._members.get(type_id, ()))
                found = found._replace(members=tuple(found.members[i] for i in chosen))
            builder.add(found, lambda old: numbers.get(old, 0))
        return builder.build(name)

    def _keep_match(self, kind: CoreKind, wanted: Spec, found: Spec) -> None:
        if kind in FIELD_KINDS:
            self._keep_path(found)
        elif kind is CoreKind.TYPE_MATCHES:
            self._keep([found.root])
            self._keep_matching(wanted.btf, wanted.root, found.root)
        else:
            enumerator = kind in (CoreKind.ENUMVAL_EXISTS, CoreKind.ENUMVAL_VALUE)
            self._keep([found.root], pointees=not enumerator)

    def _keep_all(self, groups: Iterable[tuple[int, ...]]) -> None:
        for group in groups:
            self._keep(group)

    def _keep(self, type_ids: Iterable[int], *, pointees: bool = False) -> None:
        """Keep types and what they are made of: structs without members."""
        waiting = list(type_ids)
        while waiting:
            type_id = waiting.pop()
            if not type_id or self._kept.get(type_id, None) in (True, pointees):
                continue
            self._kept[type_id] = pointees
            match self.kernel.type(type_id):
                case Ptr() as pointer if pointees:
                    waiting.append(pointer.target)
                case Array() as array:
                    waiting += (array.element, array.index_type)
                case FuncProto() as prototype:
                    waiting += (prototype.return_type, *(p.type_id for p in prototype.parameters))
                case found if found.kind in MODIFIERS:
                    waiting.append(found.target)  # type: ignore[union-attr]

    def _keep_path(self, found: Spec) -> None:
        """Keep the members that a path goes through."""
        self._keep([found.root])
        current = self.kernel.resolve(found.root)
        for index in found.raw[1:]:
            match self.kernel.type(current):
                case Struct() | Union() as parent:
                    current = self._keep_member(parent, index)
                case Array() as array:
                    current = array.element
            current = self.kernel.resolve(current)

    def _keep_member(self, parent: Struct | Union, index: int) -> int:
        self._members.setdefault(parent.id, set()).add(index)
        type_id = parent.members[index].type_id
        self._keep([type_id])
        return type_id

    def _keep_matching(self, local: BTF, local_id: int, target_id: int) -> None:
        """Keep what comparing two types looks at; that they match is known."""
        seen: set[tuple[int, int, bool]] = set()
        waiting = [(local_id, target_id, False)]
        while waiting:
            mine_id, other_id, behind_pointer = waiting.pop()
            self._keep([other_id])
            pair = (local.resolve(mine_id), self.kernel.resolve(other_id), behind_pointer)
            if pair in seen:
                continue
            seen.add(pair)
            match local.type(pair[0]), self.kernel.type(pair[1]):
                case Ptr() as mine, Ptr() as other:
                    waiting.append((mine.target, other.target, True))
                case Array() as mine, Array() as other:
                    waiting.append((mine.element, other.element, behind_pointer))
                case FuncProto() as mine, FuncProto() as other:
                    waiting.append((mine.return_type, other.return_type, behind_pointer))
                    waiting += [
                        (here.type_id, there.type_id, behind_pointer)
                        for here, there in zip(mine.parameters, other.parameters, strict=True)
                    ]
                case (Struct() | Union()) as mine, (Struct() | Union()) as other:
                    if not behind_pointer:
                        waiting += self._same_members(mine, other)

    def _same_members(
        self, mine: Struct | Union, other: Struct | Union
    ) -> list[tuple[int, int, bool]]:
        """Keep the members of `other` that have a name of `mine`; the pairs of their types."""
        by_name: dict[str, list[int]] = {}
        for member in mine.members:
            by_name.setdefault(essential_name(member.name), []).append(member.type_id)
        pairs = []
        for index, member in enumerate(other.members):
            for type_id in by_name.get(essential_name(member.name), ()):
                self._keep_member(other, index)
                pairs.append((type_id, member.type_id, False))
        # A struct of fewer members than the object's never matches: flavours share names.
        for index in range(len(other.members)):
            if len(self._members.get(other.id, ())) >= len(mine.members):
                break
            self._keep_member(other, index)
        return pairs
