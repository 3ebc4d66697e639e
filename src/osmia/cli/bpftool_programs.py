"""The words behind `bpftool prog`, rewritten as osmia's; see `bpftool_grammar`."""

from __future__ import annotations

import click

from osmia.cli.bpftool_reading import Unknown, Words, keyword, no_more, number, options, targets

_HOOKS = ("sk_msg_verdict", "sk_skb_verdict", "sk_skb_stream_verdict", "sk_skb_stream_parser")


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
