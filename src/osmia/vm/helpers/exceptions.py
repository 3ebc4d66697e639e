"""Exceptions: a run that ends at once, from however deep a call (`osmia.vm.exceptions`)."""

from __future__ import annotations

from osmia.vm.errors import Thrown
from osmia.vm.helpers.table import Argument, Invocation, helper


@helper("throw", Argument.ANY, tells_program=True)
def throw(call: Invocation, cookie: int) -> int:
    """bpf_throw, since 6.7."""
    raise Thrown(call.program(), cookie)
