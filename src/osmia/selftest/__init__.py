"""Conformance cases: objects compiled on the spot, loaded by osmia, and checked.

For whoever wants to know whether osmia works on this kernel: `osmia selftest`.

>>> for result in run_cases(find_cases()):
...     print(result.case.name, result.outcome)
"""

from osmia.selftest.cases import CASES, find_cases
from osmia.selftest.runner import Case, Outcome, Result, Skip, Workbench, run_cases
from osmia.selftest.tap import report

__all__ = [
    "CASES",
    "Case",
    "Outcome",
    "Result",
    "Skip",
    "Workbench",
    "find_cases",
    "report",
    "run_cases",
]
