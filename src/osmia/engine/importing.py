"""From the option `imports=` of a load to the providers that its externs are looked for in."""

from __future__ import annotations

import os
import warnings
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from osmia.engine.loaded import LoadedObject
from osmia.errors import ClosedError, LinkError, NotSupportedError, OsmiaWarning
from osmia.passes.imports import Imports, Way
from osmia.passes.providers import Found, Provider, find

if TYPE_CHECKING:
    from osmia.object import Object

#: The word for what the kernel holds, whoever loaded it.
KERNEL = "kernel"
#: All that `bind=` can be, with the engine that has it.
WAYS = {"copy": "", "replace": "kernel", "call": "vm"}


class LoadedProvider:
    """A LoadedObject as a provider: the Object as it was linked, and all of its maps."""

    def __init__(self, loaded: LoadedObject) -> None:
        if loaded.closed:
            raise ClosedError(f"object {loaded.name!r} is closed: nothing can be imported from it")
        self.loaded = loaded
        self.name = loaded.name
        self.object = loaded.linked
        self.engine_functions: Mapping[str, Any] = getattr(loaded, "engine_functions", {})
        both = cast("list[dict[str, Any]]", [loaded.maps, loaded.section_maps])
        self.maps: Mapping[str, Any] = ChainMap(*both)

    def where(self, found: Found) -> str:
        """Where a definition is: the map, or the programs that have the function."""
        live = self.maps.get(found.key) if found.kind != "function" else None
        if live is not None:
            return f"map {live.id}"
        return ", ".join(
            f"program {name!r} {program.id}{_tag(program)}"
            for name, program in self.loaded.programs.items()
            if found.key in self._functions_of(name)
        )

    def used_by(self, user: LoadedObject, what: str) -> None:
        """Remember it for who closes the object: see `LoadedObject.users`."""
        self.loaded.users.setdefault(user, []).append(what)

    def let_go(self, user: LoadedObject, what: str) -> None:
        """Forget one thing that `used_by` told."""
        known = self.loaded.users.get(user, [])
        if what in known:
            known.remove(what)
        if not known:
            self.loaded.users.pop(user, None)

    def _functions_of(self, program: str) -> set[str]:
        function = self.object.programs[program].function
        return {function, *self.object.callees(function)}


def _tag(program: Any) -> str:
    """The tag of a program, where its engine knows one."""
    try:
        return f", tag {program.info.tag}"
    except NotSupportedError:
        return ""


class FileProvider:
    """A file as a provider: nobody holds its maps and data."""

    maps: Mapping[str, Any] = {}

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from osmia.formats import open_object

        self.object: Object = open_object(path)
        self.name = os.fspath(path)


def read_imports(
    given: Any,
    bind: str,
    engine: str,
    *,
    obj: Object,
    kernel: Callable[[], Iterable[Provider]] | None = None,
    ways: Mapping[str, Way] | None = None,
) -> Imports | None:
    """The resolver for `imports=` and `bind=` of a load of `obj`; None without imports.

    `kernel` gives the providers that the word "kernel" stands for, `ways` are those to bind
    functions that the engine has. TypeError for what is no provider, NotSupportedError for
    what this engine has not, LinkError for decisions about names that `obj` does not have extern.
    """
    if bind not in WAYS:
        raise ValueError(f"bind={bind!r}: {' or '.join(map(repr, WAYS))}")
    own = dict(ways or {})
    if bind != "copy" and bind not in own:
        raise NotSupportedError(
            f"bind={bind!r} is of the engine {WAYS[bind]!r}, not of {engine!r}",
            capability=f"bind={bind}",
        )
    if not given:
        return None
    reader = _Reader(engine, kernel)
    providers, decided = reader.read(given)
    for name in decided:
        if name not in obj.externs:
            raise LinkError(f"{obj.path or obj.name} has no extern {name!r} to import")
    return Imports(providers, decided, own, bind)


def find_in(
    source: Any,
    name: str,
    engine: str,
    *,
    kernel: Callable[[], Iterable[Provider]] | None = None,
) -> Found:
    """What a provider, as `imports=` takes it, defines under a name. Errors as of `read_imports`;
    LinkError where it defines nothing of that name."""
    providers = _Reader(engine, kernel).providers(source)
    chosen = _only(name, providers) if providers else None
    found = find(chosen, name) if chosen is not None else None
    if found is None:
        who = chosen.name if chosen is not None else source
        raise LinkError(f"{who} defines no {name!r} that others can see")
    return found


def exchange(user: LoadedObject, before: Found | None, now: Found | None) -> None:
    """Let providers know that `user` has one function of theirs instead of another."""
    for found, verb in ((before, "let_go"), (now, "used_by")):
        tell = getattr(found.provider, verb, None) if found is not None else None
        if found is not None and tell is not None:
            tell(user, found.told)


class _Reader:
    """Makes a provider once of each thing that is given."""

    def __init__(self, engine: str, kernel: Callable[[], Iterable[Provider]] | None) -> None:
        self._engine = engine
        self._kernel = kernel
        self._made: dict[int | str, list[Provider]] = {}

    def read(self, given: Any) -> tuple[list[Provider], dict[str, Provider]]:
        parts = [given] if isinstance(given, Mapping) else given
        if isinstance(parts, str | os.PathLike) or not hasattr(parts, "__iter__"):
            raise TypeError(f"imports={given!r:.80}: a list of providers, or a mapping by names")
        providers: dict[int, Provider] = {}
        decided: dict[str, Provider] = {}
        for part in parts:
            if isinstance(part, Mapping):
                for name, source in part.items():
                    decided[name] = _only(name, self.providers(source))
            else:
                providers |= {id(each): each for each in self.providers(part)}
        return list(providers.values()), decided

    def providers(self, source: Any) -> list[Provider]:
        key = os.fspath(source) if isinstance(source, str | os.PathLike) else id(source)
        known = self._made.get(key)
        if known is None:
            known = self._made[key] = list(self._read(source))
        return known

    def _read(self, source: Any) -> Iterator[Provider]:
        if source == KERNEL:
            if self._kernel is None:
                raise NotSupportedError(
                    f"imports of {KERNEL!r} are for programs in the kernel, not in the engine"
                    f" {self._engine!r}"
                )
            yield from self._kernel()
        elif isinstance(source, LoadedObject):
            if source.engine != self._engine:
                raise LinkError(
                    f"{source.name!r} is in the engine {source.engine!r}; what is loaded into"
                    f" {self._engine!r} can use nothing of it"
                )
            yield LoadedProvider(source)
        elif isinstance(source, str | os.PathLike):
            yield FileProvider(source)
        elif all(hasattr(source, name) for name in ("name", "object", "maps")):
            if getattr(source, "closed", False):
                raise ClosedError(f"{source.name!r} is closed: nothing can be imported from it")
            yield source
        else:
            raise TypeError(
                f"{source!r:.80} is nothing to import from: an object that is loaded or published,"
                f" a path, or {KERNEL!r}"
            )


def _only(name: str, providers: list[Provider]) -> Provider:
    """The one of several providers that defines a name."""
    if len(providers) == 1:
        return providers[0]
    found = [each for provider in providers if (each := find(provider, name)) is not None]
    if len(found) != 1:
        raise LinkError(f"{name!r} has {len(found)} definitions", [e.described() for e in found])
    return found[0].provider


def warn_of_users(loaded: LoadedObject) -> None:
    """An OsmiaWarning that names the open objects which use what `loaded` gives up."""
    using = {user: what for user, what in loaded.users.items() if not user.closed}
    if not using:
        return
    told = "; ".join(
        f"{user.name!r} has its {', '.join(dict.fromkeys(what))}" for user, what in using.items()
    )
    warnings.warn(
        f"object {loaded.name!r} is closed and still used: {told}. That stays until the others"
        " are closed",
        OsmiaWarning,
        stacklevel=3,
    )
