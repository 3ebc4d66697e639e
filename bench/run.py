"""Run every benchmark of this directory, one after the other: `make bench`.

With names, only those whose file name contains one of them: `python bench/run.py maps`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(wanted: list[str]) -> int:
    """Run them; the number that failed."""
    failed = 0
    for script in sorted(Path(__file__).parent.glob("bench_*.py")):
        if wanted and not any(name in script.name for name in wanted):
            continue
        print(f"\n{script.stem.removeprefix('bench_')}", flush=True)
        failed += subprocess.run([sys.executable, str(script)], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
