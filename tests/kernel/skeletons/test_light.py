"""Light skeletons by themselves: values in and out, attachments, failures, size, refusals."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest

import osmia
from osmia.errors import NotSupportedError, OsmiaError, RelocationError
from osmia.kernel.skeletons import light_skeleton, skeleton_name
from osmia.object import Object
from osmia.object.model import Pinning
from osmia.passes.kernel_files import version_of
from osmia.toolchain.objects import compile_object

from .compiled import LoaderFailedError, build, running, see

pytestmark = pytest.mark.kernel

HERE = Path(__file__).parent
FD_COUNT = """
    {
        int count = 0;
        for (int fd = 0; fd < 1000; fd++) count += fcntl(fd, F_GETFD) >= 0;
        fprintf(stderr, "%d open\\n", count);
    }
"""


@pytest.fixture(scope="session")
def obj() -> Object:
    return compile_object(HERE / "skeleton.bpf.c")


def compiled(source: str) -> Object:
    head = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
    return compile_object(head + 'char LICENSE[] SEC("license") = "GPL";\n' + source)


RUN = """
    {
        union bpf_attr attr = {};
        attr.test.prog_fd = skel->progs.sum.prog_fd;
        if (skel_sys_bpf(BPF_PROG_RUN, &attr, sizeof(attr))) perror("run");
    }
"""
TOTAL = 'printf("%llu %llu\\n", (unsigned long long)skel->bss->total,'
TOTAL += " (unsigned long long)skel->bss->version);"


def test_variables_have_their_values_and_the_program_its_own(obj: Object, tmp_path: Path) -> None:
    made = see(build(light_skeleton(obj, "it"), tmp_path, after=RUN + TOTAL))
    assert made.lines == [f"{3 * 3 + 6 + 6} {version_of(platform.release())}"]


def test_values_set_before_load_are_those_that_count(obj: Object, tmp_path: Path) -> None:
    before = (
        "skel->rodata->factor = 100; skel->rodata->table[1][2] = 9; skel->data->pair.large = 4;"
    )
    before += "skel->maps.seen.max_entries = 77;"
    made = see(build(light_skeleton(obj, "it"), tmp_path, before=before, after=RUN + TOTAL))
    assert made.lines[0].split()[0] == str(100 * 5 + 9 + 6)
    assert made.maps["seen"].max_entries == 77
    assert made.maps["rodata"].frozen


def test_attach_and_detach(obj: Object, tmp_path: Path) -> None:
    text = """
    printf("%d\\n", it__attach(skel)); getppid();
    printf("%d\\n", skel->bss->entered > 0); it__detach(skel);
    { __u64 then = skel->bss->entered; getppid(); printf("%d\\n", skel->bss->entered == then); }
    """
    before = "skel->bss->wanted = getpid();"
    made = see(build(light_skeleton(obj, "it"), tmp_path, before=before, after=text))
    assert made.lines == ["0", "1", "1"]


def test_programs_left_out_have_no_descriptor(obj: Object, tmp_path: Path) -> None:
    with running(build(light_skeleton(obj, "it"), tmp_path)) as (_, lines):
        assert "progs left_out 0" in lines


def test_a_program_that_is_refused_leaves_nothing_open_and_its_log(tmp_path: Path) -> None:
    bad = compiled("""
        struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int);
                 __type(value, int); } m SEC(".maps");
        int x = 3;
        SEC("xdp") int good(void *ctx) { return x; }
        SEC("xdp") int bad(void *ctx) { return *(int *)bpf_map_lookup_elem(&m, &x); }
    """)
    before = "static char log[1 << 20]; skel->ctx.log_level = 1; skel->ctx.log_size = sizeof(log);"
    before += "skel->ctx.log_buf = (__u64)(long)log;" + FD_COUNT
    failed = 'fprintf(stderr, "%s", log);' + FD_COUNT
    program = build(
        light_skeleton(bad, "it"),
        tmp_path,
        types="#include <fcntl.h>",
        before=before,
        failed=failed,
    )
    with pytest.raises(LoaderFailedError, match="Permission denied") as refusal:
        see(program)
    lines = str(refusal.value).splitlines()
    assert "invalid mem access 'map_value_or_null'" in str(refusal.value)
    assert lines[0] == lines[-1] == "3 open"


def test_hundreds_of_programs_load_and_the_last_may_fail(tmp_path: Path) -> None:
    # A jump holds 32767 slots; the loader of so many programs is longer.
    source = "\n".join(f'SEC("xdp") int p{i}(void *ctx) {{ return {i}; }}' for i in range(500))
    many = compiled(source)
    text = light_skeleton(many, "it")
    made = see(build(text, tmp_path / "all"))
    assert len(made.programs) == 500
    bad = many.copy()
    last = bad.functions["p499"]
    bad.functions["p499"] = replace(last, code=bytes.fromhex("9500000000000000"), line_info=b"")
    with pytest.raises(LoaderFailedError):
        see(build(light_skeleton(bad, "it"), tmp_path / "bad"))


def test_a_strong_symbol_that_the_kernel_lacks_fails_the_load(tmp_path: Path) -> None:
    lacking = compiled("""
        extern void function_of_no_kernel(void) __ksym;
        SEC("tc") int p(void *ctx) { function_of_no_kernel(); return 0; }
    """)
    with pytest.raises(LoaderFailedError, match="No such file"):
        see(build(light_skeleton(lacking, "it"), tmp_path))


def test_a_skeleton_is_called_as_its_file(obj: Object) -> None:
    assert skeleton_name(osmia.Object("flows", path="/x/flows-2.bpf.o")) == "flows_2_bpf"
    assert skeleton_name(osmia.Object("9lives")) == "_9lives"
    assert "struct some_name {" in light_skeleton(obj, "some_name")
    with pytest.raises(ValueError, match="no name in C"):
        light_skeleton(obj, "a-b")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pinning": Pinning.BY_NAME}, "cannot pin map 'seen'"),
        ({"pin_path": "/sys/fs/bpf/x"}, "cannot pin map 'seen'"),
        ({"exclusive_to": "sum"}, "cannot make map 'seen' exclusive"),
    ],
)
def test_what_a_program_cannot_do_is_refused(
    obj: Object, change: dict[str, object], reason: str
) -> None:
    changed = obj.copy()
    changed.maps["seen"] = replace(obj.maps["seen"], **change)  # type: ignore[arg-type]
    with pytest.raises(NotSupportedError, match=reason):
        light_skeleton(changed)


def test_replacements_and_struct_ops_are_refused() -> None:
    with pytest.raises(NotSupportedError, match="cannot replace functions"):
        light_skeleton(compiled('SEC("freplace/f") int p(void *ctx) { return 0; }'))
    ops = compiled("""
        struct tcp_congestion_ops { char name[16]; };
        SEC(".struct_ops") struct tcp_congestion_ops ours = { .name = "ours" };
    """)
    with pytest.raises(NotSupportedError, match="struct_ops"):
        light_skeleton(ops)


def test_an_extern_that_nothing_defines_is_named() -> None:
    missing = compiled('extern int f(int); SEC("xdp") int p(void *ctx) { return f(1); }')
    with pytest.raises(OsmiaError, match="'f'"):
        light_skeleton(missing)


def test_configuration_that_the_target_lacks_is_named(obj: Object) -> None:
    with pytest.raises(RelocationError, match="LINUX_KERNEL_VERSION"):
        light_skeleton(obj, target=osmia.Target())
