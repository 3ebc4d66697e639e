"""The BPF helpers that the vm has: what each takes, and how it runs."""

from osmia.vm.helpers.table import Argument, Helper, Invocation, helper, supported

__all__ = ["Argument", "Helper", "Invocation", "helper", "supported"]
