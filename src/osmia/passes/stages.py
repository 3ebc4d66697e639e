"""What happens to an Object before an engine has it: stages in order, one list for all engines.

A pass is a function of an Object (and of what it may ask beside it, a `Setting`) that gives
another Object. `PASSES` are those that loads run; `passes=` of a load adds some. A pass with
nothing to do is not even imported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Unpack

from osmia.enums import IntEnum
from osmia.object.model import Object
from osmia.object.uapi import MapType
from osmia.passes.layout import ProgramLayout, lay_out_program
from osmia.passes.options import PASS_OPTIONS, PassOptions
from osmia.passes.target import Target
from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.passes.binding import Resolver
    from osmia.passes.cover import Counted


class Stage(IntEnum):
    """The stages of a load. Passes belong to the first three."""

    LINK = 1  # join objects; bind externs to what is loaded
    SPECIALISE = 2  # externs and CO-RE against the target
    REWRITE = 3  # off unless asked for
    LAYOUT = 4  # a program's functions in a row, once: `Prepared.layout`
    NUMBERS = 5  # the engine's own: descriptors, handles, addresses


@dataclass(slots=True)
class Setting:
    """What a pass may ask beside the Object.

    `target` is the machine to prepare for; `resolvers` are asked in order for externs, before
    the target; `given_maps` are the maps that the load is given, by name; `pinned` reads which
    slots are filled in prog arrays of the object that are pinned; `options` those of passes;
    `cpus` how many CPUs count what runs. In `counted` the pass that counts leaves what it counts.
    """

    target: Target
    resolvers: Sequence[Resolver]
    given_maps: Collection[str]
    options: PassOptions
    pinned: Callable[[Object], Mapping[str, Collection[int]]] | None = None
    cpus: int = 1
    counted: Counted | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass in its stage: `run` makes the Object, where `wanted` (cheap) says that it would
    change anything. Within a stage passes run in the order of the list, further ones behind
    them; those that are `last` behind those."""

    name: str
    stage: Stage
    run: Callable[[Object, Setting], Object]
    wanted: Callable[[Object, Setting], bool] = lambda obj, setting: True
    last: bool = False


class Prepared:
    """An Object that has been through its passes, and the layouts of its programs.

    `linked` is the Object as the stage LINK left it, before anything of a machine was in it.
    `counted` is what is counted in it, where a load asks for that.
    """

    def __init__(
        self, obj: Object, linked: Object | None = None, counted: Counted | None = None
    ) -> None:
        self.object = obj
        self.counted = counted
        self.linked = linked if linked is not None else obj
        self._layouts: dict[str, ProgramLayout] = {}

    def layout(self, program: str) -> ProgramLayout:
        """The layout of a program, made when it is first asked for. Nobody changes it.

        Raises RelocationError for a function that is missing or code that grows too large.
        """
        layout = self._layouts.get(program)
        if layout is None:
            layout = lay_out_program(self.object, self.object.programs[program])
            self._layouts[program] = layout
        return layout


def prepare(
    obj: Object,
    target: Target,
    resolvers: Sequence[Resolver] = (),
    *,
    given_maps: Collection[str] = (),
    pinned: Callable[[Object], Mapping[str, Collection[int]]] | None = None,
    cpus: int = 1,
    **options: Unpack[PassOptions],
) -> Prepared:
    """`obj` ready for an engine: what the passes of all stages make of it.

    `given_maps` names the maps that the load is given, which it need not make; `pinned` and `cpus`
    as in `Setting`, for who reuses pins and who counts. Raises what the passes raise, and
    TypeError for an option that no pass has.
    """
    if not isinstance(target, Target):
        raise TypeError(f"target={target!r:.80}: an osmia.Target is needed")
    setting = Setting(target, resolvers, given_maps, options, pinned, cpus)
    if options:
        obj = obj.copy()  # further passes may change what they are given
    linked = obj
    for each in _passes_of(options) if options else PASSES:
        if each.wanted(obj, setting):
            if options and each.stage is Stage.REWRITE and obj is linked:
                obj = obj.copy()
            obj = each.run(obj, setting)
            if not isinstance(obj, Object):
                raise TypeError(f"pass {each.name!r} gave {obj!r}, which is no Object")
            if each.stage is Stage.LINK:
                linked = obj
    return Prepared(obj, linked, setting.counted)


def _passes_of(options: PassOptions) -> list[Pass]:
    """The passes of a load with options, in order."""
    unknown = options.keys() - PASS_OPTIONS
    if unknown:
        raise TypeError(f"no pass has an option {min(unknown)!r}")
    further = map(_as_pass, options.get("passes", ()))
    return sorted([*PASSES, *further], key=attrgetter("stage", "last"))


def _as_pass(given: Pass | Callable[[Object], Object]) -> Pass:
    if not isinstance(given, Pass):
        if not callable(given):
            raise TypeError(f"{given!r:.80} is no pass: no function from Object to Object")
        function = given  # bound for the function below, which is called later
        name = getattr(function, "__name__", repr(function))
        return Pass(name, Stage.REWRITE, lambda obj, setting: function(obj))
    if given.stage > Stage.REWRITE:
        raise ValueError(f"pass {given.name!r}: {given.stage.name} is no stage of passes")
    return given


def _knows_externs(obj: Object, setting: Setting) -> bool:
    return bool(obj.externs and setting.resolvers)


def _bind_externs(obj: Object, setting: Setting) -> Object:
    from osmia.passes.binding import bind_externs

    return bind_externs(obj, setting.resolvers)


# Every load asks these, and most have nothing of it: no generator is made for them.
_autocreate, _core_relocations = attrgetter("autocreate"), attrgetter("core_relocations")


def _leaves_out_maps(obj: Object, setting: Setting) -> bool:
    return not all(map(_autocreate, obj.maps.values()))


def _leave_out_maps(obj: Object, setting: Setting) -> Object:
    from osmia.passes.left_out import leave_out_maps

    return leave_out_maps(obj, setting.given_maps)


def _has_externs(obj: Object, setting: Setting) -> bool:
    return bool(obj.externs)


def _resolve_externs(obj: Object, setting: Setting) -> Object:
    from osmia.passes.externs import resolve_externs

    return resolve_externs(obj, setting.target)


def _has_core(obj: Object, setting: Setting) -> bool:
    return any(map(_core_relocations, obj.functions.values()))


def _relocate_core(obj: Object, setting: Setting) -> Object:
    from osmia.passes.core import relocate_core

    return relocate_core(obj, setting.target)


#: Bytes of two register numbers that do not name r11.
_WITHOUT_R11 = bytes(b for b in range(256) if b & 15 != 11 and b >> 4 != 11)


def _has_stack_arguments(obj: Object, setting: Setting) -> bool:
    return any(each.code[1::8].translate(None, _WITHOUT_R11) for each in obj.functions.values())


def _pass_on_stack(obj: Object, setting: Setting) -> Object:
    from osmia.passes.stack_arguments import pass_on_stack

    return pass_on_stack(obj)


def _wants_pruning(obj: Object, setting: Setting) -> bool:
    return bool(setting.options) and setting.options.get("prune", False)


def _prune(obj: Object, setting: Setting) -> Object:
    from osmia.passes.prune import prune

    keep = setting.options.get("keep", ())
    return prune(obj, keep=keep, variable=setting.given_maps).object


def _rewrites_calls(obj: Object, setting: Setting) -> bool:
    options = setting.options
    return bool(options) and ("calls" in options or "tail_calls" in options)


def _rewrite_calls(obj: Object, setting: Setting) -> Object:
    from osmia.passes.calls import rewrite_calls

    options = setting.options
    calls, semantics = options.get("calls", "keep"), options.get("tail_calls", "subprogram")
    return rewrite_calls(obj, setting.target, calls, semantics)


def _wants_direct(obj: Object, setting: Setting) -> bool:
    return bool(setting.options) and bool(setting.options.get("direct_tail_calls"))


def _make_direct(obj: Object, setting: Setting) -> Object:
    given = setting.options.get("direct_tail_calls")
    if given == "count":
        from osmia.passes.tail_call_counts import count_keys

        return count_keys(obj, variable=setting.given_maps)
    from osmia.passes.tail_calls import direct_tail_calls

    if isinstance(given, str):
        raise ValueError(f"direct_tail_calls={given!r}: True, 'count', or keys by map or function")
    hot = None if isinstance(given, bool) else given
    filled = _filled(obj, setting) if hot is None else {}
    return direct_tail_calls(obj, hot, filled=filled, variable=setting.given_maps)


def _wants_counters(obj: Object, setting: Setting) -> bool:
    return bool(setting.options) and bool(setting.options.get("cover"))


def _count(obj: Object, setting: Setting) -> Object:
    from osmia.passes.cover import cover

    given = setting.options.get("cover") if setting.options else True
    only = None if isinstance(given, bool) else [given] if isinstance(given, str) else given
    made, setting.counted = cover(obj, setting.target, cpus=setting.cpus, only=only)
    return made


def _filled(obj: Object, setting: Setting) -> dict[str, Collection[int]]:
    """The slots that are filled in the prog arrays which a load is given or finds pinned."""
    pinned = setting.pinned(obj) if setting.pinned is not None else {}
    given = setting.given_maps
    if not isinstance(given, Mapping):
        return dict(pinned)
    return dict(pinned) | {
        name: list(array)
        for name, array in given.items()
        if name in obj.maps and obj.maps[name].type is MapType.PROG_ARRAY
    }


#: The passes of every load, stage by stage. A new one goes in here, with what wants it.
PASSES = (
    # Last, since what others link into the object may have externs of its own.
    Pass("bind_externs", Stage.LINK, _bind_externs, _knows_externs, last=True),
    Pass("leave_out_maps", Stage.SPECIALISE, _leave_out_maps, _leaves_out_maps),
    Pass("resolve_externs", Stage.SPECIALISE, _resolve_externs, _has_externs),
    Pass("relocate_core", Stage.SPECIALISE, _relocate_core, _has_core),
    Pass("stack_arguments", Stage.REWRITE, _pass_on_stack, _has_stack_arguments),
    Pass("prune", Stage.REWRITE, _prune, _wants_pruning),
    Pass("rewrite_calls", Stage.REWRITE, _rewrite_calls, _rewrites_calls),
    Pass("direct_tail_calls", Stage.REWRITE, _make_direct, _wants_direct),
    # Counters are in what the others made.
    Pass("cover", Stage.REWRITE, _count, _wants_counters, last=True),
)
