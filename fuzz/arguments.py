"""Wrong arguments for the public API: an error that says so, on purpose, and nothing else.

    python fuzz/arguments.py --count 200000 --jobs 2         # the vm's half
    python fuzz/arguments.py --engine kernel --minutes 10    # root

A seed is a dozen calls: of functions of the public packages, and of methods of an object, its
programs, maps, links, variables, types, a vm. Each gets arguments of which one at least is wrong:
another type, out of range, no name, closed, of another vm. Allowed are a result, an OsmiaError, an
OSError (of files), a TypeError or ValueError that is raised on purpose, by osmia or by Python's
own check of a call's arguments, and KeyError and IndexError with a sentence in them. Whatever
comes from deeper inside is a problem: struct.error, AttributeError, a bare KeyError …

The kernel's half runs in network and mount namespaces of its own.
"""

from __future__ import annotations

import ctypes
import importlib
import inspect
import math
import os
import random
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

import campaign

import osmia
from osmia.argument_faults import raised_on_purpose

SOURCE = Path(osmia.__file__).parent
CALLS = 12
OBJECT = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
struct value { int a; unsigned short b; char name[6]; };
#define MAP(NAME, TYPE, KEY, VALUE, ENTRIES) struct { __uint(type, BPF_MAP_TYPE_##TYPE); \\
    __uint(max_entries, ENTRIES); __type(key, KEY); __type(value, VALUE); } NAME SEC(".maps");
MAP(hash, HASH, int, struct value, 8)
MAP(array, ARRAY, int, long, 4)
MAP(percpu, PERCPU_HASH, int, long, 4)
MAP(slots, PERCPU_ARRAY, int, int, 4)
MAP(lru, LRU_HASH, struct value, char, 8)
struct { __uint(type, BPF_MAP_TYPE_QUEUE); __uint(max_entries, 4); __type(value, int); }
    queue SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_BLOOM_FILTER); __uint(max_entries, 4); __type(value, int); }
    bloom SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_USER_RINGBUF); __uint(max_entries, 4096); }
    user SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __type(key, int); __type(value, int); }
    perf SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __type(key, int);
         __type(value, int); } jumps SEC(".maps");
struct trie_key { unsigned prefixlen; unsigned char data[4]; };
struct { __uint(type, BPF_MAP_TYPE_LPM_TRIE); __uint(max_entries, 4); __uint(map_flags, 1);
         __type(key, struct trie_key); __type(value, int); } trie SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_DEVMAP); __uint(max_entries, 4); __type(key, int);
         __type(value, struct bpf_devmap_val); } devices SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_CPUMAP); __uint(max_entries, 2); __type(key, int);
         __type(value, struct bpf_cpumap_val); } cpus SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 2); __type(key, int);
         __array(values, struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4);
                                  __type(key, int); __type(value, long); }); } outer SEC(".maps");
const volatile int limit = 3;
int counter; struct value last; unsigned char bytes[4]; enum { RED, GREEN = 7 } colour;
SEC("tc") int classify(struct __sk_buff *skb) { counter++; return limit; }
SEC("xdp") int pass(struct xdp_md *ctx) { return XDP_PASS; }
SEC("raw_tp/sys_enter") int traced(void *ctx) { return 0; }
SEC("socket") int filter(struct __sk_buff *skb) { return 1; }
SEC("syscall") int call(void *ctx) { return 0; }
"""
#: Packages whose functions and classes are called, beside the things that `World` has.
PACKAGES = (
    "osmia",
    "osmia.btf",
    "osmia.isa",
    "osmia.values",
    "osmia.events",
    "osmia.object.editing",
    "osmia.elf",
    "osmia.captures.packets",
    "osmia.summaries",
)
KERNEL_PACKAGES = ("osmia.kernel.links", "osmia.kernel.maps")
#: What takes long, changes this machine or hands out what is no API: never called here.
LEFT_OUT = {
    "compile", "module_btf", "kernel_btf", "vmlinux_header", "deduplicate", "minimise", "dump_c",
    "Minimiser", "iterate", "mro", "forget_programs", "forget_map", "free_map", "need_jit",
    "fill_slot", "empty_slot", "filled_slots", "forget_dispatcher", "map_of", "number_of",
    "over", "immediate", "packet_bounds", "give_up", "check_open", "check_loaded", "execute",
    "raise_fault", "another", "adopt", "wait", "from_memory", "from_fd", "from_image",
    "as_integer_ratio", "from_bytes", "record_offset", "register_struct_ops", "freeze",
    "lower", "has_function", "function_number", "attach_perf_event", "reachable",
    "bytes_of", "column", "construct", "read_tail", "too_short", "refresh_slots",
}  # fmt: skip
#: Parameters that say how long something takes: no large numbers for them.
DURATIONS = {"repeat", "budget", "timeout", "seconds", "memory", "cpus", "count", "size", "limit"}
WRONG: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 7, 255, 256, 1 << 15, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
    1 << 32, (1 << 63) - 1, 1 << 63, 1 << 64, -(1 << 31) - 1, -(1 << 63) - 1, 10**30, 1.5, 0.0,
    -1e300, math.nan, math.inf, 1j, "", "nope", "lo", "a\0b", "\udc80", "ä", "x" * 5000, "0x1",
    "RED", b"", b"x", b"abc", bytes(4), bytes(8), bytes(64), bytearray(5), bytes(70_000),
    memoryview(b"abcdefgh")[::2], [], [1], ["a"], [None], [b"x"], [(1, 2, 3)], (), (1, 2, 3), {},
    {"nope": 1}, {1: 2}, {"a": "b"}, {b"x": None}, set(), {"a"}, object(), int, len, Path("/nope"),
    PurePath("x"), range(3), Ellipsis, osmia.MapType.ARRAY, osmia.ProgramType.XDP, "/", "/dev/null",
    osmia.MapFlag.MMAPABLE, osmia.Pinning.GLOBAL,
)  # fmt: skip
FOR_DURATIONS: tuple[Any, ...] = tuple(
    each for each in WRONG if not isinstance(each, int | float) or not each > 300
)
#: Options of functions that hand them on.
OPTIONS = (
    "after", "attach_to", "before", "cookie", "cpu", "direction", "executor", "expected_revision",
    "flag", "helpers", "inner", "key_size", "legacy", "license", "log_level", "maps", "max_entries",
    "memory", "name", "nope", "passes", "pin_root", "priority", "programs", "tail_calls", "target",
    "token", "types", "value_codec", "vm",
)  # fmt: skip
#: A timeout is always given: without one the call waits.
TIMEOUTS: tuple[Any, ...] = (0, 0.0, -1, -0.5, math.nan, 1j, "nope", b"", [], {}, object(), int)


class World:
    """What calls are made on: one object in an engine and all that hangs on it."""

    def __init__(self, engine: str, directory: Path) -> None:
        self.engine = engine
        self.directory = directory
        self.data = _compiled()
        self.opened = osmia.open(self.data, name="arguments")
        load: Any = self.opened.load
        self.loaded: Any = load(engine)
        self.vm = self.loaded.vm if engine == "vm" else osmia.Vm(cpus=2, memory=1 << 26)
        self.other_vm = osmia.Vm(cpus=1, memory=1 << 26)
        self.other_map = self.other_vm.create_map(osmia.MapType.ARRAY, value_size=8, max_entries=4)
        self.gone = self.opened.load("vm")
        self.gone.close()
        self.things: dict[str, Any] = {
            "object": self.opened,
            "loaded": self.loaded,
            "variables": self.loaded.data,
            "initial": self.opened.data,
            "btf": self.opened.btf,
            "vm": self.vm,
            "value": self.loaded.data["last"],
            "codec": self.opened.codec("value"),
            **{f"map {name}": each for name, each in self.loaded.maps.items()},
            **{f"program {name}": each for name, each in self.loaded.programs.items()},
        }
        events = (self.loaded.maps["ring"], self.loaded.maps["perf"])  # who iterates them waits
        self.live = [each for each in self.things.values() if each not in events]
        self.live += [self.other_map, *self.gone.maps.values()]
        self.live += [self.gone, *self.gone.programs.values(), self.other_vm]

    def close(self) -> None:
        self.loaded.close()
        self.vm.close()
        self.other_vm.close()

    def right(self, name: str, r: random.Random) -> Any:
        """A plausible argument for a parameter of that name."""
        match name:
            case "path" | "directory" | "file" | "binary" | "cgroup" | "pin_root":
                return self.directory / f"made-{r.randrange(4)}"
            case "data" | "packet" | "source" | "contents":
                return r.choice((bytes(64), self.data))
            case "packets":
                return [bytes(64)]
            case "key" | "index" | "identifier" | "type_id" | "number" | "cpu":
                return r.choice((0, 1, 2, "counter"))
            case "value":
                return r.choice((1, {"a": 1}, bytes(8)))
            case "code":
                return bytes.fromhex("b700000000000000") + bytes.fromhex("9500000000000000")
            case "text":
                return "r0 = 0\nexit"
            case "btf" | "local" | "kernel":
                return self.opened.btf
            case "program" | "function" | "name" | "word" | "type_name":
                return r.choice(("classify", "value", "counter", *self.loaded.programs.values()))
            case "type" | "map_type":
                return r.choice((osmia.MapType.HASH, osmia.MapType.ARRAY, osmia.ProgramType.XDP))
            case "key_size" | "value_size" | "max_entries":
                return 4
            case "engine":
                return self.engine
            case "obj":
                return self.opened
        return r.choice((0, 1, "x", b"x", None))


@cache
def _compiled() -> bytes:
    from osmia.toolchain import compile as compile_source

    return compile_source(OBJECT).data


def calls(world: World) -> dict[str, Callable[..., Any]]:
    """Everything that is called, by name."""
    found: dict[str, Callable[..., Any]] = {}
    packages = PACKAGES + (KERNEL_PACKAGES if world.engine == "kernel" else ())
    for package in packages:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ("read_packets", "run_packets", "verdict_name")):
            each = getattr(module, name)
            if name in LEFT_OUT or not callable(each) or isinstance(each, type(Any)):
                continue
            if inspect.isclass(each):
                if issubclass(each, BaseException) or not _constructed_by_users(each):
                    continue
                found |= _methods(f"{package}.{name}", each, static_only=True)
            found[f"{package}.{name}"] = each
    if world.engine == "vm":
        found = {name: each for name, each in found.items() if not _wants_kernel(name)}
    for name, thing in world.things.items():
        found |= _methods(name, thing)
    return found


def _constructed_by_users(kind: type) -> bool:
    return kind.__name__ in {"Vm", "Object", "FunctionEditor", "BTFBuilder", "NewCode",
                             "BTF", "Target", "ElfWriter"}  # fmt: skip


def _wants_kernel(name: str) -> bool:
    return name.startswith(("osmia.Map.", "osmia.Program.")) or name.endswith(".running")


_OPERATORS = ("__getitem__", "__setitem__", "__delitem__", "__contains__")


def _methods(owner: str, thing: Any, *, static_only: bool = False) -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    kind = thing if static_only else type(thing)
    for name in dir(kind):
        if name.startswith("_") and (name not in _OPERATORS or static_only):
            continue
        raw = inspect.getattr_static(kind, name)
        bound = isinstance(raw, classmethod | staticmethod)
        if name in LEFT_OUT or name == "close" or (static_only and not bound):
            continue
        if (owner, name) in (("vm", "resolve"), ("codec", "replace")):
            continue
        if bound or callable(raw):
            found[f"{owner}.{name}"] = getattr(thing, name)
    return found


def arguments(
    call: Callable[..., Any], world: World, r: random.Random
) -> tuple[list[Any], dict[str, Any]]:
    """Arguments of which one at least is wrong."""
    try:
        parameters = list(inspect.signature(call).parameters.values())
    except (ValueError, TypeError):
        parameters = []
    wanted = [
        each for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    wrong = r.choice(wanted).name if wanted else ""
    given: list[Any] = []
    keywords: dict[str, Any] = {}
    skipped = False
    for each in wanted:
        optional = each.default is not each.empty
        if each.name == "timeout":
            keywords["timeout"] = r.choice(TIMEOUTS)
            continue
        if each.name != wrong and optional and r.random() < 0.7:
            skipped = True
            continue
        value = world.right(each.name, r)
        if each.name == wrong or r.random() < 0.1:
            value = _wrong(each.name, world, r)
        if each.kind is each.KEYWORD_ONLY or (skipped and each.kind is not each.POSITIONAL_ONLY):
            keywords[each.name] = value
        else:
            given.append(value)
    if any(each.kind is each.VAR_KEYWORD for each in parameters) and r.random() < 0.6:
        name = r.choice(OPTIONS)
        keywords.setdefault(name, _wrong(name, world, r))
    if r.random() < 0.03:
        keywords["nope"] = 1
    return given, keywords


def _wrong(name: str, world: World, r: random.Random) -> Any:
    if r.random() < 0.15:
        return r.choice(world.live)
    return r.choice(FOR_DURATIONS if name in DURATIONS else WRONG)


def judge(error: BaseException) -> str:
    """What is wrong with how an error came, "" when it was raised on purpose."""
    if isinstance(error, osmia.OsmiaError | OSError | MemoryError | NotImplementedError):
        return ""
    if not isinstance(error, TypeError | ValueError | KeyError | IndexError):
        return f"{type(error).__name__}: no error of osmia's, or of arguments"
    frames = list(traceback.walk_tb(error.__traceback__))
    frame, line = frames[-1]
    path = Path(frame.f_code.co_filename)
    if path in (Path(__file__), SOURCE / "arguments.py"):
        return ""  # Python's own check of the arguments: its message names them
    if not path.is_relative_to(SOURCE):
        return f"{type(error).__name__} from {path.name}:{line}"
    if not raised_on_purpose(error) and "() argument" not in str(error):  # a class that was given
        return f"{type(error).__name__} from within {path.relative_to(SOURCE)}:{line}"
    if isinstance(error, KeyError | IndexError) and " " not in str(error):
        return f"a bare {type(error).__name__} at {path.relative_to(SOURCE)}:{line}"
    return ""


def use(result: Any) -> None:
    """Look at a result as its caller would, and give it back."""
    if hasattr(result, "__next__"):
        list(islice(result, 5))
    elif type(result).__module__.startswith("osmia"):
        repr(result)


def give_back(result: Any, world: World) -> None:
    """Close what a call made; what the world has stays."""
    close = getattr(result, "close", None)
    if callable(close) and not any(result is each for each in world.live):
        close()


class Fuzzer:
    """Tries seeds on one world, which is made anew where a call closed a part of it."""

    def __init__(self, engine: str, directory: Path) -> None:
        self.engine, self.directory = engine, directory
        self.world: World | None = None
        self.names: dict[str, Callable[..., Any]] = {}

    def attempt(self, seed: int) -> list[str]:
        """A dozen calls. Difference with all that is wrong among them."""
        r = random.Random(seed)
        problems, outcomes = [], []
        if self.world is None or seed % 50 == 0:
            self.renew()
        for _ in range(CALLS):
            assert self.world is not None
            name = r.choice(sorted(self.names))
            given, keywords = arguments(self.names[name], self.world, r)
            outcome, problem = self.call(name, given, keywords)
            outcomes.append(outcome)
            if problem:
                problems.append(problem)
        if problems:
            raise campaign.Difference("\n".join(problems))
        return outcomes

    def renew(self) -> None:
        """Another world."""
        self.close()
        self.world = World(self.engine, self.directory)
        self.names = calls(self.world)

    def close(self) -> None:
        """Give the world back."""
        if self.world is not None:
            self.world.close()
            self.world = None

    def call(self, name: str, given: list[Any], keywords: dict[str, Any]) -> tuple[str, str]:
        """One call: what became of it, and what is wrong with that."""
        assert self.world is not None
        words = ", ".join(
            [
                *(f"{each!r:.60}" for each in given),
                *(f"{key}={value!r:.60}" for key, value in keywords.items()),
            ]
        )
        try:
            result = self.names[name](*given, **keywords)
            try:
                use(result)
            finally:
                give_back(result, self.world)
        except Exception as error:
            if problem := judge(error):
                return "", f"{name}({words})\n  {problem}: {error!s:.200}\n{_trace(error)}"
            return type(error).__name__, ""
        return "a result", ""


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_tb(error.__traceback__)[1:])[-1500:]


#: Verbs that compile, write where they are told, or change what this machine has attached.
CHANGING = ("compile", "selftest", "completion", "features")
WORDS = (
    "", "nope", "nope.bpf.o", "/nope/nope", ".", "-1", "0x", "999999999", "4294967296", "a\0b",
    "\udc80", "id", "name", "pinned", "tag", "hex", "key", "value", "nope:nope", "1/2", "=", "a=1",
    "é" * 300, "--nope", "--", "-j", "[1,", "ingress", "99999999999999999999", "type", "xdp",
    "arguments.bpf.o", "fd", "any", "1.5", "nan",
)  # fmt: skip


def command_line(seed: int) -> list[str]:
    """The words of a command that cannot be right."""
    import click

    from osmia.cli.application import VERBS

    r = random.Random(seed)
    verb = r.choice([each for each in VERBS if each not in CHANGING])
    command: Any = getattr(importlib.import_module(f"osmia.cli.{verb}"), f"{verb}_command")
    words = [verb]
    if isinstance(command, click.Group):
        context = click.Context(command)
        commands = command.list_commands(context)
        name = r.choice([each for each in commands if each not in ("tracelog", "event_pipe")])
        command = command.get_command(context, name)
        words.append(name)
    options = [o for each in command.params for o in each.opts if o.startswith("-")]
    for _ in range(r.randrange(6)):
        words.append(r.choice(options) if options and r.random() < 0.3 else r.choice(WORDS))
    if "--duration" in options:
        words += ["--duration", "0"]  # what records goes on to Ctrl-C otherwise
    return words


def isolate() -> None:
    """Network and mount namespaces of this process's own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000 | 0x00020000):
        raise OSError(ctypes.get_errno(), "unshare")
    if libc.mount(b"none", b"/", None, 1 << 18 | 1 << 14, None):  # private, recursively
        raise OSError(ctypes.get_errno(), "mount")


def prepare(engine: str) -> campaign.Attempt:
    """In a child of the campaign: what tries a seed."""
    if engine == "kernel":
        isolate()
    warnings.simplefilter("ignore")
    directory = Path(tempfile.mkdtemp(prefix="arguments-"))
    os.chdir(directory)
    return Fuzzer(engine, directory).attempt


def main() -> int:
    parser = campaign.options(__doc__ or "")
    parser.add_argument("--engine", choices=("vm", "kernel"), default="vm")
    options = parser.parse_args()
    _compiled()
    report = campaign.run(
        lambda: prepare(options.engine),
        options.seed,
        options.count,
        jobs=options.jobs,
        minutes=options.minutes,
    )
    return bool(report.problems)


if __name__ == "__main__":
    sys.exit(main())
