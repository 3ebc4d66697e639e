"""Command lines that need no parser: the lists of what the kernel holds.

A list is asked for with a verb, at most one thing, and letters for how to print it; scripts and
monitors ask every few seconds. click's import alone takes longer than all of that, so such a line
is read here and click never sees it. What has any other word, and what is wrong, is left to click.
"""

from __future__ import annotations

import sys

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osmia.cli.output import Output

#: The module and the function of each list; it takes the output, words and whether `-f` is there.
LISTS = {
    "prog": "osmia.cli.prog_list:list_programs",
    "map": "osmia.cli.map_list:list_maps",
    "link": "osmia.cli.link_list:list_links",
}
_VERBS = ("list", "show")
_JSON, _PRETTY, _PINS = ("-j", "--json"), ("-p", "--pretty"), ("-f", "--pins")
#: How something is named, before its id, name, tag or path.
_TARGETS = ("id", "name", "tag", "pinned")


def done(arguments: Sequence[str], output: Output) -> bool:
    """Whether the line was one of these, and is done; whoever parses it does it else."""
    words = [word for word in arguments if word not in (*_JSON, *_PRETTY, *_PINS)]
    if len(words) < 2 or words[0] not in LISTS or words[1] not in _VERBS:
        return False
    noun, verb, *named = words
    before = arguments[: arguments.index(verb)]
    if not _are_plain(named) or any(word in _PINS for word in before):
        return False
    options = [word for word in arguments if word not in words]
    output.pretty = any(word in _PRETTY for word in options)
    output.json = output.pretty or any(word in _JSON for word in options)
    module, _, name = LISTS[noun].partition(":")
    __import__(module)
    try:
        getattr(sys.modules[module], name)(output, tuple(named), any(w in _PINS for w in options))
    except Exception as error:
        import click

        if not isinstance(error, click.UsageError):
            raise
        output.json = output.pretty = False
        return False  # click says it better
    return True


def _are_plain(named: Sequence[str]) -> bool:
    """Whether words name one thing, or none, as osmia and bpftool do alike."""
    if any(word.startswith("-") for word in named):
        return False
    return len(named) < 2 or (len(named) == 2 and named[0] in _TARGETS)
