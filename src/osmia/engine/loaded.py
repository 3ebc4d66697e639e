"""`LoadedObject`: an object's programs, maps and data while an engine holds them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from functools import cached_property

from osmia.arguments import names_wrong_arguments
from osmia.closing import ClosedByWith
from osmia.engine import registry
from osmia.engine.link import Link, Links
from osmia.engine.refusals import lacking
from osmia.errors import ClosedError, LinkError
from osmia.values.names import PartsByName

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, ClassVar, NoReturn, Self
    from weakref import WeakKeyDictionary

    from osmia.engine.parts import LoadedPart
    from osmia.engine.program import Program
    from osmia.engine.tail_call_returns import TailCallReturns
    from osmia.object.model import DataSection, Object
    from osmia.paths import Path
    from osmia.values.variables import Store, Variables


class LoadedObject(ClosedByWith):
    """What `Object.load` gives: `.programs["name"]`, `.maps["name"]`, `.data["variable"]`.

    Owns its programs and maps, and the links that it or its programs made; `close` (or leaving
    a `with` block) gives them up. What is pinned stays, and what somebody else refers to.
    """

    #: The name of the engine that the object is in.
    engine: ClassVar[str]

    programs: Mapping[str, Program]
    maps: Mapping[str, Any]  # the class depends on the map's type, which no checker knows

    def __init__(
        self,
        obj: Object,
        programs: Mapping[str, Program],
        maps: Mapping[str, Any],
        struct_ops: Collection[str] = (),
        *,
        source: Object | None = None,
        linked: Object | None = None,
        name: str | None = None,
    ) -> None:
        name = obj.name if name is None else name
        self.object = obj
        self.source = obj if source is None else source
        """The object as `load` was given it: with its CO-RE records and externs, for this and
        any other machine. What was changed in the user's own afterwards is not in it."""
        self.linked = self.source if linked is None else linked
        """As `source`, with what was imported into it (`load(imports=…)`): what others copy."""
        self.programs = PartsByName(f"object {name!r}", "program", programs)
        self.maps = maps
        self._struct_ops_names = struct_ops
        self._links = Links(f"object {name!r}")
        for program in programs.values():
            program.owner = self._links
        self._closed = False
        self.tail_call_returns: TailCallReturns | None = None
        """What programs must return that its tail calls in subprograms reach."""

    @cached_property
    def data(self) -> Variables:
        """The global variables: `bpf.data["dropped"]`, read and, but for constants, assigned."""
        from osmia.object.model import DataKind, variables

        read_only = (DataKind.RODATA, DataKind.KCONFIG)
        return variables(self.object, self._store, read_only=read_only)

    @cached_property
    def section_maps(self) -> Mapping[str, Any]:
        """The maps that hold its data sections, by section; those of an arena's variables not."""
        return {}

    @cached_property
    def users(self) -> WeakKeyDictionary[LoadedObject, list[str]]:
        """The loaded objects that import from this one, and what; closed ones may be among them."""
        from weakref import WeakKeyDictionary

        return WeakKeyDictionary()

    def _store(self, section: DataSection) -> Store | None:
        """Where a data section is; None for one that the engine does not hold."""
        return None

    @property
    def tail_call_keys(self) -> dict[str, list[int]]:
        """What `load(direct_tail_calls="count")` counted so far: the variable keys of tail calls by
        function, the most frequent first; for `direct_tail_calls=` of another load. Empty where
        nothing counts."""
        from osmia.passes.tail_call_counts import MAP, hot_keys

        counts = self.object.maps.get(MAP)
        return {} if counts is None else hot_keys(self.maps[MAP], counts.attributes)

    def part(self, name: str) -> LoadedPart:
        """The maps, variables and programs of one input of a linked object (`osmia.link`), by
        their own names: a library's user need not know what it was linked into.

        A part is named as the input's file up to its first dot; `object.parts` lists them. An
        object that was not linked is one part. KeyError for a name of none.
        """
        from osmia.engine.parts import part_of

        return part_of(self, name)

    @property
    def name(self) -> str:
        """The object's name."""
        return self.object.name

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def links(self) -> tuple[Link, ...]:
        """The open links that belong to this object, in the order in which they were made:
        those that it and its programs attached, but for those taken away by `Link.disown`."""
        return self._links.all()

    @names_wrong_arguments
    def attach(self, *, without: Collection[str] = ()) -> list[Link]:
        """Attach every program whose section says where, and every struct_ops; the links, in
        the object's order. They stay until they or the object are closed.

        Programs that need to be told (an interface, a cgroup) are left alone, and so are
        programs and struct_ops named in `without` (KeyError for names of neither). When one
        cannot be attached, those attached before are detached again.
        """
        for name in without:
            if name not in self._struct_ops_names:
                self.programs[name]
        if "attach" in registry.find(self.engine).lacks:
            self._lacks("attach")
        if self._closed:
            raise ClosedError(f"object {self.name!r} is closed")
        with ExitStack() as undo:
            links: list[Link] = []
            for name, program in self.programs.items():
                wanted = program.definition is not None and program.definition.auto_attach
                if wanted and name not in without:
                    links.append(undo.enter_context(program.attach()))
            for name in self._struct_ops_names:
                if name not in without:
                    links.append(undo.enter_context(self.attach_struct_ops(name)))
            undo.pop_all()
        return links

    def attach_struct_ops(self, name: str) -> Link:
        """Register the struct_ops of that name with the kernel (since 5.6; links since 6.4).

        Raises KeyError when the object has none of that name.
        """
        self._lacks("struct_ops")

    def register_struct_ops(self, name: str) -> None:
        """Register the struct_ops of that name until `osmia struct_ops unregister` or a delete
        of its map's value ends it, beyond this process (since 5.6).

        Raises ValueError for those that are registered by links (section `.struct_ops.link`):
        pin the link that `attach_struct_ops` gives.
        """
        self._lacks("struct_ops")

    @names_wrong_arguments
    def rebind(self, name: str, provider: Any) -> None:
        """Let a function of another object stand for the extern `name` from now on, also while
        programs run that call it.

        For externs that are bound with bind="replace" (kernel) or bind="call" (vm) to functions of
        objects; `provider` is what `imports=` takes. It is checked and loaded first: what is
        refused changes nothing. Raises LinkError for a name that is no such extern and for a
        function that does not fit, else what loading raises.
        """
        if "imports" in registry.find(self.engine).lacks:
            self._lacks("imports")
        if self._closed:
            raise ClosedError(f"object {self.name!r} is closed")
        raise LinkError(
            f"object {self.name!r} has no extern {name!r} that could be bound anew: those that"
            " are copied have their code in its programs"
        )

    def pin(
        self, directory: str | os.PathLike[str], *, programs: bool = True, maps: bool = True
    ) -> list[Path]:
        """Pin all programs and maps under their names in a directory of a bpffs; the paths.

        All or none: when one cannot be pinned, those before are removed again, and so are
        directories made here. Global data stays as long as the programs do.
        """
        self._lacks("pin")

    def unpin(
        self, directory: str | os.PathLike[str], *, programs: bool = True, maps: bool = True
    ) -> None:
        """Remove what `pin` with the same arguments made, in this process or another one."""
        self._lacks("pin")

    def _lacks(self, capability: str) -> NoReturn:
        raise lacking(self.engine, capability, f"object {self.name!r}")

    def close(self) -> None:
        """Close its links, then give up programs and maps. Doing it twice does no harm.

        What others import from it lives on with them; an OsmiaWarning says who they are.
        """
        was_closed, self._closed = self._closed, True
        self.tail_call_returns = None
        try:
            self._links.close()
        finally:
            with ExitStack() as everything:
                self._release(everything)
        if not was_closed and "users" in self.__dict__:
            from osmia.engine.importing import warn_of_users

            warn_of_users(self)

    def _release(self, everything: ExitStack) -> None:
        """Push what gives up maps and programs; it is called from the last to the first."""
        for program in self.programs.values():
            everything.callback(program.close)

    def __enter__(self) -> Self:
        if self._closed:
            raise ClosedError(f"object {self.name!r} is closed")
        return self

    def __repr__(self) -> str:
        counts = f"{len(self.programs)} programs, {len(self.maps)} maps"
        return f"<LoadedObject {self.name!r}: {counts}, {self.engine}>"
