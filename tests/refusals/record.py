"""Print the logs of all refused programs: `python -m tests.refusals.record >logs/6.18.txt`."""

from __future__ import annotations

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
        print(f"=== {case.name}\n{log.rstrip()}", flush=True)
