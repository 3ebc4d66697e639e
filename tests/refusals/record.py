"""Print the logs of all refused programs: `python -m tests.refusals.record >logs/6.18.txt`."""

from __future__ import annotations

import re

from osmia.errors import OsmiaError, VerifierError

from .cases import cases, release

if __name__ == "__main__":
    for case in cases():
        if case.said("slow") or release() < case.since:
            continue
        try:
            log = case.refusal().log
        except VerifierError as error:
            log = error.log
        except OsmiaError:
            continue  # what this kernel lacks
        told = re.sub(r"\b0xffff[0-9a-f]{12}\b", "0xffff888100000000", log.rstrip())
        print(f"=== {case.name}\n{told}", flush=True)
