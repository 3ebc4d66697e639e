"""`osmia token create`: a process in a user namespace loads what is delegated to it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osmia.errors import BpfPermissionError, NotSupportedError
from osmia.kernel.probes import features
from osmia.kernel.sys import delegating

from .conftest import OSMIA, Result

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
since_6_9 = pytest.mark.skipif(features.kernel_is_older_than("6.9"), reason="tokens are since 6.9")
Cli = Callable[..., Result]


@pytest.fixture
def contained() -> Iterator[int]:
    """A process with a user, a mount and a network namespace of its own."""
    script = "echo ready; exec sleep 600"
    command = ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    place = tmp_path / "bpffs"
    place.mkdir()
    return place


def inside(process: int, directory: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """What a command does in the namespaces of a process, with the token of a directory."""
    enter = ["nsenter", "-t", str(process), "-U", "-m", "-n", "--preserve-credentials"]
    return subprocess.run(
        [*enter, *OSMIA, *map(str, command)],
        env={**os.environ, "LIBBPF_BPF_TOKEN_PATH": str(directory)},
        capture_output=True,
        text=True,
    )


@since_6_9
def test_what_is_delegated_can_be_loaded(
    osmia: Cli, contained: int, directory: Path, compiled: Path
) -> None:
    made = osmia("token", "create", contained, directory, "--all", "--progs", "xdp,sched_cls", "-v")
    assert made.status == 0, made.err
    assert made.err == f"{directory} of process {contained} delegates cmds maps progs attachs\n"
    listed = inside(contained, directory, "token", "list").stdout
    assert f"{directory}  any   any   sched_cls,xdp  any" in listed
    loaded = inside(contained, directory, "prog", "load", compiled, directory / "count")
    assert loaded.returncode == 0, loaded.stderr
    shown = inside(contained, directory, "prog", "show", "pinned", directory / "count")
    assert "xdp count" in shown.stdout
    # It is theirs, in their mount namespace.
    assert not list(directory.iterdir())


@since_6_9
def test_what_is_not_delegated_is_refused(
    osmia: Cli, contained: int, directory: Path, compiled: Path
) -> None:
    assert osmia("token", "create", contained, directory, "--all", "--progs", "kprobe").status == 0
    refused = inside(contained, directory, "prog", "load", compiled, directory / "count")
    assert refused.returncode == 1
    assert "is without delegate_progs=xdp" in refused.stderr


@since_6_9
@pytest.mark.parametrize("verb", ["xdp", "tc", "lib"])
def test_lists_work_with_a_token_alone(
    osmia: Cli, contained: int, directory: Path, compiled: Path, verb: str
) -> None:
    assert osmia("token", "create", contained, directory, "--all").status == 0
    assert inside(contained, directory, "xdp", "attach", "lo", compiled, "-s", "count").stderr == ""
    listed = inside(contained, directory, verb, "list")
    assert listed.returncode == 0, listed.stderr
    assert "Traceback" not in listed.stderr
    if verb == "xdp":
        assert listed.stdout.splitlines()[1].split()[:2] == ["lo", "generic"]


@since_6_9
@pytest.mark.parametrize("verb", ["prog", "map", "link", "btf", "struct_ops"])
def test_what_no_token_permits_is_one_line(
    osmia: Cli, contained: int, directory: Path, verb: str
) -> None:
    assert osmia("token", "create", contained, directory, "--all").status == 0
    refused = inside(contained, directory, verb, "list")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "Operation not permitted" in refused.stderr


def test_wrong_words(osmia: Cli, directory: Path) -> None:
    assert osmia("token", "create", 1).status == 2
    assert "did you mean 'xdp'" in osmia("token", "create", 1, "--progs", "xpd").err
    assert osmia("token", "create", "me", "--all").status == 2


@since_6_9
def test_what_cannot_be_is_told(osmia: Cli, contained: int, directory: Path) -> None:
    here = osmia("token", "create", os.getpid(), directory, "--all")
    assert here.status == 1 and "own user namespace" in here.err
    gone = osmia("token", "create", 4_000_000, directory, "--all")
    assert gone.status == 1 and "there is no process 4000000" in gone.err
    nowhere = osmia("token", "create", contained, directory / "none", "--all")
    assert nowhere.status == 1 and f"mount on {directory / 'none'}" in nowhere.err
    beyond = osmia("token", "create", contained, directory, "--progs", "0xffffffffffffffff1")
    assert beyond.status == 1 and "delegate delegate_progs=" in beyond.err
    assert not inside(contained, directory, "token", "list").stdout.splitlines()[1:]


@since_6_9
def test_only_the_initial_namespace_may_delegate(contained: int, directory: Path) -> None:
    refused = inside(contained, Path(), "token", "create", contained, directory, "--all")
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("said", "error"), [(b"e bpf: Unknown parameter 'delegate_cmds'\n", NotSupportedError)]
)
def test_kernels_without_tokens_lack_them(said: bytes, error: type[Exception]) -> None:
    """Told by the log of the file system, as before 6.9."""
    reading, writing = os.pipe()
    try:
        os.write(writing, said)
        told = delegating._not_set(reading, "delegate_cmds", "any", 22)
        assert isinstance(told, error) and "needs Linux 6.9 or newer" in str(told)
        assert isinstance(delegating._not_set(reading, "x", "y", 1), BpfPermissionError)
    finally:
        os.close(reading)
        os.close(writing)
