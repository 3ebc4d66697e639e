"""`osmia debug --dap`: what the command line says of a launch, and how the editor is served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

_LAST_PORT = 65535


def serve(where: str, defaults: Mapping[str, Any]) -> None:
    """Serve an editor on "stdio", or editors at a port. UsageError for what is neither."""
    from osmia.debugger.dap import server

    if where == "stdio":
        server.serve_stdio(dict(defaults))
        return
    if not where.isdigit() or int(where) > _LAST_PORT:
        raise click.UsageError(f"--dap={where}: a port, 0 for any; without one --dap stands last")
    server.serve_port(int(where), dict(defaults))


def defaults(
    file: Path | None,
    program: str,
    assignments: Sequence[str],
    packet: str,
    pcap: str,
    context: Sequence[str],
    compiler: Mapping[str, Any],
) -> dict[str, Any]:
    """Arguments of "launch" that the editor need not give."""
    from osmia.cli.debugging import context_of
    from osmia.cli.literals import parse_literal

    found: dict[str, Any] = {}
    if file is not None:
        found["program"] = str(file.absolute())
    if program:
        found["function"] = program
    if assignments:
        pairs = (each.partition("=") for each in assignments)
        found["data"] = {name: parse_literal(text) for name, _, text in pairs}
    if packet:
        path = Path(packet)
        found |= {"packetFile": str(path.absolute())} if path.is_file() else {"packet": packet}
    if pcap:
        found["pcap"] = str(Path(pcap).absolute())
    if context:
        found["ctx"] = context_of(context)
    found |= {name: list(compiler[name]) for name in ("defines", "flags") if name in compiler}
    if "includes" in compiler:
        found["includes"] = [str(Path(each).absolute()) for each in compiler["includes"]]
    return found | {name: compiler[name] for name in ("cpu", "compiler") if name in compiler}
