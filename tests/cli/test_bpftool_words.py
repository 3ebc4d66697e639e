"""bpftool's command lines: every one of its grammar is taken, or answered with osmia's command."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from osmia.cli.application import application, own_words
from osmia.cli.bpftool_words import OBJECTS, translated

BPFTOOL = Path(__file__).parents[2] / "build/newer-bpftool/bpftool"

#: bpftool 7.8's grammar, line by line, and what becomes of command lines of it: osmia's, or
#: behind "!" what the answer says.
GRAMMAR: dict[str, dict[str, str]] = {
    # prog
    "prog { show | list } [PROG]": {
        "prog show": "prog show",
        "p s": "prog show",
        "prog list": "prog list",
        "prog show id 12": "prog show id 12",
        "prog show i 12": "prog show id 12",
        "p s n flows": "prog show name flows",
        "p s t 0a1b2c3d4e5f6071": "prog show tag 0a1b2c3d4e5f6071",
        "p s p /sys/fs/bpf/x": "prog show pinned /sys/fs/bpf/x",
        "p s n": "prog show n",
        "-f prog show": "prog show -f",
        "prog -f show": "prog show -f",
        "prog show -f": "prog show -f",
        "prog show --bpffs id 12": "prog show id 12 -f",
        "-jp prog show": "-j --pretty prog show",
        "prog show -pj": "-j --pretty prog show",
        "--json --pretty p s": "-j --pretty prog show",
        "-jpfd p s": "-j --pretty -v prog show -f",
        "-n -m prog show": "prog show",
    },
    "prog dump xlated PROG [{ file FILE | [opcodes] [linum] [visual] }]": {
        "prog dump xlated id 12": "prog dump xlated id 12",
        "p d x i 12": "prog dump xlated id 12",
        "prog dump xlated id 12 file out": "prog dump xlated id 12 --file out",
        "prog dump xlated tag 0a1b2c3d4e5f6071 opcodes linum": (
            "prog dump xlated tag 0a1b2c3d4e5f6071 --opcodes --linum"
        ),
        "prog dump xlated pinned /x visual": "prog dump xlated pinned /x --visual",
        "p d x flows o l": "prog dump xlated flows --opcodes --linum",
    },
    "prog dump jited PROG [{ file FILE | [opcodes] [linum] }]": {
        "prog dump jited id 12": "prog dump jited id 12",
        "prog dump jited name flows opcodes linum": "prog dump jited name flows --opcodes --linum",
        "p d j i 12 f out": "prog dump jited id 12 --file out",
    },
    "prog pin PROG FILE": {
        "prog pin id 12 /sys/fs/bpf/x": "prog pin id 12 /sys/fs/bpf/x",
        "prog pi i 12 /sys/fs/bpf/x": "prog pin id 12 /sys/fs/bpf/x",
        "prog pin n /sys/fs/bpf/x": "prog pin n /sys/fs/bpf/x",
    },
    "prog { load | loadall } OBJ PATH [type TYPE] [{ offload_dev | xdpmeta_dev } NAME]"
    " [map { idx IDX | name NAME } MAP] [pinmaps MAP_DIR] [autoattach] [kernel_btf BTF_FILE]": {
        "prog load a.o /p": "prog load a.o /p",
        "prog loadall a.o /p": "prog load a.o /p --directory",
        "prog load a.o /p type xdp": "prog load a.o /p --type xdp",
        "prog load a.o /p t cgroup/skb": "prog load a.o /p --type cgroup/skb",
        "prog load a.o /p map name flows id 4 map idx 0 pinned /sys/fs/bpf/m": (
            "prog load a.o /p --map 'flows=id 4' --map '0=pinned /sys/fs/bpf/m'"
        ),
        "prog load a.o /p offload_dev eth0": "prog load a.o /p --device eth0",
        "prog load a.o /p xdpmeta_dev eth0": "!osmia xdp attach",
        "prog loadall a.o /p pinmaps /m autoattach kernel_btf v": (
            "prog load a.o /p --directory --pin-maps /m --autoattach --target-btf v"
        ),
        "-d prog load a.o /p": "-v prog load a.o /p",
        "-L prog load a.o /p": "!osmia gen skeleton -L",
        "-S -k k.pem -i c.x509 prog load a.o /p": "prog load a.o /p --key k.pem --cert c.x509",
    },
    "prog attach PROG ATTACH_TYPE [MAP]": {
        "prog attach id 1 sk_msg_verdict id 2": "prog attach id 1 sk_msg_verdict id 2",
        "p a i 1 sk_skb_verdict p /x": "prog attach id 1 sk_skb_verdict pinned /x",
        "prog attach id 1 flow_dissector": "prog attach id 1 flow_dissector",
    },
    "prog detach PROG ATTACH_TYPE [MAP]": {
        "prog det i 1 flow_dissector": "prog detach id 1 flow_dissector",
        "prog detach id 1 sk_skb_stream_parser name m": (
            "prog detach id 1 sk_skb_stream_parser name m"
        ),
    },
    "prog run PROG data_in FILE [data_out FILE [data_size_out L]]"
    " [ctx_in FILE [ctx_out FILE [ctx_size_out M]]] [repeat N]": {
        "prog run id 1 data_in f repeat 10": "prog run id 1 --data f --repeat 10",
        "p r i 1 data_in - data_out o data_size_out 64": (
            "prog run id 1 --data /dev/stdin --data-out o"
        ),
        "prog run name x data_in f data_out - ctx_in c ctx_out d ctx_size_out 8 r 0x10": (
            "prog run name x --data f --ctx c --ctx-out d --repeat 16"
        ),
        "prog run x --data f": "prog run x --data f",
    },
    "prog profile PROG [duration DURATION] METRICs": {
        "prog profile id 1 duration 3 cycles llc_misses": (
            "prog profile id 1 -d 3 -m cycles -m llc_misses"
        ),
        "prog prof i 1 instructions": "prog profile id 1 -m instructions",
    },
    "prog tracelog": {"prog tracelog": "prog tracelog", "p t": "prog tracelog"},
    "prog tracelog { stdout | stderr } PROG": {
        "prog tracelog stdout id 3": "prog tracelog stdout id 3",
        "p t stderr i 3": "prog tracelog stderr id 3",
    },
    "prog help": {"prog help": "prog --help", "p h": "prog --help"},
    # map
    "map { show | list } [MAP]": {
        "map list": "map list",
        "m s": "map show",
        "m s i 4": "map show id 4",
        "-f m s n flows": "map show name flows -f",
    },
    "map create FILE type TYPE key KEY_SIZE value VALUE_SIZE entries MAX_ENTRIES name NAME"
    " [flags FLAGS] [inner_map MAP] [offload_dev NAME]": {
        "map create /p type hash key 4 value 0x8 entries 010 name n flags 1024": (
            "map create /p --type hash --key 4 --value 8 --entries 8 --name n --flags 1024"
        ),
        "m c /p t array_of_maps k 4 v 4 e 2 n o inner_map id 3": (
            "map create /p --type array_of_maps --key 4 --value 4 --entries 2 --name o --inner 3"
        ),
        "map create /p type hash key 4 value 4 entries 1 name n offload_dev eth0": (
            "!Map.create(ifindex=…)"
        ),
    },
    "map dump MAP": {"map dump id 4": "map dump id 4", "m d i 4": "map dump id 4"},
    "map update MAP [key DATA] [value VALUE] [UPDATE_FLAGS]": {
        "map update id 4 key 1 0 0 0 value 2 0 0 0 noexist": (
            "map update id 4 key 1 0 0 0 value 2 0 0 0 noexist"
        ),
        "m u i 4 k 0 1 0xa 010 v hex a 0 ff 0 any": (
            "map update id 4 key 0 1 0xa 010 value hex a 0 ff 0 any"
        ),
        "m u i 4 k 1 0 0 0 v 2 0 0 0 e": "map update id 4 key 1 0 0 0 value 2 0 0 0 exist",
        "m u i 4 k 1 0 v hex 2 a": "map update id 4 key 1 0 value hex 2 a",
        "m u n tails k 1 0 0 0 v p /sys/fs/bpf/next": (
            "map update name tails key 1 0 0 0 value pinned /sys/fs/bpf/next"
        ),
        "map update flows key value value 3": "map update flows key value value 3",
        "map update id 4 value 1 0 0 0": "map push id 4 value 1 0 0 0",
    },
    "map lookup MAP [key DATA]": {
        "map lookup id 4 key 1 0 0 0": "map lookup id 4 key 1 0 0 0",
        "m lo n flows k hex 1 0": "map lookup name flows key hex 1 0",
        "map lookup id 4": "map peek id 4",
        "map lookup flows key v": "map lookup flows key v",
    },
    "map getnext MAP [key DATA]": {
        "map getnext id 4": "map getnext id 4",
        "m g i 4 k 1 0 0 0": "map getnext id 4 key 1 0 0 0",
    },
    "map delete MAP key DATA": {
        "map delete id 4 key 1 0 0 0": "map delete id 4 key 1 0 0 0",
        "m del p /x k 1": "map delete pinned /x key 1",
    },
    "map pin MAP FILE": {
        "map pin id 4 /x": "map pin id 4 /x",
        "m pin n flows /x": "map pin name flows /x",
    },
    "map event_pipe MAP [cpu N index M]": {
        "map event_pipe id 4": "map event_pipe id 4",
        "m ev i 4": "map event_pipe id 4",
        "map event_pipe id 4 cpu 0 index 0": "!osmia map event_pipe",
    },
    "map peek MAP": {"map peek id 4": "map peek id 4", "m pe i 4": "map peek id 4"},
    "map push MAP value VALUE": {
        "map push id 4 value 1 0": "map push id 4 value 1 0",
        "m pu i 4 v 1 0": "map push id 4 value 1 0",
    },
    "map pop MAP": {"map pop id 4": "map pop id 4", "m po i 4": "map pop id 4"},
    "map enqueue MAP value VALUE": {"m en i 4 v 1 0": "map enqueue id 4 value 1 0"},
    "map dequeue MAP": {"m deq i 4": "map dequeue id 4"},
    "map freeze MAP": {"m f i 4": "map freeze id 4"},
    "map help": {"m help": "map --help"},
    # link
    "link { show | list } [LINK]": {
        "link show id 3": "link show id 3",
        "l s": "link show",
        "l l i 3": "link list id 3",
        "-f l": "link",
    },
    "link pin LINK FILE": {"l p i 3 /x": "link pin id 3 /x"},
    "link detach LINK": {"l d p /x": "link detach pinned /x"},
    "link help": {"l h": "link --help"},
    # cgroup
    "cgroup { show | list } CGROUP [effective]": {
        "cgroup show /c": "cgroup show /c",
        "c s /c effective": "cgroup show /c --effective",
        "c l /c e": "cgroup list /c --effective",
    },
    "cgroup tree [CGROUP_ROOT] [effective]": {
        "cgroup tree": "cgroup tree",
        "c t /c": "cgroup tree /c",
        "cgroup tree effective": "cgroup tree --effective",
        "cgroup tree /c effective": "cgroup tree /c --effective",
    },
    "cgroup attach CGROUP ATTACH_TYPE PROG [ATTACH_FLAGS]": {
        "cgroup attach /c cgroup_inet_ingress id 3 multi": (
            "cgroup attach /c cgroup_inet_ingress id 3 multi"
        ),
        "c a /c ingress p /x o": "cgroup attach /c cgroup_inet_ingress pinned /x override",
        "cgroup attach /c sendmsg4 id 3": "cgroup attach /c cgroup_udp4_sendmsg id 3",
    },
    "cgroup detach CGROUP ATTACH_TYPE PROG": {
        "c d /c device i 3": "cgroup detach /c cgroup_device id 3"
    },
    "cgroup help": {"c h": "cgroup --help"},
    # perf, net
    "perf { show | list }": {"perf show": "perf show", "pe l": "perf list"},
    "perf help": {"perf help": "perf --help"},
    "net { show | list } [dev <devname>]": {
        "net": "net",
        "net show": "net show",
        "n l": "net list",
        "net show dev eth0": "net show eth0",
    },
    "net attach ATTACH_TYPE PROG dev <devname> [ overwrite | prepend ]": {
        "net attach xdp id 3 dev eth0": "net attach xdp eth0 id 3",
        "n a xdpgeneric p /x dev eth0 overwrite": (
            "net attach xdpgeneric eth0 pinned /x --overwrite"
        ),
        "n a tcx_egress i 3 d eth0 p": "net attach tcx_egress eth0 id 3 --prepend",
    },
    "net detach ATTACH_TYPE dev <devname>": {
        "net detach xdp dev eth0": "net detach xdp eth0",
        "n d tcx_ingress dev eth0": "net detach tcx_ingress eth0",
    },
    "net help": {"net help": "net --help"},
    # feature
    "feature probe [COMPONENT] [full] [unprivileged] [macros [prefix PREFIX]]": {
        "feature": "features",
        "feature probe": "features",
        "f p kernel full": "features --helpers",
        "-j feature probe": "-j features",
        "feature probe dev eth0": "!osmia features",
        "feature probe macros prefix X": "!osmia features -j",
        "feature probe unprivileged": "!osmia features",
    },
    "feature list_builtins GROUP": {
        "feature list_builtins prog_types": "features --builtins prog_types",
        "f l helpers": "features --builtins helpers",
    },
    "feature help": {"feature help": "features --help"},
    # btf
    "btf { show | list } [id BTF_ID]": {
        "btf show": "btf show",
        "bt l i 3": "btf list id 3",
    },
    "btf dump BTF_SRC [format FORMAT] [root_id ROOT_ID]": {
        "btf dump id 3": "btf dump id 3",
        "btf dump prog id 3 format raw": "btf dump prog id 3",
        "btf dump map id 3 kv format c unsorted": "btf dump map id 3 kv --c",
        "btf d m p /x v f c": "btf dump map pinned /x value --c",
        "btf dump file a.o root_id 3 root_id 0x4 format c": "btf dump file a.o -t 3 -t 4 --c",
        "btf dump file a.o file b.o": "!osmia btf dump file",
        "-B /v btf dump file m": "btf dump file m -B /v",
        "btf dump file m --base-btf /v": "btf dump file m -B /v",
        "btf dump file m -B /v format c": "btf dump file m --c -B /v",
    },
    "btf help": {"btf help": "btf --help"},
    # gen
    "gen object OUTPUT_FILE INPUT_FILE [INPUT_FILE...]": {
        "gen object o a b": "gen object o a b",
        "g o o a": "gen object o a",
    },
    "gen skeleton FILE [name OBJECT_NAME]": {
        "gen skeleton a.o": "gen skeleton a.o",
        "g s a.o name flows": "gen skeleton a.o --name flows",
        "-L gen skeleton a.o n flows": "gen skeleton a.o --name flows -L",
        "gen skeleton -L a.o": "gen skeleton a.o -L",
        "gen skeleton -L -S -k k -i c a.o": "gen skeleton a.o -L --key k --cert c",
        "gen skeleton -L -S -k k a.o": "!-S goes with -k KEY and -i CERTIFICATE",
    },
    "gen subskeleton FILE [name OBJECT_NAME]": {"gen subskeleton a.o": "!osmia gen skeleton"},
    "gen min_core_btf INPUT OUTPUT OBJECT [OBJECT...]": {
        "gen min_core_btf v o a.o b.o": "btf minimise a.o b.o --btf v -o o",
        "gen min_core_btf v": "!osmia btf minimise",
    },
    "gen help": {"gen help": "gen --help"},
    # iter, struct_ops, token, the rest
    "iter pin OBJ PATH [map MAP]": {
        "iter pin a.o /p": "iter pin a.o /p",
        "i p a.o /p m i 3": "iter pin a.o /p map id 3",
    },
    "iter help": {"i h": "iter --help"},
    "struct_ops { show | list } [STRUCT_OPS_MAP]": {
        "struct_ops show": "struct_ops show",
        "s l n cubic": "struct_ops list name cubic",
    },
    "struct_ops dump [STRUCT_OPS_MAP]": {
        "struct_ops dump": "struct_ops dump",
        "s d i 3": "struct_ops dump id 3",
    },
    "struct_ops register OBJ [LINK_DIR]": {
        "s r a.o": "struct_ops register a.o",
        "struct_ops register a.o /d": "struct_ops register a.o /d",
    },
    "struct_ops unregister STRUCT_OPS_MAP": {"s u i 3": "struct_ops unregister id 3"},
    "struct_ops help": {"s h": "struct_ops --help"},
    "token { show | list }": {"token show": "token show", "t l": "token list"},
    "token help": {"token help": "token --help"},
    "batch file FILE": {
        "batch file f": "batch f",
        "-j batch file -": "-j batch -",
        "ba f -": "batch -",
    },
    "version": {"version": "--version", "v": "--version", "-V": "-V"},
}
CASES = [(given, becomes) for examples in GRAMMAR.values() for given, becomes in examples.items()]


@pytest.mark.parametrize(("given", "becomes"), CASES, ids=[given for given, _ in CASES])
def test_a_command_line_of_bpftools_is_taken_or_answered(given: str, becomes: str) -> None:
    words = shlex.split(given)
    if becomes.startswith("!"):
        with pytest.raises(click.UsageError) as answer:
            own_words(words)
        assert becomes[1:] in answer.value.format_message()
        return
    assert translated(words) == shlex.split(becomes)
    assert _is_taken(own_words(words))


@pytest.mark.skipif(not BPFTOOL.exists(), reason="reads the grammar in bpftool 7.8's own help")
def test_no_line_of_its_grammar_is_left_out() -> None:
    theirs = {
        line for name in OBJECTS.keys() - {"help", "version", "batch"} for line in _grammar_of(name)
    }
    assert theirs == set(GRAMMAR) - {"version", "batch file FILE"}


@pytest.mark.parametrize(
    ("given", "meanings"),
    [
        ("b file x", "batch or btf"),
        ("prog p 12 /x", "prog pin or prog profile"),
        ("map p i 1", "map pin or map peek or map push or map pop"),
        ("prog lo a.o /x", "prog load or prog loadall"),
    ],
)
def test_what_would_change_something_is_not_guessed(given: str, meanings: str) -> None:
    with pytest.raises(click.UsageError, match=meanings):
        own_words(given.split())


@pytest.mark.parametrize(
    "own",
    [
        "prog list -j -f",
        "map dump name flows",
        "--color always prog list",
        "map update m key 1 value 2",
        "prog load a.o /p --pin-maps d -p x",
        "features -p helpers",
        "run x.c --iface eth0",
        "inspect -p f x.o",
        "iter pin a.o /p -p tasks",
        "btf dump --c x.o -t flow",
        "tc list",
    ],
)
def test_osmias_own_words_stay(own: str) -> None:
    assert own_words(own.split()) == own.split()


@pytest.mark.parametrize("line", ["map list", "prog show id 12", "-j prog list", "tc list"])
def test_an_ordinary_command_line_loads_no_translator(line: str) -> None:
    code = (
        "import sys; from osmia.cli.application import own_words;"
        f"own_words({line.split()!r}); print([m for m in sys.modules if 'bpftool' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _grammar_of(name: str) -> list[str]:
    told = subprocess.run([BPFTOOL, name, "help"], capture_output=True, text=True).stderr
    usage = told.partition("Usage:")[2].partition("\n\n")[0]
    usage = usage.partition("OPTIONS :=")[0]
    joined = re.sub(r"\\?\n(?!\s+bpftool )", " ", usage.replace("**", ""))
    lines = (" ".join(line.replace("\\", " ").split()) for line in joined.splitlines())
    return [line.removeprefix("bpftool ") for line in lines if line.startswith("bpftool ")]


def _is_taken(words: list[str]) -> bool:
    """Whether click finds a command for the words, and all of them in its grammar."""
    if words[0] in ("--version", "-V") or words[-1] == "--help" or "batch" in words:
        return True
    command: click.Command = application
    context = application.make_context("osmia", list(words), resilient_parsing=False)
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return True
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        if "--help" not in rest and not (isinstance(found, click.Group) and not rest):
            context = found.make_context(name, rest, parent=context)
        elif not rest:
            return True
        command = found
    return True
