"""Groups of objects made by chance: what one of them declares, another defines."""

from __future__ import annotations

import random
from collections import defaultdict

from .linking import LICENSE, PLAIN, Group

SECTIONS = ("", 'SEC(".data.own")', 'SEC(".rodata.own")', 'SEC(".bss.own")')
TYPES = ("int", "long", "short", "unsigned char")


class _Maker:
    """Makes one group; the same seed makes the same."""

    def __init__(self, count: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = count
        self.texts: dict[int, list[str]] = defaultdict(list)
        self.uses: dict[int, list[str]] = defaultdict(list)

    def make(self) -> Group:
        for number in range(self.count):
            self._local(number)
        for number in range(self.count + 2):
            self._function(f"f{number}")
            self._variable(f"v{number}")
        for number in range(1 + self.count // 3):
            self._map(f"m{number}")
        sources = {}
        for number in range(self.count):
            body = "\n\t".join(self.uses[number])
            program = f'SEC("{self._section()}") int p{number}(void *ctx)\n{{\n\tlong sum = 0;\n'
            text = "\n".join(self.texts[number])
            sources[f"o{number}"] = (
                f"{PLAIN}{LICENSE}{text}\n{program}\t{body}\n\treturn sum & 1;\n}}\n"
            )
        return Group(f"generated {self.count}", sources)

    def _section(self) -> str:
        return self.random.choice(
            ("xdp", "tc", "socket", "raw_tp/sched_switch", "cgroup_skb/egress")
        )

    def _objects(self) -> list[int]:
        count = self.random.randint(1, min(4, self.count))
        return sorted(self.random.sample(range(self.count), count))

    def _local(self, number: int) -> None:
        start = self.random.randrange(100)
        self.texts[number] += [
            f"static volatile int local = {start};",
            f'static volatile const char text[] = "{"t" * (1 + start % 7)}";',
            "static __noinline int helper(int value)\n"
            f"{{ return value * {start + 2} + bpf_get_prandom_u32(); }}",
        ]
        self.uses[number] += ["sum += local++ + text[0] + helper(sum);"]

    def _function(self, name: str) -> None:
        """One object defines it, others declare it or have a weak definition. libbpf wants no
        strong declaration before a weak definition that loses."""
        objects = self._objects()
        owner = self.random.choice(objects)
        weak = self.random.random() < 0.5
        hidden = "__hidden " if self.random.random() < 0.2 else ""
        strong_seen = False
        for each in objects:
            number = self.random.randrange(1000)
            definition = f"int {name}(int value) {{ return value + {number}; }}"
            if each == owner:
                strength = "__weak " if weak and not strong_seen else ""
                self.texts[each].append(f"{hidden}{strength}__noinline {definition}")
            elif weak and not strong_seen and self.random.random() < 0.5:
                self.texts[each].append(f"__weak __noinline {definition}")
            else:
                attribute = "" if each > owner else " __weak"
                self.texts[each].append(f"extern int {name}(int value){attribute};")
                strong_seen = strong_seen or not attribute
            self.uses[each].append(f"sum += {name}({number});")

    def _variable(self, name: str) -> None:
        objects = self._objects()
        kind, section = self.random.choice(TYPES), self.random.choice(SECTIONS)
        # In a section of its own libbpf wants the definition before all declarations.
        owner = objects[0] if section else self.random.choice(objects)
        const = "const volatile " if "rodata" in section else ""
        for each in objects:
            number = self.random.randrange(1, 100)
            value = "" if "bss" in section else f" = {number}"
            storage = "" if each == owner else "extern "
            initial = value if each == owner else ""
            self.texts[each].append(f"{storage}{const}{kind} {name} {section}{initial};")
            self.uses[each].append(f"sum += {name};" if const else f"sum += {name}++;")

    def _map(self, name: str) -> None:
        objects = self._objects()
        kind, entries = self.random.choice(("HASH", "ARRAY", "PERCPU_ARRAY")), 1 + len(name)
        for each in objects:
            storage = "" if each == objects[0] else "extern "  # libbpf wants it before the others
            self.texts[each].append(
                f"{storage}struct {{ __uint(type, BPF_MAP_TYPE_{kind}); __uint(max_entries,"
                f' {entries}); __type(key, int); __type(value, long); }} {name} SEC(".maps");'
            )
            self.uses[each].append(
                f"{{ int key = {entries - 1}; sum += bpf_map_lookup_elem(&{name}, &key) != 0; }}"
            )


def generated_group(count: int, seed: int) -> Group:
    """`count` objects that all link together."""
    return _Maker(count, seed).make()
