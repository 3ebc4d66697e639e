"""BTF: the kernel's types opened, searched and printed; a large `.BTF.ext` read.

Run it anywhere: `.venv/bin/python bench/bench_btf.py`. Medians of several runs, each on
a new `BTF`, as a new process would see it; beside bpftool where that is installed.
"""

from __future__ import annotations

import mmap
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from osmia.btf import (
    BTF,
    BTFBuilder,
    BTFExt,
    CoreInfo,
    Kind,
    LineInfo,
    build_btf_ext,
    dump_c,
)

_KERNEL = Path("/sys/kernel/btf/vmlinux")

#: Names that CO-RE programs ask for; the last ones stand far back among the strings.
_NAMES = ["task_struct", "sk_buff", "file", "sock", "bpf_map", "inode", "cred", "nf_conn"]

_LINES = 20_000
_CORE = 1_000


def main() -> None:
    data = _KERNEL.read_bytes()
    print(f"kernel BTF: {len(BTF(data)):,} types, {len(data) / 1e6:.1f} MB")
    show("read the file", measure(_KERNEL.read_bytes))
    show("open (header and strings)", measure(lambda: kernel(data)))
    show("index all types", measure(len, lambda: kernel(data)))
    show("first find by name, all included", measure(lambda: kernel(data).find("task_struct")))
    with _KERNEL.open("rb") as file, mapped(file.fileno()) as pages:
        kept_index(pages).find("int")
        show("the same, index kept", measure(lambda: kept_index(pages).find("task_struct")))
    indexed = kernel(data)
    indexed.find("int")
    for name in _NAMES:
        show(f"late find {name!r}", measure(lambda name=name: indexed.find(name, Kind.STRUCT)))
    show("late find of nothing", measure(lambda: indexed.find("no_such_name")))
    show("find in BTF of unknown origin", measure(lambda: BTF(data).find("task_struct")))
    show("decode task_struct", measure(decode, lambda: indexed_kernel(data)))
    show("vmlinux.h, all of it", measure(lambda: "".join(dump_c(kernel(data))), rounds=3))
    bpftool = shutil.which("bpftool", path="/usr/sbin:/usr/bin")
    if bpftool:
        command = [bpftool, "btf", "dump", "file", str(_KERNEL), "format", "c"]
        show(
            "  the same by bpftool", measure(lambda: subprocess.run(command, stdout=-3, check=True))
        )
    show_btf_ext()


def kernel(data: bytes) -> BTF:
    return BTF(data, unique_strings=True)


def mapped(fd: int) -> mmap.mmap:
    # Python's and the kernel's defaults differ: only a private map is allowed.
    return mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)


def kept_index(pages: mmap.mmap) -> BTF:
    """As the kernel's own BTF is opened, with the checksums that every boot computes once."""
    return BTF(pages, unique_strings=True, keep_index=True)


def indexed_kernel(data: bytes) -> BTF:
    btf = kernel(data)
    btf.find("int")
    return btf


def decode(btf: BTF) -> None:
    btf.type(btf.find("task_struct", Kind.STRUCT))


def show_btf_ext() -> None:
    builder = BTFBuilder()
    lines = [LineInfo(8 * n, "x.bpf.c", f"line {n % 500}", n, 1) for n in range(_LINES)]
    core = [CoreInfo(8 * n, 1, f"0:{n % 20}", 0) for n in range(_CORE)]
    ext = build_btf_ext(
        functions={}, lines={"xdp": lines}, core={"xdp": core}, add_string=builder.add_string
    )
    data = builder.to_bytes()
    show(f".BTF.ext: {_LINES:,} lines", measure(lambda: BTFExt(ext, BTF(data)).lines))
    show("  as the kernel takes them", measure(lambda: BTFExt(ext, BTF(data)).line_words))
    show(f".BTF.ext: {_CORE:,} CO-RE records", measure(lambda: BTFExt(ext, BTF(data)).core))


def measure(
    work: Callable[..., object], prepare: Callable[[], object] | None = None, rounds: int = 9
) -> float:
    """The median time in ms of `work`, given what `prepare` makes anew for each round."""
    times = []
    for _ in range(rounds):
        arguments = () if prepare is None else (prepare(),)
        started = time.perf_counter()
        work(*arguments)
        times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


def show(what: str, milliseconds: float) -> None:
    print(f"  {what:<40} {milliseconds:>10.3f} ms")


if __name__ == "__main__":
    main()
