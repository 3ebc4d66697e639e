"""BPF tokens: processes of a user namespace load what a bpffs delegates to them, and no more."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import KernelError
from osmia.kernel.probes import features
from osmia.kernel.sys.token import TOKEN_PATH_VARIABLE, open_token
from osmia.toolchain import compile as compile_source

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(features.kernel_is_older_than("6.9"), reason="BPF tokens are since 6.9"),
    pytest.mark.slow,
]

BEHIND = Path(__file__).parent / "user_namespace.py"
FSCONFIG, SET_STRING, CREATE = 431, 1, 6  # the system call; linux/mount.h
#: What no token stands in for.
NEVER_DELEGATED = {"run statistics"}
NOTHING: Mapping[str, str] = {}
ALL = {"cmds": "any", "maps": "any", "progs": "any", "attachs": "any"}

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);
               __type(value, __u64); } one SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS); __uint(max_entries, 2); __type(key, __u32);
         __array(values, struct inner); } many SEC(".maps") = { .values = { &one } };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
const volatile __u32 step = 3;
__u64 packets = 40;
SEC("xdp") int count(struct xdp_md *ctx) {
    __u32 zero = 0;
    packets += step;
    return bpf_map_lookup_elem(&many, &zero) ? XDP_PASS : XDP_DROP;
}
SEC("tp/sched/sched_switch") int seen(void *ctx) { return 0; }
SEC("usdt") int probed(void *ctx) { return 0; }
"""
LOAD = """
import json, os, sys
import osmia
from osmia.kernel.probes import features
path, options = sys.argv[1], json.loads(sys.argv[2])
obj = osmia.open(path)
for name in options.pop("without", ()):
    obj.set_autoload(name, False)
try:
    with obj.load(**options) as bpf:
        run = bpf.programs["count"].run(bytes(64))
        tags = {name: program.info.tag for name, program in bpf.programs.items()}
        print(json.dumps({"tags": tags, "verdict": run.retval, "packets": bpf.data["packets"]}))
except osmia.OsmiaError as error:
    print(json.dumps({"error": str(error)}))
"""


@dataclass(frozen=True)
class UserNamespace:
    """Runs commands in new user namespaces, each beside a bpffs on `directory`."""

    directory: Path

    def run(
        self, *command: str, delegated: dict[str, str], environment: Mapping[str, str] = NOTHING
    ) -> str:
        """What the command prints; `delegated` are the bpffs's options, without "delegate_"."""
        mine, theirs = socket.socketpair()
        places = str(BEHIND), str(theirs.fileno()), str(self.directory)
        start = [sys.executable, *places, sys.executable]
        with mine, theirs:
            mine.settimeout(30)
            process = subprocess.Popen(
                [*start, *command],
                pass_fds=[theirs.fileno()],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **environment},
                text=True,
            )
            theirs.close()
            try:
                _, (bpffs,), _, _ = socket.recv_fds(mine, 16, 1)
                create(bpffs, delegated)
                mine.send(b"created")
            finally:
                mine.close()
                out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        said: str = out
        return said

    def load(
        self,
        path: Path,
        options: dict[str, Any],
        *,
        delegated: dict[str, str] = ALL,
        environment: Mapping[str, str] = NOTHING,
    ) -> dict[str, Any]:
        """What LOAD says of the object, loaded with these options."""
        out = self.run(
            "-c", LOAD, str(path), json.dumps(options), delegated=delegated, environment=environment
        )
        said: dict[str, Any] = json.loads(out)
        return said


def create(bpffs: int, delegated: dict[str, str]) -> None:
    """What the privileged side does with a bpffs that somebody opened and sent."""
    libc = ctypes.CDLL(None, use_errno=True)
    for name, value in delegated.items():
        option = f"delegate_{name}".encode()
        assert not libc.syscall(FSCONFIG, bpffs, SET_STRING, option, value.encode(), 0), name
    assert not libc.syscall(FSCONFIG, bpffs, CREATE, None, None, 0)
    os.close(bpffs)


@pytest.fixture
def elsewhere(tmp_path: Path) -> UserNamespace:
    directory = tmp_path / "bpffs"
    directory.mkdir()
    return UserNamespace(directory)


@pytest.fixture
def by_default() -> UserNamespace:
    return UserNamespace(Path("/sys/fs/bpf"))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("token") / "counts.bpf.o"
    path.write_bytes(compile_source(SOURCE).data)
    return path


def tags(path: Path) -> dict[str, str]:
    with osmia.open(path).load() as bpf:
        return {name: program.info.tag for name, program in bpf.programs.items()}


def test_a_token_loads_a_whole_object(elsewhere: UserNamespace, compiled: Path) -> None:
    said = elsewhere.load(compiled, {"token": str(elsewhere.directory)})
    assert said == {"tags": tags(compiled), "verdict": 2, "packets": 43}


def test_without_a_token_the_same_process_may_not(elsewhere: UserNamespace, compiled: Path) -> None:
    said = elsewhere.load(compiled, {})
    assert "EPERM" in said["error"]
    assert "for a BPF token" in said["error"]


def test_the_token_of_the_usual_bpffs_needs_no_word(
    by_default: UserNamespace, compiled: Path
) -> None:
    assert by_default.load(compiled, {})["tags"] == tags(compiled)
    assert "EPERM" in by_default.load(compiled, {"token": ""})["error"]


def test_libbpfs_variable_says_where_the_token_is(elsewhere: UserNamespace, compiled: Path) -> None:
    where = {TOKEN_PATH_VARIABLE: str(elsewhere.directory)}
    assert elsewhere.load(compiled, {}, environment=where)["tags"] == tags(compiled)
    assert "EPERM" in elsewhere.load(compiled, {"token": ""}, environment=where)["error"]


def test_a_bpffs_that_is_named_must_give_a_token(by_default: UserNamespace, compiled: Path) -> None:
    said = by_default.load(compiled, {}, environment={TOKEN_PATH_VARIABLE: "/nowhere"})
    assert said == {
        "error": "cannot take a BPF token of '/nowhere': No such file or directory (ENOENT)"
    }


@pytest.mark.parametrize(
    ("delegated", "missing"),
    [
        ({"progs": "xdp"}, "delegate_progs=kprobe:tracepoint"),
        ({"maps": "array:ringbuf"}, "delegate_maps=hash_of_maps"),
        ({"cmds": "btf_load:map_create"}, "delegate_cmds=prog_load"),
        ({"attachs": "xdp"}, "delegate_attachs=cgroup_inet_ingress"),
        ({"cmds": "map_create"}, "delegate_cmds=btf_load:prog_load"),
    ],
)
def test_what_is_not_delegated_is_named(
    delegated: dict[str, str], missing: str, elsewhere: UserNamespace, compiled: Path
) -> None:
    options = {"token": str(elsewhere.directory)}
    said = elsewhere.load(compiled, options, delegated=ALL | delegated)
    assert said["error"].endswith(f"the BPF token of {elsewhere.directory} is without {missing}")


def test_what_is_left_out_need_not_be_delegated(elsewhere: UserNamespace, compiled: Path) -> None:
    delegated = ALL | {"progs": "xdp", "attachs": "xdp"}
    options = {"token": str(elsewhere.directory), "without": ["seen", "probed"]}
    assert elsewhere.load(compiled, options, delegated=delegated)["tags"].keys() == {"count"}


def test_the_command_loads_and_lists(by_default: UserNamespace, compiled: Path) -> None:
    some = ALL | {"progs": "xdp:sched_cls"}
    listed = json.loads(by_default.run("-m", "osmia", "token", "list", "-j", delegated=some))
    found = [each for each in listed if each["mounted"] == "/sys/fs/bpf"]
    assert found[-1] == {
        "mounted": "/sys/fs/bpf",
        "cmds": ["any"],
        "maps": ["any"],
        "progs": ["sched_cls", "xdp"],
        "attachs": ["any"],
    }
    table = by_default.run("-m", "osmia", "token", "list", delegated=some)
    assert "sched_cls,xdp" in table
    by_default.run("-m", "osmia", "prog", "load", str(compiled), "/sys/fs/bpf/x", delegated=ALL)
    created = ["map", "create", "/sys/fs/bpf/x", "--type", "hash", "--key", "4", "--value", "4"]
    by_default.run("-m", "osmia", *created, "--entries", "4", "--name", "x", delegated=ALL)


def test_probes_ask_with_the_token(by_default: UserNamespace) -> None:
    told = json.loads(by_default.run("-m", "osmia", "features", "-j", delegated=ALL))
    mine = {
        "map_types": features.map_types(),
        "program_types": features.program_types(),
        "attach_types": features.attach_types(),
        "misc": features.abilities(),
    }
    for part, expected in mine.items():
        answers = {each["name"]: each["supported"] for each in told[part]}
        for feature in expected:
            answer = answers[feature.name.lower()]
            if feature.supported and feature.name not in NEVER_DELEGATED:
                assert answer is True, feature
            else:  # the kernel says EPERM, with a token too, of what it does not know
                assert answer in (False, None), feature


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (lambda bpffs, directory: bpffs, "it is no bpffs"),  # a directory in one, not its root
        (lambda bpffs, directory: directory, "it is no bpffs"),
        (lambda bpffs, directory: directory / "missing", "ENOENT"),
    ],
)
def test_where_there_is_no_token_the_reason_is_said(
    where: Callable[[Path, Path], Path], reason: str, bpffs: Path, tmp_path: Path
) -> None:
    with pytest.raises(KernelError, match=reason):
        open_token(where(bpffs, tmp_path))


def test_the_initial_namespace_has_no_tokens(bpffs: Path) -> None:
    with pytest.raises(KernelError, match="tokens are for user namespaces"):
        open_token(bpffs.parent)
