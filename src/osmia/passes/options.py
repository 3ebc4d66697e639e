"""The options that `Object.load` takes before an engine's own, on every engine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    import os

    from osmia.object import Object
    from osmia.object.signatures import PublicKey
    from osmia.passes.providers import Provider
    from osmia.passes.stages import Pass
    from osmia.passes.target import Target


#: What can be imported: an object that is loaded or published, the path of a file, "kernel".
Source: TypeAlias = "Provider | str | os.PathLike[str]"
#: By names; there what stands for one function in an engine can be given, too.
Decisions: TypeAlias = Mapping[str, Any]


class PassOptions(TypedDict, total=False):
    """The options of passes.

    `passes` are further passes: functions from Object to Object, which run in the stage
    REWRITE in the order given, or a `Pass` for another stage.

    `calls` says what becomes of BPF-to-BPF calls: "keep" (default); "inline" puts all into
    their callers that can be; "auto" those that this kernel takes in no other way: subprograms
    that make tail calls, before 5.10, without BTF, or on 256 bytes of stack and more.

    `tail_calls` says what a tail call in a subprogram replaces: the "subprogram" (as kernels
    do it), or the whole "program": then such subprograms are inlined.

    `direct_tail_calls` compares variable keys of tail calls with likely ones, so that the
    kernel jumps straight to those programs: True takes them from the code and from the slots
    that are filled at load; a mapping gives them by map, or by the function that makes the
    call, hottest first. "count" counts them instead: `LoadedObject.tail_call_keys` is then the
    mapping for another load.

    `prune` leaves out what cannot run with the read-only data as it is: branches, functions,
    programs that no tail call reaches, maps that nothing else uses. Programs that no slot of a
    prog array holds are kept, and those in `keep`, which may be attached, or put into slots
    that the object does not fill.

    `cover` lets `osmia.cover` count what runs, which engines without counts of their own need
    counters in the code for: the kernel. Names of functions have those alone counted, where all
    would be too much for the verifier. The userspace engine counts all in any case.

    RewriteError for what these cannot do: the message has the calls and the numbers.
    """

    passes: Sequence[Pass | Callable[[Object], Object]]
    calls: Literal["keep", "inline", "auto"]
    tail_calls: Literal["subprogram", "program"]
    direct_tail_calls: bool | Literal["count"] | Mapping[str, Sequence[int]]
    prune: bool
    keep: Collection[str]
    cover: bool | Collection[str]


class CommonOptions(PassOptions, total=False):
    """What every load takes: `target`, the machine to resolve CO-RE and externs against (the
    engine's own without it), the options of passes, and what to link against.

    `imports` are the objects that define what this one has extern: loaded ones, published
    libraries, paths of files, "kernel" (what the kernel holds); a mapping says by name which
    one it is, and may be one of a list. `bind` says how functions of theirs are used: "copy",
    "replace" (kernel) or "call" (vm).
    """

    target: Target | None
    imports: Sequence[Source | Decisions] | Decisions
    bind: Literal["copy", "replace", "call"]


class ObjectOptions(CommonOptions, total=False):
    """What `Object.load` takes for every engine: the common ones, and what it does itself.

    `require_signature` is a public Ed25519 key (a PEM file, its contents, 32 bytes): an object
    that was not signed by it (`osmia sign`) as it is now is refused, a NotSignedError. Set
    variables of the loaded object, or sign the edited one: edits before load count as changes. What
    `imports` names must be signed by it, too, as it is; "kernel", `passes` and `keyring` are
    refused.
    """

    require_signature: PublicKey | None


PASS_OPTIONS: frozenset[str] = PassOptions.__optional_keys__
COMMON_OPTIONS: frozenset[str] = CommonOptions.__optional_keys__
OBJECT_OPTIONS: frozenset[str] = ObjectOptions.__optional_keys__
