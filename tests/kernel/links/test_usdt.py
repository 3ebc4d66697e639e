"""Static probes of a small program of our own: found, described, attached, their arguments read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.elf import ElfFile
from osmia.elf.static_probes import static_probes
from osmia.errors import NotSupportedError
from osmia.kernel.links import KernelLink, SymbolNotFoundError
from osmia.kernel.load import attach_target
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.probes import features
from osmia.object.uapi import AttachType, LinkType, ProgramType

SOURCE = Path(__file__).with_name("sources") / "marked.c"

WATCHER = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>

int only;
long fired, count, cookie, values[6], sizes[6], sum;

static bool ours(void)
{
    return !only || only == bpf_get_current_pid_tgid() >> 32;
}

SEC("usdt")
int BPF_USDT(kinds, int number, long local, int constant, long indexed, int balance, char letter)
{
    if (!ours())
        return 0;
    fired++;
    count = bpf_usdt_arg_cnt(ctx);
    cookie = bpf_usdt_cookie(ctx);
    for (int i = 0; i < 6; i++) {
        bpf_usdt_arg(ctx, i, &values[i]);
        sizes[i] = bpf_usdt_arg_size(ctx, i);
    }
    sum = number + local + constant + indexed + balance + letter;
    return 0;
}

SEC("usdt/PATH:osmia:listened")
int BPF_USDT(listened, long value)
{
    if (!ours())
        return 0;
    fired++;
    sum += value;
    cookie = bpf_usdt_cookie(ctx);
    return 0;
}

SEC("usdt.s")
int BPF_USDT(bare)
{
    fired += ours();
    count = bpf_usdt_arg_cnt(ctx);
    return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""

# What libbpf's header looked like until 1.6: no index register, and arg_type an int.
OLD_LAYOUT = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

enum __bpf_usdt_arg_type { ARG_CONST, ARG_REG, ARG_REG_DEREF };

struct __bpf_usdt_arg_spec {
    __u64 val_off;
    enum __bpf_usdt_arg_type arg_type;
    short reg_off;
    bool arg_signed;
    char arg_bitshift;
};

struct __bpf_usdt_spec {
    struct __bpf_usdt_arg_spec args[12];
    __u64 usdt_cookie;
    short arg_cnt;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __type(key, int);
    __type(value, struct __bpf_usdt_spec);
} __bpf_usdt_specs SEC(".maps");

long value, cookie;

SEC("usdt")
int register_argument(struct pt_regs *ctx)
{
    int id = bpf_get_attach_cookie(ctx);
    struct __bpf_usdt_spec *spec = bpf_map_lookup_elem(&__bpf_usdt_specs, &id);

    if (!spec || spec->arg_cnt < 1 || spec->args[0].arg_type != ARG_REG)
        return 0;
    bpf_probe_read_kernel(&value, 8, (void *) ctx + spec->args[0].reg_off);
    value <<= spec->args[0].arg_bitshift;
    value >>= spec->args[0].arg_bitshift;
    cookie = spec->usdt_cookie;
    return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""


class Marked:
    """The program with the marks, running."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.process = subprocess.Popen(
            [path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.ask("s")  # it runs

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self, command: str) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(command)
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def fire(self) -> None:
        assert self.ask("f") == "fired"

    def __enter__(self) -> Marked:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """build("-no-pie"): the program, compiled with these flags."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler for this machine (cc)")

    def make(*flags: str) -> Path:
        path = tmp_path_factory.mktemp("marked") / "marked"
        subprocess.run([compiler, "-O2", *flags, "-o", path, SOURCE], check=True)
        return path

    return make


@pytest.fixture(scope="module")
def binary(build: Callable[..., Path]) -> Path:
    return build()


@pytest.fixture
def marked(binary: Path) -> Iterator[Marked]:
    with Marked(binary) as running:
        yield running


@pytest.fixture(scope="module")
def watcher() -> osmia.Object:
    return osmia.compile(WATCHER)


@pytest.fixture(params=["one link", "a link for each place"])
def loaded(
    watcher: osmia.Object, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KernelObject]:
    if request.param == "a link for each place":  # as on kernels before 6.6
        monkeypatch.setattr(attach_target, "static_probe_attach_type", lambda: 0)
    elif not features.has_attach_type(AttachType.TRACE_UPROBE_MULTI):
        pytest.skip("needs Linux 6.6")
    with watcher.load() as bpf:
        yield bpf


EVERY_KIND = [-5, 1 << 40, -9, 300, -70000, ord("x")]


def test_the_probes_of_a_file_are_listed(binary: Path) -> None:
    probes = list(static_probes(ElfFile.parse(binary.read_bytes(), str(binary))))
    assert [(probe.provider, probe.name) for probe in probes] == [
        ("osmia", name) for name in ("kinds", "bare", "listened", "listened")
    ]
    kinds, bare, first, second = probes
    assert kinds.arguments.startswith("-4@")
    assert (bare.arguments, bare.semaphore) == ("", 0)
    assert first.semaphore == second.semaphore != 0
    assert first.offset != second.offset


@pytest.mark.kernel
def test_arguments_of_every_kind_are_read(loaded: KernelObject, marked: Marked) -> None:
    with loaded.programs["kinds"].attach(
        str(marked.path), provider="osmia", name="kinds", pid=marked.pid, cookie=1 << 60 | 7
    ):
        marked.fire()
    assert loaded.data.fired == 1
    assert loaded.data.count == 6
    assert list(loaded.data["values"]) == EVERY_KIND
    assert list(loaded.data.sizes) == [4, 8, 4, 8, 4, 1]
    assert loaded.data.cookie == 1 << 60 | 7
    assert loaded.data.sum == sum(EVERY_KIND)


@pytest.mark.kernel
def test_a_closed_link_sees_nothing_more(loaded: KernelObject, marked: Marked) -> None:
    link = loaded.programs["bare"].attach((marked.path, "osmia", "bare"), pid=marked.pid)
    marked.fire()
    link.close()
    marked.fire()
    assert loaded.data.fired == 1


@pytest.mark.kernel
def test_a_probe_in_two_places_fires_in_both(loaded: KernelObject, marked: Marked) -> None:
    with loaded.programs["listened"].attach(f"{marked.path}:osmia:listened", pid=marked.pid):
        marked.fire()
        marked.fire()
    assert loaded.data.fired == 4
    assert loaded.data.sum == 0 + 1000 + 1 + 1000


@pytest.mark.kernel
def test_the_semaphore_is_up_while_attached(loaded: KernelObject, marked: Marked) -> None:
    target = f"{marked.path}:osmia:listened"
    with loaded.programs["listened"].attach(target, pid=marked.pid):
        assert int(marked.ask("s")) > 0
    assert marked.ask("s") == "0"


@pytest.mark.kernel
def test_without_a_pid_all_processes_are_seen(loaded: KernelObject, binary: Path) -> None:
    with (
        Marked(binary) as one,
        Marked(binary) as other,
        loaded.programs["bare"].attach(f"{binary}:osmia:bare"),
    ):
        one.fire()
        other.fire()
    assert loaded.data.fired == 2


@pytest.mark.kernel
def test_a_program_at_fixed_addresses_works_alike(
    loaded: KernelObject, build: Callable[..., Path]
) -> None:
    with (
        Marked(build("-no-pie")) as running,
        loaded.programs["kinds"].attach(f"{running.path}:osmia:kinds", pid=running.pid),
    ):
        running.fire()
    assert list(loaded.data["values"]) == EVERY_KIND


@pytest.mark.kernel
def test_the_section_says_which_probe(watcher: osmia.Object, binary: Path) -> None:
    source = WATCHER.replace("PATH", str(binary))
    with (
        osmia.compile(source).load() as bpf,
        bpf.programs["listened"].attach(),
        Marked(binary) as running,
    ):
        bpf.data.only = running.pid
        running.fire()
        assert bpf.data.fired == 2


@pytest.mark.kernel
def test_several_probes_are_told_apart_by_their_entries(
    loaded: KernelObject, marked: Marked
) -> None:
    specs: Any = loaded.programs["kinds"].usdt_specs
    assert specs is not None
    every = set(specs._unused)
    with (
        loaded.programs["kinds"].attach(f"{marked.path}:osmia:kinds", pid=marked.pid, cookie=1),
        loaded.programs["listened"].attach(f"{marked.path}:osmia:listened", pid=marked.pid),
        loaded.programs["kinds"].attach(f"{marked.path}:osmia:kinds", pid=marked.pid, cookie=2),
    ):
        # listened: two places, the argument somewhere else in each
        assert every - specs._unused == {0, 1, 2, 3}
        marked.fire()
    assert loaded.data.fired == 4
    assert specs._unused == every


@pytest.mark.kernel
def test_one_link_for_all_places_can_be_pinned(
    loaded: KernelObject, marked: Marked, bpffs: Path
) -> None:
    with loaded.programs["listened"].attach(f"{marked.path}:osmia:listened") as link:
        if link.info.type is not LinkType.UPROBE_MULTI:
            with pytest.raises(NotSupportedError, match="several links"):
                link.pin(bpffs / "listened")
            return
        link.pin(bpffs / "listened")
    loaded.data.only = marked.pid
    marked.fire()
    assert loaded.data.fired == 2
    with KernelLink.from_pin(bpffs / "listened"):
        (bpffs / "listened").unlink()


@pytest.mark.kernel
def test_headers_of_older_libbpf_are_filled_in_by_their_own_layout(marked: Marked) -> None:
    with osmia.compile(OLD_LAYOUT).load() as bpf:
        program = bpf.programs["register_argument"]
        with program.attach(f"{marked.path}:osmia:listened", pid=marked.pid, cookie=5):
            marked.fire()
        assert (bpf.data.value, bpf.data.cookie) == (1000, 5)
        with pytest.raises(NotSupportedError, match="indexed memory"):
            program.attach(f"{marked.path}:osmia:kinds", pid=marked.pid)


@pytest.mark.kernel
def test_a_probe_that_a_file_lacks_is_named(loaded: KernelObject, binary: Path) -> None:
    with pytest.raises(SymbolNotFoundError, match="no static probe osmia:nope; it has osmia:bare"):
        loaded.programs["bare"].attach(str(binary), provider="osmia", name="nope")
    with pytest.raises(SymbolNotFoundError, match="it has none at all"):
        loaded.programs["bare"].attach("true", provider="osmia", name="nope")


@pytest.mark.kernel
def test_the_probe_must_be_said(loaded: KernelObject) -> None:
    with pytest.raises(ValueError, match="which static probe"):
        loaded.programs["kinds"].attach()


@pytest.mark.kernel
def test_more_probes_than_entries_are_refused(binary: Path) -> None:
    source = "#define BPF_USDT_MAX_SPEC_CNT 1\n" + WATCHER
    with osmia.compile(source).load() as bpf:
        with pytest.raises(NotSupportedError, match="BPF_USDT_MAX_SPEC_CNT"):
            bpf.programs["listened"].attach(f"{binary}:osmia:listened")
        bpf.programs["bare"].attach(f"{binary}:osmia:bare").close()


@pytest.mark.kernel
def test_a_program_without_the_maps_says_so(returning: Callable[..., object]) -> None:
    from osmia.kernel.links import attach_usdt

    program = returning(ProgramType.KPROBE)
    with pytest.raises(NotSupportedError, match=r"usdt\.bpf\.h"):
        attach_usdt(program, "sh", "osmia", "bare")  # type: ignore[arg-type]
