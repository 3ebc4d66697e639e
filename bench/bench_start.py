"""Start-up: what imports and short commands cost a new process, over a bare interpreter.

    python bench/bench_start.py [ROUNDS]

CPU time of whole processes in ms, the best of several rounds, with compiled modules in place
(PYTHONDONTWRITEBYTECODE is taken out of the environment).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

_ROUNDS = 15
_OSMIA = Path(sys.executable).with_name("osmia")
_FIND = "from osmia.btf import kernel_btf; kernel_btf().find('task_struct')"

#: What is measured, and its bar over bare Python in ms where there is one.
_STARTS: dict[str, tuple[list[str], float | None]] = {
    "import osmia": ([sys.executable, "-c", "import osmia"], 30),
    "osmia.open, imported": ([sys.executable, "-c", "import osmia; osmia.open"], None),
    "osmia.kernel.load.loader": ([sys.executable, "-c", "import osmia.kernel.load.loader"], None),
    "a kernel type found by name": ([sys.executable, "-c", _FIND], None),
    "osmia --version": ([str(_OSMIA), "--version"], 80),
    "osmia --help": ([str(_OSMIA), "--help"], None),
}


def main(rounds: int) -> None:
    bare = best([sys.executable, "-c", "pass"], rounds)
    print(f"  {'bare Python':<34} {bare:>8.1f} ms")
    for name, (command, bar) in _STARTS.items():
        over = best(command, rounds) - bare
        told = f"   (bar: {bar:.0f})" if bar is not None else ""
        print(f"  {name:<34} {over:>+8.1f} ms{told}")


def best(command: list[str], rounds: int) -> float:
    """The least CPU time of a run, in ms; the first run compiles and is not counted."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(rounds + 1):
        before = _children()
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        times.append(_children() - before)
    return 1e3 * min(times[1:])


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS)
