"""The options of `Program.attach`, for type checkers.

Which of them a program takes depends on its kind: `osmia.kernel.links.kinds.KINDS` is the table
by which they are checked when it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    import os

    from osmia.engine.link import Link
    from osmia.engine.program import Program
    from osmia.kernel.links.order import LinkId, ProgramId
    from osmia.kernel.links.perf import PerfType
    from osmia.object.uapi import AttachType


class AttachOptions(TypedDict, total=False):
    """All options that some kind of program takes; the attach functions say what they mean."""

    addresses: Sequence[int]
    after: Program | Link | ProgramId | LinkId | None
    attach_type: AttachType | None
    before: Program | Link | ProgramId | LinkId | None
    cgroup: str | os.PathLike[str] | int | None
    cgroup_order: Literal[
        "self_only", "descendants_pre", "descendants_post", "ancestors_up", "children"
    ]
    cookie: int
    cookies: Sequence[int]
    cpus: Iterable[int] | None
    defragment: bool
    direction: Literal["", "ingress", "egress"]
    expected_revision: int
    first: bool
    frequency: int
    function: str
    handle: int
    last: bool
    legacy: Literal["", "exclusive", "override", "multi"]
    mode: Literal["", "generic", "native", "offload"]
    name: str
    offset: int
    offsets: Sequence[int]
    period: int
    pid: int | None
    priority: int
    provider: str
    reference_counter: int
    reference_counters: Sequence[int]
    replace: bool
    return_probe: bool
    side: Literal["", "primary", "peer"]
    tid: int
    type: PerfType | int | None
