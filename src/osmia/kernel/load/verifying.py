"""Programs of an object before the verifier: its verdict and log of each; nothing is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import chain
from mmap import mmap
from typing import Unpack

from osmia.errors import BpfPermissionError, OsmiaError
from osmia.kernel.load.loader import images
from osmia.kernel.load.poison import explained
from osmia.kernel.programs.loading import ProgramImage, verdict
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.programs.verifier_log import verifier_error
from osmia.kernel.sys.pins import BPFFS
from osmia.kernel.sys.token import held_token
from osmia.named_tuples import NamedTuple
from osmia.object.model import Object, SourceLine
from osmia.passes.layout import ProgramLayout
from osmia.passes.options import PassOptions
from osmia.passes.target import Target

#: Bits of log levels: the last path, all paths, statistics.
LAST_PATH, ALL_PATHS, STATISTICS = 1, 2, 4
#: Where the complaint stands.
_END_BYTES = 65536


Failed = Callable[[str, OsmiaError], None]
"""Is told of a program that the verifier did not come to, and why."""


class Verified(NamedTuple):
    """`error` is 0 of a program that is accepted, else the errno, and `summary` says what is wrong
    in a line. `log` is of the level that was asked for; `short_log` of another load, which shows
    how long it takes without a long log, and the path alone that led to a refusal (None: `log` is
    that). Logs fill the front of their mappings, up to a NUL. `functions` has the first slot and
    the key of each function."""

    program: str
    error: int
    log: mmap
    short_log: mmap | None
    functions: dict[int, str]
    lines: Sequence[SourceLine]
    summary: str = ""


def verify(
    obj: Object,
    *,
    target: Target | None = None,
    pin_root: str | os.PathLike[str] = "/sys/fs/bpf",
    log_level: int = ALL_PATHS | STATISTICS,
    attach_to: Mapping[str, KernelProgram] | None = None,
    token: str | os.PathLike[str] | None = None,
    failed: Failed | None = None,
    **options: Unpack[PassOptions],
) -> Generator[Verified, None, None]:
    """Verify each program that a load would load, also after one was refused.

    Options are those of `load`, and what it raises other than VerifierError comes here, too; that
    which is about one program goes to `failed`, where it is given, and the others are verified.
    Maps are made, and undone when the generator ends or is closed.
    """
    whole = partial(images, obj, target, pin_root, attach_to=attach_to, **options)
    with ExitStack() as undo:
        for name, layout, image in _with_token(undo, whole, token):
            try:
                made = _verified(image(), layout, log_level)
            except OsmiaError as error:
                if failed is None:
                    raise
                failed(name, error)
            else:
                yield made


Images = Generator[tuple[str, ProgramLayout, Callable[[], ProgramImage]], None, None]


def _with_token(
    undo: ExitStack, whole: Callable[..., Images], token: str | os.PathLike[str] | None
) -> Iterable[tuple[str, ProgramLayout, Callable[[], ProgramImage]]]:
    """The programs, with their maps made: with a token where one is named, or, where nobody says
    anything and they are refused, with one of /sys/fs/bpf."""
    fd = undo.enter_context(held_token(token))
    found = undo.enter_context(closing(whole(token_fd=fd)))
    try:
        first = next(found, None)
    except BpfPermissionError:
        if fd or token is not None:
            raise
        try:
            fd = undo.enter_context(held_token(BPFFS))
        except OsmiaError:
            fd = 0
        if not fd:
            raise
        found = undo.enter_context(closing(whole(token_fd=fd)))
        first = next(found, None)
    return () if first is None else chain([first], found)


def _verified(image: ProgramImage, layout: ProgramLayout, log_level: int) -> Verified:
    error, log = verdict(image, log_level)
    short_log = None
    if log_level & ALL_PATHS:
        _, short_log = verdict(image, STATISTICS | (LAST_PATH if error else 0))
    lines = image.source_lines()
    summary = _summary(image, layout, error, short_log or log, lines) if error else ""
    return Verified(image.name, error, log, short_log, dict(layout.functions), lines, summary)


def _summary(
    image: ProgramImage, layout: ProgramLayout, error: int, log: mmap, lines: Sequence[SourceLine]
) -> str:
    """What `load` would say."""
    end = log.find(b"\0")
    text = log[max(0, end - _END_BYTES) : end].decode("utf-8", "replace")
    return explained(verifier_error(error, image.name, text, lines), layout.unresolved).summary
