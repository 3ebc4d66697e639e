"""bpftool's command lines as osmia's own: abbreviations, options anywhere, keywords for options.

`translated` is asked before click sees the words, and only where they may not be osmia's own
(`application.may_be_bpftools`). What it does not know as bpftool's it leaves as it is; what osmia
does in another way is a usage error that names the command. An abbreviation means what it means
to bpftool, the first command that begins so; where that changes something and others begin so
too, it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

import click

from osmia.cli.application import VERBS
from osmia.cli.bpftool_grammar import REWRITERS
from osmia.cli.bpftool_reading import Unknown

#: bpftool's objects and their commands, in the order in which it looks for abbreviations.
OBJECTS: dict[str, tuple[str, ...]] = {
    "help": (),
    "batch": (),
    "prog": (
        *("show", "list", "help", "dump", "pin", "load", "loadall", "attach", "detach"),
        *("tracelog", "run", "profile"),
    ),
    "map": (
        *("show", "list", "help", "dump", "update", "lookup", "getnext", "delete", "pin"),
        *("event_pipe", "peek", "push", "enqueue", "pop", "dequeue", "freeze", "create"),
    ),
    "link": ("show", "list", "help", "pin", "detach"),
    "cgroup": ("show", "list", "tree", "attach", "detach", "help"),
    "perf": ("show", "list", "help"),
    "net": ("show", "list", "attach", "detach", "help"),
    "feature": ("probe", "list_builtins", "help"),
    "btf": ("show", "list", "help", "dump"),
    "gen": ("object", "skeleton", "subskeleton", "min_core_btf", "help"),
    "struct_ops": ("show", "list", "register", "unregister", "dump", "help"),
    "iter": ("help", "pin"),
    "token": ("show", "list", "help"),
    "version": (),
}
#: What may be meant by a word that begins other commands, too.
_HARMLESS = frozenset(
    [
        "help",
        "show",
        "list",
        "dump",
        "lookup",
        "getnext",
        "peek",
        "tree",
        "tracelog",
        "probe",
        "list_builtins",
        "skeleton",
        "prog",
        "map",
        "link",
        "cgroup",
        "perf",
        "net",
        "feature",
        "gen",
        "struct_ops",
        "token",
        "version",
    ]
)
#: Letters that are options of osmia's own there, and mean what these mean.
_OWN_LETTERS = {
    ("prog", "load"): "p",
    ("prog", "log"): "p",
    ("prog", "profile"): "dm",
    ("iter", "pin"): "p",
    ("gen", "skeleton"): "n",
    ("prog", "list"): "f",
    ("prog", "show"): "f",
    ("map", "list"): "f",
    ("map", "show"): "f",
    ("link", "list"): "f",
    ("link", "show"): "f",
}
_LONG = {
    "json": "j",
    "pretty": "p",
    "debug": "d",
    "bpffs": "f",
    "mapcompat": "m",
    "nomount": "n",
    "legacy": "l",
    "use-loader": "L",
    "sign": "S",
}
_LETTERS = frozenset("jpdfmnlLS")
#: What is loaded by a loader that can be signed.
_SIGNED = (("prog", "load"), ("prog", "loadall"), ("gen", "skeleton"))
_WITH_VALUE = {"-B": "-B", "--base-btf": "-B", "-k": "-k", "-i": "-i"}


def translated(arguments: Sequence[str]) -> list[str]:
    """The words for osmia; UsageError where osmia has no such command, with what does it."""
    front, rest = _leading(arguments)
    if not rest:
        return list(arguments)
    options = _Options()
    front = options.take(front, "")
    noun = _noun(rest[0])
    if noun in ("help", "version"):
        return [f"--{noun}"]
    if noun not in OBJECTS:
        return [*front, *options.front(), *rest]
    between, words = _leading(rest[1:])
    between = options.take(between, "")
    verb = _verb(noun, words[0]) if words else ""
    if verb == "help":
        return ["features" if noun == "feature" else noun, "--help"]
    words = options.take(words[1:], _OWN_LETTERS.get((noun, verb), ""))
    behind = options.behind(noun, verb)
    command = [noun, verb, *words] if verb else [noun]
    rewrite = REWRITERS.get((noun, verb)) or REWRITERS.get((noun, ""))
    if rewrite is not None:
        with suppress(Unknown):  # osmia's own words, or an error that click knows to say
            command = rewrite(noun, verb, words)
    noun, *words = command
    return [*front, *options.front(), noun, *between, *words, *behind]


class _Options:
    """bpftool's options, taken from wherever they stand."""

    def __init__(self) -> None:
        self.letters: set[str] = set()
        self.base: list[str] = []
        self.signer: list[str] = []

    def take(self, words: Sequence[str], own: str) -> list[str]:
        """The words without them; `own` are letters that osmia has for something else."""
        kept: list[str] = []
        left = iter(words)
        for word in left:
            letters = _letters(word)
            if letters and (word.startswith("--") or not letters & set(own)):
                self.letters |= letters
            elif word in _WITH_VALUE and (word != "-i" or self.letters & {"S"}):
                self._with_value(_WITH_VALUE[word], next(left, ""))
            elif word.startswith("--base-btf="):
                self._with_value("-B", word.partition("=")[2])
            else:
                kept.append(word)
        return kept

    def _with_value(self, option: str, value: str) -> None:
        if option == "-B":
            self.base = ["-B", value]
        else:
            self.letters.add("S")
            self.signer += ["--key" if option == "-k" else "--cert", value]

    def front(self) -> list[str]:
        """Those that osmia has too, with its names."""
        names = {"j": "-j", "p": "--pretty", "d": "-v"}
        return [name for letter, name in names.items() if letter in self.letters]

    def behind(self, noun: str, verb: str) -> list[str]:
        """Those that belong to one command; UsageError for what osmia does not do."""
        if "S" in self.letters and (noun, verb) not in _SIGNED:
            raise click.UsageError("-S is for `prog load` and `gen skeleton`")
        if "S" in self.letters and len(self.signer) != 4:
            raise click.UsageError("-S goes with -k KEY and -i CERTIFICATE")
        if "L" in self.letters and noun == "prog" and "S" not in self.letters:
            raise click.UsageError(
                "-L: osmia loads by itself; `osmia gen skeleton -L` writes what loads by a program"
            )
        behind = []
        if "f" in self.letters and noun in ("prog", "map", "link") and verb in ("show", "list"):
            behind.append("-f")
        if self.letters & {"L", "S"} and (noun, verb) == ("gen", "skeleton"):
            behind.append("-L")
        behind += self.signer
        return behind + (self.base if (noun, verb) == ("btf", "dump") else [])


def _letters(word: str) -> set[str]:
    """bpftool's flags in a word, by their letters; none in another word."""
    if word.startswith("--"):
        return {_LONG[word[2:]]} if word[2:] in _LONG else set()
    found = set(word[1:]) if re.fullmatch(r"-[a-zA-Z]+", word) else set()
    return found if found <= _LETTERS else set()


def _leading(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Options before the first word, with their values, and the rest."""
    index = 0
    while index < len(arguments) and arguments[index].startswith("-"):
        index += 2 if arguments[index] in ("--color", *_WITH_VALUE) else 1
    return list(arguments[:index]), list(arguments[index:])


def _noun(word: str) -> str:
    return word if word in VERBS or word in OBJECTS else _expanded(word, tuple(OBJECTS))


def _verb(noun: str, word: str) -> str:
    known = OBJECTS.get(noun, ())
    if word.startswith("-") or not known or word in known:
        return word
    return _expanded(word, known, noun)


def _expanded(word: str, names: Sequence[str], noun: str = "") -> str:
    """What an abbreviation means; the word itself where it is none."""
    meant = [name for name in names if name.startswith(word)]
    if not meant:
        return word
    if len(meant) > 1 and meant[0] not in _HARMLESS:
        which = " or ".join(f"{noun} {name}".strip() for name in meant)
        raise click.UsageError(f"{f'{noun} {word}'.strip()!r} may be {which}: say which")
    return meant[0]
