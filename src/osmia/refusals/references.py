"""Refusals about what programs acquire and must give back, and about locks."""

from __future__ import annotations

from osmia.refusals.conditions import acquired_by, at_call, at_call_of
from osmia.refusals.kind import Family, Refusal

_HELPERS = "bpf-helpers(7)"
_KFUNCS = "Documentation/bpf/kfuncs.rst"
_LEAK = r"Unreleased reference|reference leak"

REFERENCES = Family(
    "References and locks",
    (
        Refusal(
            "reference-leak-tail-call",
            r"tail_call would lead to reference leak",
            "the tail call ends this program, and what it acquired would never be released",
            "release it before the tail call",
            rule=_HELPERS,
        ),
        Refusal(
            "iterator-leak",
            _LEAK,
            "the iterator must be destroyed: what was acquired must be released on every path",
            "call bpf_iter_…_destroy behind the loop, also where it is left early (bpf_for and "
            "bpf_for_each do)",
            when=acquired_by(r"^bpf_iter_\w+_new$"),
            since="6.4",
            rule=_KFUNCS,
        ),
        Refusal(
            "dynptr-leak",
            _LEAK,
            "the dynptr's record must be released: submitted or discarded on every path, also "
            "where reserving it failed",
            "call bpf_ringbuf_discard_dynptr on the path that returns an error too",
            when=acquired_by(r"^bpf_ringbuf_reserve_dynptr$"),
            since="6.1",
            rule="Documentation/bpf/ringbuf.rst",
        ),
        Refusal(
            "reference-leak",
            _LEAK,
            "what a helper or kfunc acquired must be released on every path, and one path ends "
            "without that",
            "release it (bpf_sk_release, bpf_ringbuf_submit or discard, bpf_task_release, …) "
            "before each return; not where it is NULL",
            rule=_HELPERS,
        ),
        Refusal(
            "release-not-acquired",
            r"(?P<register>R\d+) must be referenced when passed to release|"
            r"arg \d+ is an unacquired reference|reference has not been acquired before",
            "only what the program acquired itself can be released, and {register} was not: it "
            "belongs to somebody else, or has been released",
            "leave the release out",
            rule=_HELPERS,
        ),
        Refusal(
            "release-offset",
            r"(?P<register>R\d+) must have zero offset when passed to release|"
            r"dereference of modified (?!ctx)\w+ ptr (?P<other>R\d+)",
            "{call} wants the pointer as it was acquired, and something was added to it",
            "keep the first pointer and pass that",
            when=at_call,
            rule=_HELPERS,
        ),
        Refusal(
            "lock-exit",
            r"bpf_spin_unlock is missing|cannot be used inside bpf_spin_lock-ed region|"
            r"bpf_spin_lock-ed region",
            "the function ends on a path that holds the lock",
            "call bpf_spin_unlock before each return",
            rule=_HELPERS,
        ),
        Refusal(
            "preempt-exit",
            r"cannot be used inside bpf_preempt_disable-ed region|bpf_preempt_enable.* is missing",
            "the function ends on a path where preemption is still disabled",
            "call bpf_preempt_enable before each return",
            since="6.10",
            rule=_KFUNCS,
        ),
        Refusal(
            "irq-exit",
            r"cannot be used inside bpf_local_irq_save-ed region",
            "the function ends on a path where interrupts are still off",
            "call bpf_local_irq_restore before each return",
            since="6.14",
            rule=_KFUNCS,
        ),
        Refusal(
            "rcu-exit",
            r"cannot be used inside bpf_rcu_read_lock-ed region|bpf_rcu_read_unlock is missing",
            "the function ends on a path that is still in the RCU read section",
            "call bpf_rcu_read_unlock before each return",
            since="6.2",
            rule=_KFUNCS,
        ),
        Refusal(
            "sleep-in-critical-section",
            r"(?:in|within) rcu_read_lock region",
            "what sleeps cannot be called between bpf_rcu_read_lock and bpf_rcu_read_unlock",
            "call it after bpf_rcu_read_unlock",
            since="6.2",
            rule=_KFUNCS,
        ),
        Refusal(
            "sleep-without-preemption",
            r"in non-preemptible region|within non-preemptible|IRQ-disabled region",
            "what sleeps cannot be called while preemption or interrupts are disabled",
            "call it after bpf_preempt_enable or bpf_local_irq_restore",
            since="6.10",
            rule=_KFUNCS,
        ),
        Refusal(
            "lock-twice",
            r"function calls are not allowed while holding a lock|"
            r"Locking two bpf_spin_locks are not allowed",
            "the program holds a bpf_spin_lock already, and it may hold one at a time",
            "unlock the first before the second is taken",
            when=at_call_of(r"^bpf_spin_lock$"),
            rule=_HELPERS,
        ),
        Refusal(
            "lock-call",
            r"function calls are not allowed while holding a lock",
            "between bpf_spin_lock and bpf_spin_unlock no function may be called",
            "call it before the lock is taken, keep what it returns in a variable, or after the "
            "unlock",
            rule=_HELPERS,
        ),
        Refusal(
            "unlock-without-lock",
            r"bpf_spin_unlock without taking a lock|bpf_spin_unlock of different lock",
            "the lock is released that this path does not hold",
            "pair the calls: one bpf_spin_lock, one bpf_spin_unlock of the same lock on each path",
            rule=_HELPERS,
        ),
        Refusal(
            "lock-program-type",
            r"(?:tracing|socket filter) progs cannot use bpf_(?P<what>\w+) yet",
            "programs of this type may not use maps with a bpf_{what}",
            "count with atomic operations or per-CPU maps, or use another program type",
            rule=_HELPERS,
        ),
        Refusal(
            "lock-missing",
            r"map '(?P<map>[^']*)' (?:has no valid bpf_spin_lock|"
            r"doesn't have 'struct bpf_spin_lock')",
            "the value's type of map '{map}' has no struct bpf_spin_lock",
            "put one into the value's type, as a field of its own",
            rule=_HELPERS,
        ),
        Refusal(
            "lock-offset",
            r"off -?\d+ doesn't point to 'struct (?P<type>bpf_\w+)'",
            "the address is of another field of the value than its {type}",
            "pass the address of that field itself: &value->lock",
            rule=_HELPERS,
        ),
    ),
)
