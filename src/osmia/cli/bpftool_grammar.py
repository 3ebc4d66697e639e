"""The words behind each of bpftool's commands, rewritten as osmia's: keywords become options.

A rewriter takes the object, the command and the words behind it, and gives osmia's command line.
It raises `Unknown` for words that are not bpftool's, and UsageError for what osmia does elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from osmia.cli.bpftool_maps import event_pipe, map_create, map_entry
from osmia.cli.bpftool_programs import (
    prog_attach,
    prog_dump,
    prog_load,
    prog_profile,
    prog_run,
    tracelog,
)
from osmia.cli.bpftool_reading import Unknown, Words, keyword, no_more, number, pin, targets

Rewriter = Callable[[str, str, Words], list[str]]

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
