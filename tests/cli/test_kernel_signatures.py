"""`osmia sign --kernel`, `osmia prog load --keyring`, `osmia gen skeleton -L --key`, as typed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Result

Osmia = Callable[..., Result]


@pytest.fixture(autouse=True)
def _keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: Path) -> None:
    monkeypatch.chdir(tmp_path)
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem"
    command += " -out c.der -outform DER -days 9 -subj /CN=osmia"
    subprocess.run(command.split(), check=True, capture_output=True)
    Path("c.bpf.o").write_bytes(compiled.read_bytes())


def test_a_file_is_signed_for_the_kernel(osmia: Osmia) -> None:
    signed = osmia("sign", "--kernel", "--key", "k.pem", "--cert", "c.der", "c.bpf.o")
    assert signed.out == "c.bpf.o: signed for the kernel, in c.bpf.o.kernel-sig\n"
    again = osmia("-j", "sign", "--kernel", "--key", "k.pem", "--cert", "c.der", "c.bpf.o")
    assert again.json["signatures"] == "c.bpf.o.kernel-sig"
    checked = osmia("sign", "--kernel", "--check", "c.der", "c.bpf.o")
    assert (checked.status, checked.out) == (0, "c.bpf.o: signed by the key\n")
    Path("c.bpf.o.kernel-sig").unlink()
    unsigned = osmia("-j", "sign", "--kernel", "--check", "c.der", "c.bpf.o")
    assert (unsigned.status, unsigned.json["signed"]) == (1, False)
    assert "is not signed for the kernel" in unsigned.json["reason"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("sign --kernel --key k.pem c.bpf.o", "--kernel goes with --key and --cert"),
        ("sign --key k.pem --cert c.der c.bpf.o", "--kernel goes with --key and --cert"),
        ("sign --kernel --check c.der --cert c.der c.bpf.o", "--kernel goes with"),
        ("sign --kernel --new-key --key n.pem --cert c.der", "of a key that there is"),
        ("gen skeleton c.bpf.o --key k.pem --cert c.der", "what is signed is a light skeleton"),
        ("gen skeleton -L c.bpf.o --key k.pem", "--key goes with --cert"),
        ("prog load c.bpf.o /sys/fs/bpf/x --key k.pem", "--key goes with --cert"),
        ("prog load c.bpf.o /sys/fs/bpf/x --keyring mine", "'mine' is no keyring"),
        ("prog load c.bpf.o /sys/fs/bpf/x --keyring user --prune", "without --prune"),
    ],
)
def test_what_makes_no_sense_is_answered(osmia: Osmia, arguments: str, why: str) -> None:
    done = osmia(*arguments.split())
    assert done.status == 2
    assert why in done.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("sign --kernel --key c.bpf.o --cert c.der c.bpf.o", "c.bpf.o is no private key"),
        ("sign --kernel --key k.pem --cert k.pem c.bpf.o", "k.pem is no X.509 certificate"),
        ("prog load c.bpf.o /sys/fs/bpf/x --keyring session", "is not signed for the kernel"),
    ],
)
def test_what_cannot_be_done_is_one_error(osmia: Osmia, arguments: str, why: str) -> None:
    done = osmia(*arguments.split())
    assert done.status == 1
    assert why in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.kernel
def test_bpftool_s_way_to_load_signed_programs_is_taken(osmia: Osmia, bpffs: Path) -> None:
    pin = bpffs / "signed"
    done = osmia(*f"prog load -L -S -k k.pem -i c.der c.bpf.o {pin}".split())
    if done.status:  # no keyring of CI's, or a kernel that does not check them
        assert re.search("checking signatures|not checked here|keyring", done.err)
        assert not pin.exists()
    else:
        assert pin.exists()


def test_a_light_skeleton_has_its_signature(osmia: Osmia) -> None:
    signed = "gen skeleton -L c.bpf.o --key k.pem --cert c.der"
    for command in (signed, f"{signed} --signed-for 7.3"):
        done = osmia(*command.split())
        assert done.status == 0
        assert "\t__s32 keyring_id;\n" in done.out
        assert "\topts.signature_sz = sizeof(signature) - 1;\n" in done.out
    plain = osmia("gen", "skeleton", "-L", "c.bpf.o").out
    assert "signature" not in plain
    assert "keyring" not in plain
