"""Misspellings and misuses: mypy refuses each line that says `# refused`, with these words."""

from __future__ import annotations

from typing import cast

import osmia
from osmia.vm.hooks import current_line

PACKET = bytes(60)
obj = osmia.open("flows.bpf.o")
kernel = obj.load()
vm = obj.load("vm")
program = cast(osmia.Program, kernel.programs["ingress"])  # of any engine


def names_that_are_not_there() -> None:
    osmia.opne("flows.bpf.o")  # refused: Module has no attribute "opne"
    print(kernel.link)  # refused: "KernelObject" has no attribute "link"
    print(kernel.vm)  # refused: "KernelObject" has no attribute "vm"
    print(vm.programs["ingress"].run(PACKET).retvall)  # refused: has no attribute "retvall"


def options_of_load() -> None:
    obj.load(pin_rot="/sys/fs/bpf")  # refused: "load" of "Object"
    obj.load(log_level="1")  # refused: "load" of "Object"
    obj.load("vm", cpuss=2)  # refused: "load" of "Object"
    obj.load("vm", pin_root="/sys/fs/bpf")  # refused: "load" of "Object"
    obj.load("kernel", vm=osmia.Vm())  # refused: "load" of "Object"
    osmia.Vm(cpus="2")  # refused: Argument "cpus" to "Vm" has incompatible type "str"


def options_of_run() -> None:
    program.run(PACKET, repeet=3)  # refused: Unexpected keyword argument "repeet"
    kernel.programs["ingress"].run(PACKET, hook=current_line)  # refused: expected "Never"
    vm.programs["ingress"].run(PACKET, flags=1)  # refused: expected "Never"
    vm.programs["ingress"].run(PACKET, executor="jitt")  # refused: "Literal['jitt']"; expected


def options_of_attach() -> None:
    program.attach("veth0", mod="generic")  # refused: Unexpected keyword argument "mod"
    program.attach("veth0", mode="genric")  # refused: "Literal['genric']"; expected
    program.attach("veth0", direction="in")  # refused: "Literal['in']"; expected
    program.attach("veth0", before="first")  # refused: has incompatible type "str"
    program.attach("veth0").update("ingress")  # refused: has incompatible type "str"
    kernel.attach(without=3)  # refused: has incompatible type "int"
