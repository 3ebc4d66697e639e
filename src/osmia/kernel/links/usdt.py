"""Programs on static probes (USDT) of programs and libraries: found by provider and name."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from osmia.arguments import names_wrong_arguments
from osmia.elf.static_probes import StaticProbe, static_probes
from osmia.engine.link import Link
from osmia.errors import NotSupportedError
from osmia.kernel.links.attachable import Attachable, StaticProbeSpecs
from osmia.kernel.links.link import LinkGroup
from osmia.kernel.links.multi import attach_uprobe_multi
from osmia.kernel.links.probes import attach_uprobe
from osmia.kernel.links.symbols import SymbolNotFoundError, find_binary, open_binary
from osmia.kernel.links.usdt_arguments import Argument, ArgumentKind, parse_arguments
from osmia.kernel.probes import features
from osmia.object.uapi import AttachType
from osmia.paths import Path

if TYPE_CHECKING:
    from osmia.elf import ElfFile

_WORD_BITS = 64
_INDEX_FIELDS = frozenset({"idx_reg_off", "scale_bitshift"})


class UsdtLink(LinkGroup):
    """A program on all places of a static probe; frees what describes their arguments."""

    def __init__(self, links: Sequence[Link], what: str, free: Callable[[], None]) -> None:
        super().__init__(links, what)
        self._free: Callable[[], None] | None = free

    def fileno(self) -> int:
        """The descriptor of the one link (since 6.6); NotSupportedError when there are several."""
        return self.links[0].fileno() if len(self.links) == 1 else super().fileno()

    def pin(self, path: str | os.PathLike[str]) -> None:
        if len(self.links) != 1:
            super().pin(path)
        self.links[0].pin(path)
        self._free = None  # the description is in use as long as the pin, which may outlive us

    def _detach(self) -> None:
        super()._detach()
        self._done()

    def _close(self) -> None:
        super()._close()
        self._done()

    def _done(self) -> None:
        free, self._free = self._free, None
        if free is not None:
            free()


@names_wrong_arguments
def attach_usdt(
    program: Attachable,
    binary: str | os.PathLike[str],
    provider: str,
    name: str,
    *,
    pid: int | None = None,
    cookie: int = 0,
) -> UsdtLink:
    """Attach to a static probe of a program or library, in all places that it has there.

    `binary` is a path, a library by name ("libc") or a program in $PATH; without `pid` the
    probe fires in all processes. `cookie` is what `bpf_usdt_cookie()` gives. Where the probe
    has a semaphore it is held up while attached. The program's object must include
    <bpf/usdt.bpf.h>, and be loaded here. One link since 6.6, else one for each place;
    since 5.15 (the kernel's cookie tells the program which probe fired).

    Raises SymbolNotFoundError when the file has no such probe, ObjectFormatError for broken
    notes, NotSupportedError for arguments that programs cannot read, KernelError.
    """
    specs = _specs(program)
    path = find_binary(binary, pid)
    what = f"program {program.name!r} on static probe {path}:{provider}:{name}"
    elf = open_binary(path)
    probes = _find(elf, path, provider, name)
    arguments = [_arguments(elf, probe) for probe in probes]
    distinct = list(dict.fromkeys(arguments))
    fields = specs.argument_fields
    entries = specs.store([_entry(each, cookie, fields) for each in distinct])
    number_of = dict(zip(distinct, entries, strict=True))
    cookies = [number_of[each] for each in arguments]
    with ExitStack() as undo:
        undo.callback(specs.free, entries)
        links = _attach(program, path, probes, cookies, pid)
        undo.pop_all()
    return UsdtLink(links, what, lambda: specs.free(entries))


def _attach(
    program: Attachable,
    path: Path,
    probes: Sequence[StaticProbe],
    cookies: Sequence[int],
    pid: int | None,
) -> list[Link]:
    if program.expected_attach_type == AttachType.TRACE_UPROBE_MULTI:
        return [
            attach_uprobe_multi(
                program,
                path,
                offsets=[probe.offset for probe in probes],
                reference_counters=[probe.semaphore for probe in probes],
                cookies=cookies,
                pid=pid,
            )
        ]
    links: list[Link] = []
    with ExitStack() as undo:
        for probe, cookie in zip(probes, cookies, strict=True):
            link = attach_uprobe(
                program,
                path,
                offset=probe.offset,
                reference_counter=probe.semaphore,
                cookie=cookie,
                pid=pid,
            )
            links.append(undo.enter_context(link))
        undo.pop_all()
    return links


def _specs(program: Attachable) -> StaticProbeSpecs:
    if program.usdt_specs is None:
        raise NotSupportedError(
            f"program {program.name!r} comes from no object that includes <bpf/usdt.bpf.h>,"
            " or was not loaded by this process: its static probes cannot be described"
        )
    if not features.has("BPF cookies"):
        raise NotSupportedError("cookies, which tell static probes apart", since="5.15")
    return program.usdt_specs


def _find(elf: ElfFile, path: Path, provider: str, name: str) -> list[StaticProbe]:
    known = list(static_probes(elf))
    found = [probe for probe in known if (probe.provider, probe.name) == (provider, name)]
    if not found:
        names = sorted({f"{probe.provider}:{probe.name}" for probe in known})
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        has = f"it has {shown}" if names else "it has none at all"
        raise SymbolNotFoundError(f"{path}: no static probe {provider}:{name}; {has}")
    return found


def _arguments(elf: ElfFile, probe: StaticProbe) -> tuple[Argument, ...]:
    def distance(symbol: str) -> int:
        for table in (elf.symbols, elf.dynamic_symbols):
            for each in table:
                if each.name == symbol and each.is_defined:
                    return each.value - probe.address
        raise SymbolNotFoundError(
            f"{elf.name}: static probe {probe.provider}:{probe.name} has an argument at"
            f" {symbol!r}, and the file does not tell where that is"
        )

    return parse_arguments(probe.arguments, elf.machine, distance)


def _entry(arguments: Sequence[Argument], cookie: int, fields: frozenset[str]) -> dict[str, Any]:
    """A struct __bpf_usdt_spec of these arguments, with the members that the object has."""
    return {
        "args": [_argument(argument, fields) for argument in arguments],
        "usdt_cookie": cookie % (1 << _WORD_BITS),
        "arg_cnt": len(arguments),
    }


def _argument(argument: Argument, fields: frozenset[str]) -> dict[str, Any]:
    entry = {
        "val_off": argument.value % (1 << _WORD_BITS),
        "arg_type": int(argument.kind),
        "reg_off": argument.register,
        "arg_signed": argument.signed,
        "arg_bitshift": _WORD_BITS - 8 * argument.size,
    }
    if argument.kind is ArgumentKind.INDEXED:
        if not fields >= _INDEX_FIELDS:
            raise NotSupportedError(
                "an argument in indexed memory: compile the object with newer"
                " <bpf/usdt.bpf.h> (libbpf's since 1.7)"
            )
        entry |= {"idx_reg_off": argument.index, "scale_bitshift": argument.scale}
    return entry
