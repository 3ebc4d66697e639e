"""Programs of several objects as one: called one after the other, without tail calls.

A dispatcher is a program of its own with the code of the others in it, each a subprogram: the
kernel enters one program, and no call of it is indirect. What they share with their objects
(maps, global data) stays those objects'. Programs are put in and taken out by making another
dispatcher and putting it in the link's place at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from osmia.arguments import names_wrong_arguments
from osmia.btf import BTFBuilder, FuncLinkage, IntEncoding
from osmia.closing import ClosedByWith
from osmia.engine.importing import LoadedProvider
from osmia.engine.link import Link
from osmia.engine.loaded import LoadedObject
from osmia.engine.program import Program
from osmia.engine.results import RunResult
from osmia.errors import ClosedError, LinkError
from osmia.isa import encode, parse_assembly
from osmia.object import model
from osmia.object.model import Extern, ExternKind, Function, Object, Relocation, RelocationKind
from osmia.object.uapi import ProgramFlag, ProgramType
from osmia.object.verdicts import TcAction, XdpAction
from osmia.passes.layout import NO_LINE

#: What is dispatched to: a program of a loaded object, or an object that has but one.
Part: TypeAlias = "LoadedObject | tuple[LoadedObject, str]"

#: By program type: the context's struct, what goes on unless somebody says otherwise, and what
#: a dispatcher without programs gives.
_XDP: Final = {each.value: each.number for each in XdpAction}
# As signed numbers: that is how code compares them.
_TC: Final = {each.value: each.number if each.number < 1 << 31 else -1 for each in TcAction}
_KINDS: Final[Mapping[ProgramType, tuple[str, Mapping[str, int], tuple[str, ...], int]]] = {
    ProgramType.XDP: ("xdp_md", _XDP, ("XDP_PASS",), _XDP["XDP_PASS"]),
    ProgramType.SCHED_CLS: ("__sk_buff", _TC, ("TC_ACT_UNSPEC", "TC_ACT_PIPE"), -1),
}
_GPL = frozenset(("GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL"))
_GPL_TOO = _GPL | {"Dual MPL/GPL"}
_NAME = "dispatcher"


@names_wrong_arguments
def dispatch(
    parts: Sequence[Part],
    *,
    proceed_on: Iterable[str | int] | None = None,
    name: str = _NAME,
) -> Dispatch:
    """One program that runs XDP (or tc) programs of several loaded objects in order.

    It ends with the verdict of the first program that gives one that is not in `proceed_on`
    (XDP: XDP_PASS; tc: TC_ACT_UNSPEC and TC_ACT_PIPE), or with that of the last. `parts` are
    objects with one program, or pairs of an object and a program's name; all of one program
    type and engine.

    What the verifier limits for one program it limits for all together: 512 bytes of stack on
    any way, 256 functions. Needs functions verified by themselves (since 5.6). A tail call in one
    of them replaces that one, and what it gives is its verdict.

    Raises LinkError for parts that do not fit together, KeyError for a program that is not
    there, ValueError for a verdict of no such name, and what a load raises.
    """
    return Dispatch(parts, proceed_on, name)


class Dispatch(ClosedByWith):
    """Programs that run as one; made by `osmia.dispatch`. A context manager.

    `parts` are those that it has, `program` is the program that runs them. Both change when
    programs are put in or taken out; packets see the one or the other.
    """

    def __init__(
        self, parts: Sequence[Part], proceed_on: Iterable[str | int] | None, name: str
    ) -> None:
        self._name = name
        self._links: list[Link] = []
        chosen = [_chosen(part) for part in parts]
        if not chosen:
            raise LinkError("a dispatcher begins with at least one program, which says its type")
        self._type = chosen[0][0].object.programs[chosen[0][1]].type
        if self._type not in _KINDS:
            kinds = " and ".join(kind.name for kind in _KINDS)
            raise LinkError(f"programs of type {self._type.name}: only {kinds} have dispatchers")
        self._engine = chosen[0][0].engine
        self._options = {"vm": chosen[0][0].vm} if hasattr(chosen[0][0], "vm") else {}
        self._proceed_on = _verdicts(self._type, proceed_on)
        self._parts: tuple[tuple[LoadedObject, str], ...] = ()
        self._loaded = self._load(chosen)
        self._parts = tuple(chosen)

    @property
    def parts(self) -> tuple[tuple[LoadedObject, str], ...]:
        """The programs in order: the object and the name of each."""
        return self._parts

    @property
    def program(self) -> Program:
        """The program that runs them now."""
        return self._loaded.programs[self._name]

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._loaded.closed

    def run(self, data: bytes = b"", ctx: Any = None, *, repeat: int = 1) -> RunResult:
        """A test run; see `Program.run`."""
        return self.program.run(data, ctx, repeat=repeat)

    def attach(self, target: Any = None, **options: Any) -> Link:
        """Attach it; see `Program.attach`. The link follows when programs are put in or taken
        out; it is detached when it or the dispatcher is closed. Attachments that cannot be
        updated atomically are NotSupportedError then."""
        link = self.program.attach(target, **options).disown()
        self._links.append(link)
        return link

    def insert(self, index: int, part: Part) -> None:
        """Put a program before the one at `index`; as of `list.insert`."""
        parts = list(self._parts)
        parts.insert(index, _chosen(part))
        self.replace(parts)

    def append(self, part: Part) -> None:
        """Put a program behind the others."""
        self.replace([*self._parts, part])

    def remove(self, part: Part) -> None:
        """Take a program out. ValueError if it is not there."""
        parts = list(self._parts)
        parts.remove(_chosen(part))
        self.replace(parts)

    def replace(self, parts: Sequence[Part]) -> None:
        """Have these programs instead. When that fails all is as it was."""
        if self.closed:
            raise ClosedError(f"dispatcher {self._name!r} is closed")
        chosen = [_chosen(part) for part in parts]
        made = self._load(chosen)
        updated: list[Link] = []
        before = self.program
        try:
            for link in self._links:
                if not link.closed:
                    link.update(made.programs[self._name])
                    updated.append(link)
        except BaseException:
            for link in updated:
                link.update(before)
            made.close()
            raise
        self._loaded.close()
        self._loaded, self._parts = made, tuple(chosen)

    def close(self) -> None:
        """Detach it and let it go; the objects of its programs stay."""
        for link in self._links:
            link.close()
        self._links.clear()
        self._loaded.close()

    def __repr__(self) -> str:
        names = ", ".join(f"{loaded.name}:{name}" for loaded, name in self._parts)
        return f"<Dispatch of {names}{', closed' if self.closed else ''}>"

    def _load(self, parts: Sequence[tuple[LoadedObject, str]]) -> LoadedObject:
        for loaded, name in parts:
            _check(loaded, name, self._type, self._engine)
        providers = {
            id(loaded): _Aliases(loaded) for loaded in dict.fromkeys(loaded for loaded, _ in parts)
        }
        imports: dict[str, _Aliases] = {}
        for number, (loaded, name) in enumerate(parts):
            provider = providers[id(loaded)]
            provider.add(f"part_{number}", loaded.object.programs[name].function)
            imports[f"part_{number}"] = provider
        obj = _dispatcher(self._name, self._type, list(imports), self._proceed_on)
        obj.license = _license(loaded for loaded, _ in parts)
        flags = {loaded.object.programs[name].flags for loaded, name in parts}
        if len(flags) > 1:
            names = ", ".join(
                f"{name} ({ProgramFlag(loaded.object.programs[name].flags)!r})"
                for loaded, name in parts
            )
            raise LinkError(f"programs of one dispatcher have the same flags, not {names}")
        (program,) = obj.programs.values()
        first = parts[0][0].object.programs[parts[0][1]] if parts else program
        obj.programs[self._name] = model.Program(
            self._name,
            program.function,
            first.section,
            self._type,
            first.expected_attach_type,
            flags=first.flags,
        )
        options: dict[str, Any] = dict(self._options)
        if imports:
            options["imports"] = imports
        return obj.load(self._engine, **options)


class _Aliases(LoadedProvider):
    """A loaded object that offers programs under names of a dispatcher's."""

    def __init__(self, loaded: LoadedObject) -> None:
        super().__init__(loaded)
        self.object = self.object.copy()

    def add(self, alias: str, function: str) -> None:
        """Offer a function under another name, too."""
        self.object.functions[alias] = self.object.functions[function]


def _chosen(part: Any) -> tuple[LoadedObject, str]:
    if isinstance(part, LoadedObject):
        names = list(part.programs)
        if len(names) != 1:
            raise LinkError(
                f"{part.name!r} has {len(names)} programs: say which, as (object, name)"
            )
        return part, names[0]
    try:
        loaded, name = part
    except (TypeError, ValueError):
        loaded, name = None, ""
    if not isinstance(loaded, LoadedObject):
        raise TypeError(f"{part!r:.80}: a loaded object is needed, or (object, program's name)")
    loaded.programs[name]  # KeyError with the names that there are
    return loaded, name


def _check(loaded: LoadedObject, name: str, kind: ProgramType, engine: str) -> None:
    if loaded.closed:
        raise ClosedError(f"object {loaded.name!r} is closed")
    if loaded.engine != engine:
        raise LinkError(f"{loaded.name!r} is in the engine {loaded.engine!r}, not in {engine!r}")
    found = loaded.object.programs[name].type
    if found is not kind:
        raise LinkError(f"program {name!r} of {loaded.name!r} is {found.name}, not {kind.name}")


def _verdicts(kind: ProgramType, given: Iterable[str | int] | None) -> tuple[int, ...]:
    _, names, default, _ = _KINDS[kind]
    if isinstance(given, str):
        raise TypeError(f"proceed_on={given!r}: several verdicts, in a list")
    found = []
    for verdict in default if given is None else given:
        if isinstance(verdict, str) and verdict not in names:
            raise ValueError(f"{verdict!r} is no verdict of {kind.name}: {', '.join(names)}")
        found.append(names[verdict] if isinstance(verdict, str) else int(verdict))
    return tuple(found)


def _license(objects: Iterable[LoadedObject]) -> str:
    """The license of code from all of them: GPL if every one may be taken under it."""
    licenses = list(dict.fromkeys(loaded.object.license for loaded in objects))
    others = [each for each in licenses if each not in _GPL_TOO]
    if len(others) > 1:
        raise LinkError(f"licenses {' and '.join(map(repr, others))} do not go together")
    return others[0] if others else "GPL"


def _dispatcher(
    name: str, kind: ProgramType, parts: Sequence[str], proceed_on: Sequence[int]
) -> Object:
    """The dispatcher, with an extern function for each part."""
    context, _, _, empty = _KINDS[kind]
    types = BTFBuilder()
    integer = types.add_int("int", 4, IntEncoding.SIGNED)
    pointer = types.add_ptr(types.add_struct(context, 0))
    prototype = types.add_func_proto(integer, [("ctx", pointer)])
    own = types.add_func(name, prototype, FuncLinkage.GLOBAL)
    externs = {
        part: Extern(
            part,
            ExternKind.OBJECT,
            prototype,
            btf_id=types.add_func(part, prototype, FuncLinkage.EXTERN),
        )
        for part in parts
    }
    lines = ["r6 = r1", f"r0 = {empty}"]
    for number, part in enumerate(parts):
        lines += ["r1 = r6", f"{part}: call 0"]
        if number + 1 < len(parts):
            lines += [f"if w0 == {verdict} goto after_{part}" for verdict in proceed_on]
            lines += ["goto end", f"after_{part}:"]
    lines += ["end: exit"]
    assembly = parse_assembly("\n".join(lines))
    calls = tuple(
        Relocation(8 * assembly.labels[part], RelocationKind.EXTERN_CALL, part) for part in parts
    )
    code = encode(assembly.instructions)
    function = Function(name, "", code, calls, line_info=NO_LINE, btf_id=own)
    program = model.Program(name, name, "", kind)
    return Object(
        name,
        functions={name: function},
        programs={name: program},
        externs=externs,
        btf=types.build(),
    )
