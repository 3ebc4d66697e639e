"""`osmia fleet certificates`: an authority, and who may speak."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from osmia import OsmiaError
from osmia.fleet.certificates import make_certificates


def _made(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "osmia", "fleet", "certificates", str(directory), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_command_makes_an_authority_and_who_may_speak(tmp_path: Path) -> None:
    directory = tmp_path / "fleet"
    done = _made(directory, "-j")
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    names = ["ca", "scheduler", "client", "worker"]
    assert [Path(each["certificate"]).stem for each in said] == names
    assert sorted(path.name for path in directory.iterdir()) == sorted(
        [f"{name}{end}" for name in names for end in (".pem", "-key.pem")]
    )
    assert directory.stat().st_mode & 0o777 == 0o700
    for name in names:
        assert (directory / f"{name}-key.pem").stat().st_mode & 0o777 == 0o600
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    for name in names[1:]:
        context.load_cert_chain(directory / f"{name}.pem", directory / f"{name}-key.pem")
    checked = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", *(f"{n}.pem" for n in names)],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    again = _made(directory)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", f"{directory} lacks none\n")


def test_a_client_s_certificate_is_no_server_s(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    usages = x509.oid.ExtendedKeyUsageOID
    for name, serves in (("client", False), ("worker", True), ("scheduler", True)):
        said = _read(tmp_path / f"{name}.pem").extensions
        allowed = set(said.get_extension_for_class(x509.ExtendedKeyUsage).value)
        assert allowed == {usages.CLIENT_AUTH, *([usages.SERVER_AUTH] if serves else [])}
        assert not said.get_extension_for_class(x509.BasicConstraints).value.ca


def test_hosts_have_certificates_of_their_own_and_may_come_later(tmp_path: Path) -> None:
    first = make_certificates(tmp_path, ["node1"])
    assert [path.stem for path in first] == ["ca", "scheduler", "client", "node1"]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    made = make_certificates(tmp_path, ["node1", "10.0.0.7", "fe80::1"])
    assert [path.name for path in made] == ["10.0.0.7.pem", "fe80::1.pem"]
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    authority = _read(tmp_path / "ca.pem")
    for path in made:
        _read(path).verify_directly_issued_by(authority)
    named = x509.SubjectAlternativeName
    said = _read(tmp_path / "10.0.0.7.pem").extensions.get_extension_for_class(named).value
    assert [str(each) for each in said.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]
    assert make_certificates(tmp_path, ["node1"]) == []


def test_no_certificate_outlives_its_authority(tmp_path: Path) -> None:
    make_certificates(tmp_path, days=1)
    (late,) = make_certificates(tmp_path, ["late"], days=100)
    assert _read(late).not_valid_after_utc == _read(tmp_path / "ca.pem").not_valid_after_utc


@pytest.mark.parametrize(
    "host", ["", "../x", "a/b", "ca", "client", "scheduler", "x\n", ".", "a" * 64]
)
def test_names_that_are_none_are_refused_before_anything_is_made(tmp_path: Path, host: str) -> None:
    with pytest.raises(OsmiaError, match="is no name of a host"):
        make_certificates(tmp_path / "new", [host])
    assert not (tmp_path / "new").exists()


def test_a_directory_that_is_not_whole_is_said(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    (tmp_path / "client-key.pem").unlink()
    with pytest.raises(OsmiaError, match=r"client\.pem is there, and its key client-key\.pem is"):
        make_certificates(tmp_path)
    (tmp_path / "client.pem").unlink()
    (tmp_path / "worker.pem").unlink()  # as if it ended between the two
    assert [path.stem for path in make_certificates(tmp_path)] == ["client", "worker"]
    (tmp_path / "ca.pem").write_text("x")
    done = _made(tmp_path, "--host", "node1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ca.pem or its key cannot be read" in done.stderr


def test_another_authority_s_key_is_seen(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    make_certificates(one)
    make_certificates(other)
    (one / "ca-key.pem").write_bytes((other / "ca-key.pem").read_bytes())
    with pytest.raises(OsmiaError, match=r"ca-key\.pem is not the key of ca\.pem"):
        make_certificates(one, ["node1"])


def test_an_authority_that_is_expired_makes_nothing(tmp_path: Path) -> None:
    make_certificates(tmp_path, days=1e-9)
    with pytest.raises(OsmiaError, match=r"ca\.pem is expired"):
        make_certificates(tmp_path, ["node1"])
