"""What a host accepts, as its own settings say: what is what it is called, and signed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia import NotSignedError, OsmiaError
from osmia.fleet import Fleet, FleetError
from osmia.fleet.settings import VARIABLE, options_of, read_settings
from osmia.fleet.wishes import Wish
from osmia.object import Object
from osmia.object.signatures import new_key, sign, sign_file
from osmia.records import replace

from .conftest import Cluster, compiled, wait_for

PRIVATE, PUBLIC = new_key()
OTHER_PRIVATE, OTHER_PUBLIC = new_key()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "fleet.toml"
    (tmp_path / "release.pub").write_bytes(PUBLIC)
    (tmp_path / "other.pub").write_bytes(OTHER_PUBLIC)
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def _wish(obj: Object, text: str = "", **options: Any) -> Wish:
    signatures = {obj.digest: text} if text else {}
    return Wish("limit", obj, obj.digest, engine="vm", options=options, signatures=signatures)


def test_a_host_without_settings_accepts_all(
    limit: Object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("osmia.fleet.settings.PLACE", tmp_path / "none.toml")
    assert options_of(_wish(limit, prune=True)) == {"prune": True}


def test_an_object_that_is_not_what_it_is_called_is_refused(limit: Object) -> None:
    other = limit.copy()
    other.data["limit"] = 7
    for wish in (replace(_wish(limit), digest="0" * 64), replace(_wish(limit), obj=other)):
        with pytest.raises(OsmiaError, match="object 'limit' is not the one that was wanted"):
            options_of(wish)


@pytest.mark.parametrize(
    "said", ['"release.pub"', '["release.pub"]', '["other.pub", "release.pub"]']
)
def test_a_required_signature_travels_with_the_wish(
    limit: Object, settings: Path, said: str
) -> None:
    settings.write_text(f"require_signature = {said}\n")
    text = sign(limit, PRIVATE)
    assert options_of(_wish(limit, text)) == {}
    with pytest.raises(NotSignedError, match="is not signed"):
        options_of(_wish(limit))
    other = limit.copy()
    other.data["limit"] = 7
    with pytest.raises(NotSignedError, match="is not signed"):
        options_of(replace(_wish(limit, text), obj=other, digest=other.digest))
    with pytest.raises(NotSignedError, match="not what was signed"):
        options_of(_wish(other, text))
    with pytest.raises(NotSignedError, match="passes="):
        options_of(_wish(limit, text, passes=[lambda obj: other]))
    with pytest.raises(NotSignedError, match=r"imports= takes from .* has no signature"):
        options_of(_wish(limit, text, imports=["kernel"]))


def test_another_key_s_signature_does_not_do(limit: Object, settings: Path) -> None:
    settings.write_text('require_signature = "release.pub"\n')
    with pytest.raises(NotSignedError, match="not by the key that is required"):
        options_of(_wish(limit, sign(limit, OTHER_PRIVATE)))
    with pytest.raises(NotSignedError, match="not by the key that is required"):  # the client's
        options_of(_wish(limit, sign(limit, PRIVATE), require_signature=OTHER_PUBLIC))
    both = sign(limit, OTHER_PRIVATE, sign(limit, PRIVATE))
    assert options_of(_wish(limit, both, require_signature=OTHER_PUBLIC)) == {}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("require_signature", r"fleet\.toml: Expected '='"),
        ("a = 1", r"fleet\.toml: there is no setting 'a': require_signature"),
        ("require_signature = 7", "require_signature is a file with a public key, or a list"),
        ("require_signature = [7]", "require_signature is a file with a public key, or a list"),
        ("require_signature = []", "require_signature has no key: leave it out"),
        ('require_signature = "none.pub"', r"none\.pub: there is no such file"),
        ('require_signature = "."', r"is no regular file"),
        ('require_signature = "fleet.toml"', r"fleet\.toml: require_signature: .* no PEM"),
        (b"\xff", r"fleet\.toml: 'utf-8' codec can't decode"),
    ],
)
def test_settings_that_are_wrong_load_nothing(
    limit: Object, settings: Path, said: str | bytes, why: str
) -> None:
    settings.write_bytes(said.encode() if isinstance(said, str) else said)
    with pytest.raises(OsmiaError, match=why):
        options_of(_wish(limit, sign(limit, PRIVATE)))


def test_settings_that_are_named_and_not_there_load_nothing(limit: Object, settings: Path) -> None:
    with pytest.raises(OsmiaError, match=r"fleet\.toml: there is no such file"):
        options_of(_wish(limit))


@pytest.mark.parametrize("name", ["fleet.toml", "release.pub"])
def test_files_that_others_can_write_are_refused(settings: Path, name: str) -> None:
    settings.write_text('require_signature = "release.pub"\n')
    path = settings.with_name(name)
    for mode in (0o664, 0o646):
        path.chmod(mode)
        with pytest.raises(OsmiaError, match=rf"{name} can be written by others \(mode {mode:o}"):
            read_settings()
    path.chmod(0o600)
    assert len(read_settings().keys) == 1
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
        with pytest.raises(OsmiaError, match=rf"{name} is owned by user 65534: it must be root's"):
            read_settings()


def test_a_fifo_keeps_nobody_waiting(settings: Path) -> None:
    os.mkfifo(settings)
    with pytest.raises(OsmiaError, match="is no regular file"):
        read_settings()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Path]]:
    """Two hosts: host0 has settings, which require nothing yet, host1 has none."""
    if os.geteuid() != 0:
        pytest.skip("makes namespaces: needs root")
    place = tmp_path_factory.mktemp("guarded")
    (place / "release.pub").write_bytes(PUBLIC)
    settings = place / "fleet.toml"
    settings.write_text("")
    with ExitStack() as held, pytest.MonkeyPatch.context() as patch:
        cluster = Cluster(held, tmp_path_factory.mktemp("logs"))
        patch.setenv(VARIABLE, str(settings))
        cluster.start(0)
        patch.delenv(VARIABLE)
        cluster.start(1)
        yield cluster, settings


@pytest.fixture
def guard(guarded: tuple[Cluster, Path], request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """A fleet whose host0 requires a signature."""
    cluster, settings = guarded
    settings.write_text('require_signature = "release.pub"\n')
    fleet = cluster.fleet(request.node.name[:40])
    wait_for(lambda: len(fleet.hosts) == 2)
    yield fleet
    fleet.close()


@pytest.mark.kernel
@pytest.mark.slow
def test_an_unsigned_object_is_loaded_where_nobody_requires_more(
    guard: Fleet, limit: Object, tmp_path: Path
) -> None:
    with pytest.raises(FleetError, match="is not signed") as told:
        guard.load(limit)
    assert {host: each.kind for host, each in told.value.errors.items()} == {
        "host0": "NotSignedError"
    }
    assert guard.running() == {}
    running = guard.load(limit, best_effort=True)
    assert list(running.run("ingress", bytes(64))) == ["host1"]
    wait_for(lambda: set(running.errors) == {"host0"})
    running.close()
    with pytest.raises(FleetError, match="is not signed") as told:  # on both: the client asks
        guard.load(limit, require_signature=PUBLIC)
    assert sorted(told.value.errors) == ["host0", "host1"]


@pytest.mark.kernel
@pytest.mark.slow
def test_a_signed_object_is_loaded_and_upgraded_to_signed_ones_only(
    guard: Fleet, limit: Object, tmp_path: Path
) -> None:
    old, new = tmp_path / "old.bpf.o", tmp_path / "new.bpf.o"
    limit.save(old)
    compiled("XDP_TX").save(new)
    sign_file(old, osmia.open(old), PRIVATE)
    running = guard.load(osmia.open(old), require_signature=PUBLIC)
    assert len(running.run("ingress", bytes(64))) == 2
    with pytest.raises(FleetError, match=r"rolled back.*new\.bpf\.o is not signed"):
        running.upgrade(osmia.open(new))
    assert {each["digest"] for each in running.status().values()} == {limit.digest}
    sign_file(new, osmia.open(new), PRIVATE)
    running.upgrade(osmia.open(new))
    assert {each.verdict for each in running.run("ingress", bytes(64)).values()} == {"XDP_TX"}


@pytest.mark.kernel
@pytest.mark.slow
def test_a_host_that_comes_back_takes_over_no_more_than_it_accepts(
    guarded: tuple[Cluster, Path], guard: Fleet, limit: Object, tmp_path: Path
) -> None:
    cluster, settings = guarded
    required = settings.read_text()
    settings.write_text("")
    signed = tmp_path / "signed.bpf.o"
    limit.save(signed)
    sign_file(signed, osmia.open(signed), PRIVATE)
    running = guard.load(limit, name="unsigned", pins=True)
    guard.load(osmia.open(signed), name="signed", pins=True)
    Path(f"{signed}.sig").unlink()  # it travelled
    cluster.kill(0)
    settings.write_text(required)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(settings))
        cluster.start(0)
    wait_for(lambda: "is not signed" in running.errors.get("host0", ""))
    wait_for(lambda: guard.running()["signed"].status().get("host0", {}).get("programs"))
    assert "programs" not in running.status()["host0"]
    assert guard.running()["signed"].errors == {}


def test_a_link_that_leads_nowhere_is_no_host_without_settings(
    limit: Object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    place = tmp_path / "fleet.toml"
    place.symlink_to(tmp_path / "not-mounted" / "fleet.toml")
    monkeypatch.setattr("osmia.fleet.settings.PLACE", place)
    with pytest.raises(OsmiaError, match=r"fleet\.toml: there is no such file"):
        options_of(_wish(limit))


def test_settings_are_not_cut_off(settings: Path) -> None:
    settings.write_text("#" * (1 << 20) + '\nrequire_signature = "release.pub"\n')
    with pytest.raises(OsmiaError, match=r"fleet\.toml is larger than 1,048,576 bytes"):
        read_settings()
