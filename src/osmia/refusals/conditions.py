"""What tells refusals of one complaint apart: the instruction, and what was before it."""

from __future__ import annotations

import re

from osmia.refusals.history import Step, callee
from osmia.refusals.kind import Condition, Refused

#: Helpers after which the kernel may have moved the packet (`bpf_helper_changes_pkt_data`).
_MOVES_PACKET = re.compile(
    r"bpf_(?:xdp_adjust_\w+|skb_(?:vlan_push|vlan_pop|store_bytes|change_\w+|pull_data|"
    r"adjust_room)|clone_redirect|l[34]_csum_replace|msg_(?:pull|push|pop)_data|lwt_\w+|"
    r"store_hdr_opt|reserve_hdr_opt|load_hdr_opt|tail_call|sock_ops_\w+|xdp_pull_data)"
)
_RELEASES = re.compile(r"release|submit|discard|drop|_put|unlock|destroy|dtor|free|_xchg")
_NOT_NUMBERS = re.compile(
    r"^(?:\w*ptr_\w*|map_value|\w*mem(?:_or_null)?|\w*sock(?:_or_null|_common)?|dynptr\w*)$"
)
_LOAD = re.compile(r"^[rw]\d+ = \*\([us](8|16|32|64) \*\)")
_STORE = re.compile(r"^(?:lock )?\*\(u\d+ \*\)\(r\d+ [+-]\d+\) ")
_CONSTANT = re.compile(r"^[rw]\d+ = (?:0x)?0(?: ll)?$")


def _line(refused: Refused, step: Step) -> str:
    source = refused.history.line_of(step)
    return f" in line {source[0]}" if source is not None else ""


def packet_moved(refused: Refused) -> dict[str, str] | None:
    """The register was a packet pointer until a helper was called that may move the packet."""
    origin = refused.history.origin(refused.facts["register"])
    if origin.truncated or not {"pkt", "pkt_meta", "pkt_end"} & set(origin.known):
        return None
    calls = [step for step in origin.calls if _MOVES_PACKET.match(callee(step.text))]
    if not calls:
        return None
    return {"call": callee(calls[0].text), "where": _line(refused, calls[0])}


def released(refused: Refused) -> dict[str, str] | None:
    """The register was a pointer until a call gave back what it pointed to."""
    register = refused.facts.get("register") or f"R{int(refused.facts['argument']) + 1}"
    origin = refused.history.origin(register)
    if origin.truncated or not any(map(_NOT_NUMBERS.match, origin.known)):
        return None
    calls = [step for step in origin.calls if _RELEASES.search(callee(step.text))]
    if not calls:
        return None
    return {"call": callee(calls[0].text), "where": _line(refused, calls[0])}


def truncated(refused: Refused) -> dict[str, str] | None:
    """The register was a pointer until an instruction for 32 bits took its upper half."""
    origin = refused.history.origin(refused.facts["register"])
    pointers = {"ctx", "fp", "map_value", "pkt", "mem", "ringbuf_mem", "sock"} & set(origin.known)
    return {} if origin.truncated and pointers else None


def null(refused: Refused) -> dict[str, str] | None:
    """The register is 0."""
    made = refused.history.origin(refused.facts["register"]).made
    return {} if made is not None and _CONSTANT.match(made.text) else None


def loaded(refused: Refused) -> dict[str, str] | None:
    """The register was loaded from memory."""
    made = refused.history.origin(refused.facts["register"]).made
    if made is None or not _LOAD.match(made.text):
        return None
    return {"where": _line(refused, made)}


def returned(refused: Refused) -> dict[str, str] | None:
    """The register is what a helper or kfunc returned as a number."""
    origin = refused.history.origin(refused.facts["register"])
    if origin.made is None or not origin.callee or not origin.made.text.startswith("call "):
        return None
    if origin.known and any(map(_NOT_NUMBERS.match, origin.known)):
        return None
    return {"call": origin.callee, "where": _line(refused, origin.made)}


def clobbered(refused: Refused) -> dict[str, str] | None:
    """The register is one of R1 to R5, and a call was made after it was written last."""
    made = refused.history.origin(refused.facts["register"]).made
    if made is None or refused.facts["register"] == "R0" or not made.text.startswith("call "):
        return None
    return {"call": callee(made.text), "where": _line(refused, made)}


def argument_of_global(refused: Refused) -> dict[str, str] | None:
    """A global function is verified, and no call returned what the register holds."""
    origin = refused.history.origin(refused.facts["register"])
    validating = refused.history.contains(r"^Validating \w+\(\) func#")
    return {} if validating and not origin.callee else None


def acquired_by(pattern: str) -> Condition:
    """What was not released came from a call of what the regular expression describes."""

    def condition(refused: Refused) -> dict[str, str] | None:
        slot = re.search(r"alloc_insn=(\d+)", refused.message)
        names = {
            callee(step.text)
            for step in refused.history.steps
            if slot and step.slot == int(slot[1])
        }
        return {} if any(re.search(pattern, name) for name in names) else None

    return condition


def at_exit(refused: Refused) -> dict[str, str] | None:
    """The instruction is the function's exit."""
    return {} if refused.history.last == "exit" else None


def at_store(refused: Refused) -> dict[str, str] | None:
    """The instruction writes to memory."""
    return {} if _STORE.match(refused.history.last) else None


def at_call(refused: Refused) -> dict[str, str] | None:
    """The instruction calls a helper or kfunc."""
    name = callee(refused.history.last)
    return {"call": name} if name else None


def past_the_frame(refused: Refused) -> dict[str, str] | None:
    """The instruction calls a helper that is given stack memory up to above the frame."""
    above = int(refused.facts["offset"]) + int(refused.facts["size"]) > 0
    return at_call(refused) if above else None


def at_call_of(pattern: str) -> Condition:
    """The instruction calls something whose name the regular expression describes."""

    def condition(refused: Refused) -> dict[str, str] | None:
        name = callee(refused.history.last)
        return {"call": name} if name and re.search(pattern, name) else None

    return condition


def in_log(pattern: str) -> Condition:
    """A line of the log has this; what its groups find are facts."""

    def condition(refused: Refused) -> dict[str, str] | None:
        found = refused.history.contains(pattern)
        return {k: v for k, v in found.groupdict().items() if v} if found else None

    return condition


def wider_than_32_bits(refused: Refused) -> dict[str, str] | None:
    """The access is of 8 bytes to a context whose fields have 4."""
    return {} if refused.facts.get("size") == "8" and not at_store(refused) else None


def packet_offset_unbounded(refused: Refused) -> dict[str, str] | None:
    """The packet pointer has a variable part that may be over 65,535."""
    register = refused.facts["register"]
    state = refused.history.contains(rf"\b{register}(?:_\w+)?=pkt\([^)]*umax=(0x[0-9a-f]+|\d+)")
    state = state or refused.history.contains(
        rf"\b{register}(?:_\w+)?=pkt\([^)]*smax=umax=(?:\w+=)*(0x[0-9a-f]+|\d+)"
    )
    return {"most": f"{int(state[1], 0):,}"} if state and int(state[1], 0) > 0xFFFF else None


def other_packet_pointer(refused: Refused) -> dict[str, str] | None:
    """The pointer has a variable part, nothing is proved of it, but of another one."""
    if refused.facts["id"] == "0" or refused.facts["proved"] != "0":
        return None
    return {} if refused.history.contains(r"pkt\([^)]*\br=[1-9]") else None
