"""The words behind each of bpftool's commands, rewritten as osmia's: keywords become options.

A rewriter takes the object, the command and the words behind it, and gives osmia's command line.
It raises `Unknown` for words that are not bpftool's, and UsageError for what osmia does elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import click

from osmia.cli.literals import parse_integer

Words = Sequence[str]
Rewriter = Callable[[str, str, Words], list[str]]

_TARGETS = ("id", "tag", "name", "pinned")
_FLAGS = ("any", "exist", "noexist")
_HOOKS = ("sk_msg_verdict", "sk_skb_verdict", "sk_skb_stream_verdict", "sk_skb_stream_parser")
#: bpftool's older names of cgroup hooks, without the prefix that all have.
_OLD_HOOKS = {
    "ingress": "cgroup_inet_ingress",
    "egress": "cgroup_inet_egress",
    "sock_create": "cgroup_inet_sock_create",
    "sock_release": "cgroup_inet_sock_release",
    "sock_ops": "cgroup_sock_ops",
    "device": "cgroup_device",
    "sysctl": "cgroup_sysctl",
    "getsockopt": "cgroup_getsockopt",
    "setsockopt": "cgroup_setsockopt",
    **{
        f"{what}{version}": f"cgroup_{'udp' if 'msg' in what else 'inet'}{version}_{what}"
        for what in (
            *("bind", "connect", "post_bind", "getpeername", "getsockname", "sendmsg", "recvmsg"),
        )
        for version in "46"
    },
}


class Unknown(Exception):
    """The words are not bpftool's."""


def keyword(word: str, names: Words) -> str:
    """The first of `names` that begins with `word`, as bpftool reads keywords; "" for none."""
    return next((name for name in names if word and name.startswith(word)), "")


def targets(words: Words, hows: Words = _TARGETS) -> Iterator[tuple[list[str], list[str]]]:
    """The ways to read a program, map or link at the head of words, with what is behind it.

    `id 12` one way; of an abbreviation (`i 12`) osmia's reading, a name alone, comes first.
    """
    if not words:
        return
    how, *rest = words
    exact = how in hows
    if not exact:
        yield [how], list(rest)
    if rest and (exact or keyword(how, hows)):
        yield [how if exact else keyword(how, hows), rest[0]], list(rest[1:])


def options(words: Words, takes: dict[str, tuple[str, bool]]) -> list[str]:
    """Keywords as options: `takes` has the option of each and whether a value follows.

    The option "" is left out, with its value.
    """
    made: list[str] = []
    left = iter(words)
    for word in left:
        name = keyword(word, tuple(takes))
        if not name:
            raise Unknown
        option, has_value = takes[name]
        value = next(left, None) if has_value else ""
        if value is None:
            raise click.UsageError(f"{name!r} is followed by nothing")
        if option:
            made += [option, value] if has_value else [option]
    return made


def number(text: str) -> str:
    """A number as C has it (010, 0x8), in decimal; other words as they are."""
    try:
        return str(parse_integer(text))
    except ValueError:
        return text


def no_more(noun: str, verb: str, words: Words) -> list[str]:
    """VERB THING"""
    for target, rest in targets(words):
        if not rest:
            return [noun, verb, *target]
    raise Unknown


def pin(noun: str, verb: str, words: Words) -> list[str]:
    """pin THING FILE"""
    for target, rest in targets(words):
        if len(rest) == 1:
            return [noun, verb, *target, *rest]
    raise Unknown


def prog_dump(noun: str, verb: str, words: Words) -> list[str]:
    """dump xlated|jited PROG [file FILE | opcodes linum visual]"""
    kind = keyword(words[0], ("xlated", "jited")) if words else ""
    if not kind:
        raise Unknown
    takes = {"file": ("--file", True), "opcodes": ("--opcodes", False), "linum": ("--linum", False)}
    if kind == "xlated":
        takes["visual"] = ("--visual", False)
    for target, rest in targets(words[1:]):
        try:
            return [noun, verb, kind, *target, *options(rest, takes)]
        except Unknown:
            continue
    raise Unknown


def prog_run(noun: str, verb: str, words: Words) -> list[str]:
    """run PROG data_in FILE [data_out FILE [data_size_out L]] [ctx_in FILE …] [repeat N]"""
    takes = {
        "data_in": ("--data", True),
        "data_out": ("--data-out", True),
        "data_size_out": ("", True),  # as much as there is
        "ctx_in": ("--ctx", True),
        "ctx_out": ("--ctx-out", True),
        "ctx_size_out": ("", True),
        "repeat": ("--repeat", True),
    }
    for target, rest in targets(words):
        try:
            made = options(rest, takes)
        except Unknown:
            continue
        places = {"--data": "/dev/stdin", "--ctx": "/dev/stdin"}
        return [noun, verb, *target, *_streams(made, places)]
    raise Unknown


def _streams(made: list[str], inputs: dict[str, str]) -> list[str]:
    """ "-" as a file: standard input; output that goes there is what osmia shows anyway."""
    changed: list[str] = []
    for option, value in zip(made[::2], made[1::2], strict=True):
        if value == "-" and option not in inputs:
            continue
        given = inputs[option] if value == "-" else value
        changed += [option, number(given) if option == "--repeat" else given]
    return changed


def prog_load(noun: str, verb: str, words: Words) -> list[str]:
    """load|loadall OBJ PATH [type T] [map idx|name X MAP] [offload_dev D] [pinmaps DIR] …"""
    if len(words) < 2 or any(word.startswith("-") for word in words):
        raise Unknown
    made = [noun, "load", *words[:2], *(["--directory"] if verb == "loadall" else [])]
    takes = {
        "type": ("--type", True),
        "offload_dev": ("--device", True),
        "pinmaps": ("--pin-maps", True),
        "autoattach": ("--autoattach", False),
        "kernel_btf": ("--target-btf", True),
    }
    left = list(words[2:])
    while left:
        if keyword(left[0], ("map", *takes)) == "map":
            made_map, left = _reused_map(left[1:])
            made += made_map
        elif "xdpmeta_dev".startswith(left[0]):
            raise click.UsageError("xdpmeta_dev: `osmia xdp attach DEVICE FILE` binds to a device")
        else:
            length = 2 if takes.get(keyword(left[0], tuple(takes)), ("", False))[1] else 1
            made += options(left[:length], takes)
            left = left[length:]
    return made


def _reused_map(words: Words) -> tuple[list[str], list[str]]:
    """`idx 0 id 12` behind the word `map`, as `--map 0=12`, and what is behind it."""
    how = keyword(words[0], ("idx", "name")) if len(words) > 1 else ""
    if not how:
        raise click.UsageError("`map idx IDX MAP` or `map name NAME MAP`")
    *_, (target, rest) = list(targets(words[2:])) or [([], [])]
    if not target:
        raise click.UsageError(f"which map instead of {words[1]!r}?")
    return ["--map", f"{words[1]}={' '.join(target)}"], rest


def prog_attach(noun: str, verb: str, words: Words) -> list[str]:
    """attach|detach PROG HOOK [MAP]"""
    for target, rest in targets(words):
        if rest[:1] == ["flow_dissector"] and not rest[1:]:
            return [noun, verb, *target, *rest]
        if rest and rest[0] in _HOOKS:
            return [noun, verb, *target, rest[0], *no_more("", "", rest[1:])[2:]]
    raise Unknown


def tracelog(noun: str, verb: str, words: Words) -> list[str]:
    """tracelog [stdout|stderr PROG]"""
    stream = keyword(words[0], ("stdout", "stderr")) if words else ""
    if not stream:
        raise Unknown
    return [noun, verb, stream, *no_more("", "", words[1:])[2:]]


def prog_profile(noun: str, verb: str, words: Words) -> list[str]:
    """profile PROG [duration SECONDS] METRIC…"""
    if any(word.startswith("-") for word in words):
        raise Unknown
    for target, rest in targets(words):
        duration = []
        if len(rest) > 1 and keyword(rest[0], ("duration",)):
            duration, rest = ["-d", number(rest[1])], rest[2:]
        if rest and not any(word.isdigit() or "/" in word for word in rest):
            return [noun, verb, *target, *duration, *(x for word in rest for x in ("-m", word))]
    raise Unknown


def map_create(noun: str, verb: str, words: Words) -> list[str]:
    """create FILE type T key N value N entries N name NAME [flags N] [inner_map MAP] …"""
    if not words or words[0].startswith("-"):
        raise Unknown
    made, left = [noun, verb, words[0]], list(words[1:])
    numbers = {"key": "--key", "value": "--value", "entries": "--entries", "flags": "--flags"}
    while left:
        name = keyword(left[0], ("type", "name", *numbers, "inner_map", "offload_dev"))
        if not name or len(left) < 2:
            raise Unknown
        if name == "offload_dev":
            raise click.UsageError(
                "`osmia map create` makes maps of this machine; in Python,"
                " osmia's Map.create(ifindex=…) makes one on a device"
            )
        if name == "inner_map":
            *_, (target, left) = targets(left[1:])
            made += ["--inner", target[-1]]
            continue
        made += [numbers.get(name, f"--{name}"), number(left[1]) if name in numbers else left[1]]
        left = left[2:]
    return made


def map_entry(noun: str, verb: str, words: Words) -> list[str]:
    """lookup|getnext|delete|update|push|enqueue MAP [key DATA] [value VALUE] [FLAG]"""
    for target, rest in targets(words):
        if not rest:
            return [noun, "peek" if verb == "lookup" else verb, *target]
        if keyword(rest[0], ("key",)):
            where = _value_keyword(rest) if verb == "update" else len(rest)
            key, value = ["key", *rest[1:where]], rest[where:]
        elif keyword(rest[0], ("value",)):
            key, value = [], rest
        else:
            continue
        if key and verb in ("push", "enqueue"):
            raise click.UsageError(f"{verb!r} takes no key: `osmia map update` does")
        if not key and verb == "update":
            verb = "push"  # what bpftool does with a queue
        return [noun, verb, *target, *key, *(_value(value) if value else [])]
    raise Unknown


def _value_keyword(words: list[str]) -> int:
    """Where the word `value` stands behind a key; an abbreviation only where it stands nowhere."""
    if "value" in words[2:]:
        return words.index("value", 2)
    found = (i for i in range(2, len(words)) if keyword(words[i], ("value",)))
    return next(found, len(words))


def _value(words: list[str]) -> list[str]:
    """`value` and what is behind it: bytes, a map or a program; then flags."""
    body = words[1:]
    flag = keyword(body[-1], _FLAGS) if len(body) > 1 else ""
    if flag and body[0] == "hex" and body[-1] in ("a", "e"):
        flag = ""  # a byte
    if flag:
        body = body[:-1]
    if len(body) == 2 and body[0] != "hex" and keyword(body[0], _TARGETS):
        body = [keyword(body[0], _TARGETS), body[1]]
    return ["value", *body, *([flag] if flag else [])]


def event_pipe(noun: str, verb: str, words: Words) -> list[str]:
    """event_pipe MAP [cpu N index M]"""
    for target, rest in targets(words):
        if not rest:
            return [noun, verb, *target]
        if keyword(rest[0], ("cpu", "index")):
            raise click.UsageError(
                "`osmia map event_pipe MAP` reads the events of all CPUs, and says which of each"
            )
    raise Unknown


def cgroup_list(noun: str, verb: str, words: Words) -> list[str]:
    """show|list CGROUP [effective], tree [CGROUP] [effective]"""
    if len(words) > 1 and keyword(words[-1], ("effective",)):
        return [noun, verb, *words[:-1], "--effective"]
    if verb == "tree" and list(words) == ["effective"]:
        return [noun, verb, "--effective"]
    raise Unknown


def cgroup_attach(noun: str, verb: str, words: Words) -> list[str]:
    """attach CGROUP HOOK PROG [multi|override], detach CGROUP HOOK PROG"""
    if len(words) < 3:
        raise Unknown
    hook = _OLD_HOOKS.get(words[1], words[1])
    for target, rest in targets(words[2:]):
        flag = keyword(rest[0], ("multi", "override")) if len(rest) == 1 else ""
        if not rest or flag:
            return [noun, verb, words[0], hook, *target, *([flag] if flag else [])]
    raise Unknown


def net(noun: str, verb: str, words: Words) -> list[str]:
    """list [dev NAME], attach HOOK PROG dev NAME [overwrite|prepend], detach HOOK dev NAME"""
    if verb in ("show", "list") and len(words) == 2 and keyword(words[0], ("dev",)):
        return [noun, verb, words[1]]
    if verb == "detach" and len(words) == 3 and keyword(words[1], ("dev",)):
        return [noun, verb, words[0], words[2]]
    if verb == "attach":
        for target, rest in targets(words[1:]):
            if len(rest) in (2, 3) and keyword(rest[0], ("dev",)):
                how = keyword(rest[2], ("overwrite", "prepend")) if rest[2:] else ""
                if rest[2:] and not how:
                    continue
                option = [f"--{how}"] if how else []
                return [noun, verb, words[0], rest[1], *target, *option]
    raise Unknown


def feature(noun: str, verb: str, words: Words) -> list[str]:
    """probe [kernel | dev NAME] [full] [unprivileged] [macros [prefix P]], list_builtins GROUP"""
    if verb == "list_builtins":
        return ["features", "--builtins", *words]
    if verb not in ("", "probe"):
        raise click.UsageError(f"`osmia features`, not {verb!r}")
    answers = {
        "dev": "`osmia features` asks the kernel, no device",
        "unprivileged": "run `osmia features` as that user",
        "macros": "`osmia features -j` says it in JSON; there are no macros",
    }
    made = ["features"]
    for word in words:
        name = keyword(word, ("kernel", "dev", "full", "macros", "unprivileged"))
        if name in answers:
            raise click.UsageError(f"{name!r}: {answers[name]}")
        if not name:
            raise click.UsageError(f"unexpected: {word}; `osmia features` says what there is")
        made += ["--helpers"] if name == "full" else []
    return made


def btf_list(noun: str, verb: str, words: Words) -> list[str]:
    """show|list [id ID]"""
    if len(words) == 2 and keyword(words[0], ("id",)):
        return [noun, verb, "id", words[1]]
    raise Unknown


def btf_dump(noun: str, verb: str, words: Words) -> list[str]:
    """dump id ID | prog PROG | map MAP [key|value|kv|all] | file FILE, format F, root_id ID"""
    source = keyword(words[0], ("id", "map", "prog", "file")) if len(words) > 1 else ""
    if not source:
        raise Unknown
    if source in ("id", "file"):
        return [noun, verb, source, words[1], *_btf_options(words[2:])]
    for target, rest in targets(words[1:]):
        part = keyword(rest[0], ("key", "value", "kv", "all")) if source == "map" and rest else ""
        try:
            behind = _btf_options(rest[1:] if part else rest)
        except Unknown:
            continue
        return [noun, verb, source, *target, *([part] if part else []), *behind]
    raise Unknown


def _btf_options(words: Words) -> list[str]:
    made: list[str] = []
    left = list(words)
    while left:
        match keyword(left[0], ("format", "root_id", "file")), left[1:]:
            case "format", [form, *left]:
                if form not in ("c", "raw"):
                    raise click.UsageError(f"format `c` or `raw`, not {form!r}")
                if left and keyword(left[0], ("unsorted",)):
                    left = left[1:]  # the same types, in another order
                made += ["--c"] if form == "c" else []
            case "root_id", [root, *left]:
                made += ["-t", number(root)]
            case "file", _:
                raise click.UsageError("`osmia btf dump file FILE` takes one file at a time")
            case _:
                raise Unknown
    return made


def gen(noun: str, verb: str, words: Words) -> list[str]:
    """skeleton FILE [name NAME], subskeleton FILE, min_core_btf INPUT OUTPUT OBJECT…"""
    if verb == "subskeleton":
        raise click.UsageError(
            "osmia writes no subskeletons: `osmia gen skeleton`, or LoadedObject.part in Python"
        )
    if verb == "skeleton" and len(words) == 3 and keyword(words[1], ("name",)):
        return [noun, verb, words[0], "--name", words[2]]
    if verb == "min_core_btf" and len(words) > 2:
        return ["btf", "minimise", *words[2:], "--btf", words[0], "-o", words[1]]
    if verb == "min_core_btf":
        raise click.UsageError("`osmia btf minimise OBJECT… --btf KERNEL -o FILE` does that")
    raise Unknown


def iter_pin(noun: str, verb: str, words: Words) -> list[str]:
    """pin OBJ PATH [map MAP]"""
    if len(words) > 3 and keyword(words[2], ("map",)):
        return [noun, verb, *words[:2], "map", *no_more("", "", words[3:])[2:]]
    raise Unknown


def batch(noun: str, verb: str, words: Words) -> list[str]:
    """batch file FILE"""
    if words and keyword(verb, ("file",)):
        return [noun, *words]
    raise Unknown


#: By object and command; by object alone for those that are not in it.
REWRITERS: dict[tuple[str, str], Rewriter] = {
    **{(noun, verb): no_more for noun in ("prog", "map", "link") for verb in ("show", "list")},
    **{("map", verb): no_more for verb in ("dump", "peek", "pop", "dequeue", "freeze")},
    **{("struct_ops", verb): no_more for verb in ("show", "list", "unregister", "dump")},
    **{(noun, "pin"): pin for noun in ("prog", "map", "link")},
    **{
        ("map", verb): map_entry
        for verb in ("update", "lookup", "getnext", "delete", "push", "enqueue")
    },
    **{("cgroup", verb): cgroup_list for verb in ("show", "list", "tree")},
    **{("cgroup", verb): cgroup_attach for verb in ("attach", "detach")},
    **{("btf", verb): btf_list for verb in ("show", "list")},
    ("link", "detach"): no_more,
    ("prog", "dump"): prog_dump,
    ("prog", "run"): prog_run,
    ("prog", "load"): prog_load,
    ("prog", "loadall"): prog_load,
    ("prog", "attach"): prog_attach,
    ("prog", "detach"): prog_attach,
    ("prog", "profile"): prog_profile,
    ("prog", "tracelog"): tracelog,
    ("map", "create"): map_create,
    ("map", "event_pipe"): event_pipe,
    ("btf", "dump"): btf_dump,
    ("net", ""): net,
    ("feature", ""): feature,
    ("gen", ""): gen,
    ("iter", "pin"): iter_pin,
    ("batch", ""): batch,
}
