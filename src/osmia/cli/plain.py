"""Command lines that need no parser: lists of what the kernel holds, and one entry of a map.

They have a verb, at most one thing, and letters for how to print it; scripts and monitors ask for
them every few seconds. click's import alone takes longer than all of that, so such a line is read
here and click never sees it. What has any other word, and what is wrong, is left to click.
"""

from __future__ import annotations

import gc
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
_LOOK_UP = "osmia.cli.map_lookup:look_up"
_JSON, _PRETTY, _PINS = ("-j", "--json"), ("-p", "--pretty"), ("-f", "--pins")
#: How something is named, before its id, name, tag or path.
_TARGETS = ("id", "name", "tag", "pinned")


def done(arguments: Sequence[str], output: Output) -> bool:
    """Whether the line was one of these, and is done; whoever parses it does it else."""
    words = [word for word in arguments if word not in (*_JSON, *_PRETTY, *_PINS)]
    if len(words) < 2 or any(word.startswith("-") for word in words):
        return False
    options = [word for word in arguments if word not in words]
    pins = [word for word in options if word in _PINS]
    noun, verb, *named = words
    if noun in LISTS and verb in ("list", "show") and _is_one_thing(named):
        if any(word in _PINS for word in arguments[: arguments.index(verb)]):
            return False
        function, further = LISTS[noun], [bool(pins)]
    elif [noun, verb] == ["map", "lookup"] and _is_an_entry(named) and not pins:
        function, further = _LOOK_UP, []
    else:
        return False
    output.pretty = any(word in _PRETTY for word in options)
    output.json = output.pretty or any(word in _JSON for word in options)
    collecting = gc.isenabled()
    gc.disable()  # modules and rows, none of which is garbage
    try:
        module, _, name = function.partition(":")
        __import__(module)
        getattr(sys.modules[module], name)(output, named, *further)
    except Exception as error:
        import click

        if not isinstance(error, click.UsageError):
            raise
        output.json = output.pretty = False
        return False  # click says it better
    finally:
        if collecting:
            gc.enable()
    return True


def _is_one_thing(words: Sequence[str]) -> bool:
    """Whether words name one thing, or none, as osmia and bpftool do alike."""
    return len(words) < 2 or (len(words) == 2 and words[0] in _TARGETS)


def _is_an_entry(words: Sequence[str]) -> bool:
    """Whether they are a map and a key, in words that osmia and bpftool read alike."""
    return len(words) > 3 and words[0] in _TARGETS and words[2] == "key"
