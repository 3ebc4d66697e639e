"""Programs that are linked against published libraries, also from other processes."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from pathlib import Path

import pytest

import osmia
from osmia.errors import ClosedError, LinkError, OsmiaError, RelocationError
from osmia.kernel.libraries import listing, record
from osmia.kernel.libraries.places import OBJECT
from osmia.kernel.load.loaded import KernelObject

pytestmark = pytest.mark.kernel

HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
"""
DATAPATH = (
    HEAD
    + """
struct flow { __u32 packets; __u32 bytes; };
extern struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 8);
    __type(key, __u32);
    __type(value, struct flow);
} flows SEC(".maps");
extern __u64 lookups;
extern int conn_lookup(struct xdp_md *ctx, __u32 key);
int mine;
SEC("xdp") int datapath(struct xdp_md *ctx)
{
    __u32 key = 9;
    struct flow flow = { 77, 1 };

    mine++;
    lookups += 100;
    if (mine > 1)
        bpf_map_update_elem(&flows, &key, &flow, 0);
    return conn_lookup(ctx, 9);
}
"""
)
PACKET = bytes(64)


@pytest.fixture(scope="session")
def datapath() -> osmia.Object:
    return osmia.compile(DATAPATH, name="datapath")


@pytest.fixture
def published(conn: osmia.Object, root: Path) -> Path:
    """A library whose publisher has gone."""
    with conn.load() as bpf:
        osmia.publish(bpf, "conntrack", root=root)
    return root


def test_functions_data_and_maps_of_a_library_are_used_and_shared(
    datapath: osmia.Object, published: Path
) -> None:
    with (
        osmia.library("conntrack", root=published) as lib,
        datapath.load(imports=[lib]) as first,
        datapath.load(imports=[lib]) as second,
    ):
        run = first.programs["datapath"].run
        assert run(PACKET).retval == 5 + 3  # limit + level
        assert lib.data["lookups"] == 101
        assert run(PACKET).retval == 77
        assert lib.maps["flows"][9].packets == 77
        assert second.programs["datapath"].run(PACKET).retval == 77
        assert lib.data["lookups"] == 303
        assert (first.data["mine"], second.data["mine"]) == (2, 1)
        lib.data["level"] = 40
        del lib.maps["flows"][9]


def test_what_was_loaded_stays_when_the_library_is_closed_replaced_and_removed(
    datapath: osmia.Object, conn: osmia.Object, published: Path
) -> None:
    with osmia.library("conntrack", root=published) as lib:
        used = datapath.load(imports=[lib])
    with used, conn.load() as newer:
        info = listing.described("conntrack", published)
        assert info is not None
        assert [each.id for each in listing.users(info)] == [used.programs["datapath"].id]
        osmia.publish(newer, "conntrack", root=published)
        assert used.programs["datapath"].run(PACKET).retval == 8
        assert newer.data["lookups"] == 0
        with osmia.library("conntrack", root=published) as lib, datapath.load(imports=[lib]) as new:
            new.programs["datapath"].run(PACKET)
            assert (lib.version, newer.data["lookups"]) == (2, 101)
        listing.remove("conntrack", root=published)
        assert used.programs["datapath"].run(PACKET).retval == 77


CONSUMER = """
import sys, osmia
with osmia.library("conntrack", root=sys.argv[1]) as lib:
    with osmia.open(sys.argv[2]).load(imports=[lib]) as bpf:
        print(bpf.programs["datapath"].run(bytes(64)).retval)
"""


def test_another_process_links_against_it_without_the_file(
    datapath: osmia.Object, published: Path, tmp_path: Path
) -> None:
    datapath.save(tmp_path / "datapath.bpf.o")
    command = [sys.executable, "-c", CONSUMER, str(published), str(tmp_path / "datapath.bpf.o")]
    for expected in ("8\n", "8\n"):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert done.stdout == expected
    with osmia.library("conntrack", root=published) as lib:
        assert lib.data["lookups"] == 202


def test_two_libraries_with_one_name_are_listed_and_chosen_from(
    datapath: osmia.Object, conn: osmia.Object, published: Path
) -> None:
    with conn.load() as bpf:
        osmia.publish(bpf, "other", root=published)
    with (
        osmia.library("conntrack", root=published) as one,
        osmia.library("other", root=published) as two,
    ):
        with pytest.raises(LinkError) as caught:
            datapath.load(imports=[one, two])
        for lib in (one, two):
            told = f"{lib.name}: __u64 lookups (library, version 1"
            assert told in str(caught.value)
        chosen = {"conn_lookup": one, "lookups": two, "flows": one}
        with datapath.load(imports=[one, two, chosen]) as bpf:
            bpf.programs["datapath"].run(PACKET)
            assert (one.data["lookups"], two.data["lookups"]) == (1, 100)


def test_a_library_that_is_opened_twice_is_one(datapath: osmia.Object, published: Path) -> None:
    with (
        osmia.library("conntrack", root=published) as one,
        osmia.library("conntrack", root=published) as same,
        datapath.load(imports=[one, same]) as bpf,
    ):
        assert bpf.programs["datapath"].run(PACKET).retval == 8


def test_a_closed_library_offers_nothing(datapath: osmia.Object, published: Path) -> None:
    with osmia.library("conntrack", root=published) as lib:
        pass
    for imports in ([lib], {"conn_lookup": lib}):
        with pytest.raises(ClosedError, match="'conntrack' is closed: nothing can be imported"):
            datapath.load(imports=imports)


def test_types_that_disagree_name_the_library(published: Path) -> None:
    wrong = osmia.compile(
        HEAD
        + """
extern int conn_lookup(struct xdp_md *ctx, __u64 key);
SEC("xdp") int uses(struct xdp_md *ctx) { return conn_lookup(ctx, 1); }
"""
    )
    with (
        osmia.library("conntrack", root=published) as lib,
        pytest.raises(LinkError, match=r"conntrack: int conn_lookup\(struct xdp_md \*ctx, __u32"),
    ):
        wrong.load(imports=[lib])


def test_what_a_library_imports_itself_is_imported_too(published: Path) -> None:
    middle = osmia.compile(
        HEAD
        + """
extern int conn_lookup(struct xdp_md *ctx, __u32 key);
int calls;
__attribute__((noinline)) int middle(struct xdp_md *ctx) { calls++; return conn_lookup(ctx, 1); }
SEC("xdp") int uses(struct xdp_md *ctx) { return middle(ctx); }
"""
    )
    top = osmia.compile(
        HEAD
        + """
extern int middle(struct xdp_md *ctx);
SEC("xdp") int top(struct xdp_md *ctx) { return middle(ctx); }
"""
    )
    with osmia.library("conntrack", root=published) as conntrack:
        with middle.load(imports=[conntrack]) as bpf:
            info = osmia.publish(bpf, "middle", root=published)
            assert info.maps == (".bss",)  # what is another's is not published again
        with osmia.library("middle", root=published) as lib:
            with pytest.raises(RelocationError, match="conn_lookup"):
                top.load(imports=[lib])
            with top.load(imports=[lib, conntrack]) as bpf:
                assert bpf.programs["top"].run(PACKET).retval == 8
                assert (lib.data["calls"], conntrack.data["lookups"]) == (1, 1)


@pytest.mark.filterwarnings("ignore::osmia.OsmiaWarning")
def test_damaged_libraries_with_the_right_digest_are_errors_of_ours(
    datapath: osmia.Object, loaded: KernelObject, root: Path
) -> None:
    place = osmia.publish(loaded, "conntrack", root=root).path
    data = loaded.source.to_bytes()
    source = random.Random(3)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(source.randint(1, 6)):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
        header = record.describe(bytes(damaged), "conn")
        assert header.digest == hashlib.sha256(damaged).hexdigest()
        (place / OBJECT).unlink()
        with record.store(header, bytes(damaged)) as stored:
            stored.pin(place / OBJECT)
        try:
            with (
                osmia.library("conntrack", root=root) as lib,
                datapath.load(imports=[lib]) as bpf,
            ):
                bpf.programs["datapath"].run(PACKET)
        except (OsmiaError, KeyError):
            pass
