"""The same objects loaded by osmia and by libbpf: the peers, and the corpus compiled.

There are three peers: Debian's bpftool (libbpf 1.1); the libbpf 1.6 inside the wheel
`pylibbpf`, of which only the C functions are used; and the bpftool of Debian testing
(libbpf 1.8), which tools/fetch-newer-bpftool puts into build/ where it can be had.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from osmia.files import write_whole
from osmia.toolchain import INCLUDES, find_compiler
from osmia.toolchain import compile as compile_source

from .peers import Bpftool, Libbpf, NewerBpftool, libbpf_path, why_no_newer_bpftool
from .seen import Seen, see_osmia

CORPUS = Path(__file__).parent / "corpus"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A peer that is missing is said, whatever the verbosity."""
    if why_no_newer_bpftool():
        terminalreporter.section("no comparison with libbpf 1.8", yellow=True)
        terminalreporter.line(why_no_newer_bpftool())


class Peers:
    """The peers by name; a test that asks for one that is not here is skipped, and says why."""

    def __init__(self) -> None:
        self._here = {peer.name: peer() for peer in (Bpftool, Libbpf, NewerBpftool)}

    def __getitem__(self, name: str) -> Bpftool | Libbpf:
        if name == NewerBpftool.name and why_no_newer_bpftool():
            pytest.skip(f"no libbpf 1.8: {why_no_newer_bpftool()}")
        return self._here[name]


@pytest.fixture(scope="session")
def peers() -> Peers:
    return Peers()


@pytest.fixture(scope="session")
def libraries() -> dict[str, str]:
    """Libraries that can be loaded into this process, by libbpf's version."""
    return {"1.1": "libbpf.so.1", "1.6": libbpf_path()}


@pytest.fixture(scope="session")
def by_osmia() -> Callable[..., Seen]:
    """`by_osmia(path, bpffs, **options)`: what osmia's load makes."""
    return see_osmia


@pytest.fixture(scope="session")
def corpus_object(pytestconfig: pytest.Config) -> Callable[[str], Path]:
    """`corpus_object("name")`: the compiled object of corpus/name.bpf.c.

    Objects stay in pytest's cache directory, apart by kernel release: those that include
    vmlinux.h are different on every kernel. Under the second kernel, which sees this
    machine's files, the first one's objects are taken: that is what CO-RE is for.
    """
    store = pytestconfig.cache.mkdir("differential")
    second = "second_kernel" in pytestconfig.getoption("markexpr")

    def find(name: str) -> Path:
        source = CORPUS / f"{name}.bpf.c"
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
        if second:
            made = store.glob(f"*/{digest}-*/{name}.bpf.o")
            latest = max(made, key=lambda path: path.stat().st_mtime, default=None)
            assert latest, "compiled under the first kernel: run tests/differential there before"
            return latest
        place = f"{digest}-{_tools_digest()}"
        path = store / platform.release() / place / f"{name}.bpf.o"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = _flags(source)
            data = compile_source(source, flags=flags, cpu=_cpu(source)).data
            write_whole(path, data, durable=False)  # others may be at the same
        return path

    return find


@pytest.fixture
def compile_text(tmp_path: Path) -> Callable[[str], Path]:
    """`compile_text(source)`: an object of C text, behind the headers that all need."""
    headers = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
    license_text = 'char LICENSE[] SEC("license") = "GPL";\n'

    def compiled(source: str) -> Path:
        path = tmp_path / "text.bpf.o"
        path.write_bytes(compile_source(headers + license_text + source).data)
        return path

    return compiled


@cache
def _tools_digest() -> str:
    headers = sorted(INCLUDES.rglob("*.h"))
    contents = b"".join(path.read_bytes() for path in headers)
    return hashlib.sha256(contents + find_compiler().identity.encode()).hexdigest()[:16]


def _flags(source: Path) -> list[str]:
    """Arguments for the compiler: what follows "// flags:" in the source."""
    return _said(source, "flags").split()


def _cpu(source: Path) -> str:
    return _said(source, "cpu") or "v3"


def _said(source: Path, what: str) -> str:
    for line in source.read_text().splitlines():
        if line.startswith(f"// {what}:"):
            return line.partition(":")[2].strip()
    return ""
