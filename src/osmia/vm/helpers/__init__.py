"""The BPF helpers that the vm has: what each takes, and how it runs."""

from osmia.vm.helpers.table import KFUNCS, Argument, Helper, Invocation, helper, supported, variant

__all__ = ["KFUNCS", "Argument", "Helper", "Invocation", "helper", "supported", "variant"]
