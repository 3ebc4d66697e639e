"""The kernel's keyrings, and certificates in them: add_key(2)."""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import CDLL, c_char_p, c_int, c_long, c_size_t

from osmia.errors import KernelError, NotSupportedError

_syscall = CDLL(None, use_errno=True).syscall
_syscall.restype = c_long
_syscall.argtypes = (c_long, c_char_p, c_char_p, c_char_p, c_size_t, c_int)

#: The numbers of add_key(2), by machine.
_MACHINES = {"x86_64": 248, "aarch64": 217, "riscv64": 217}

#: What `keyring_id` of BPF_PROG_LOAD takes: the system's own keyrings, which only who builds the
#: kernel or boots the machine fills, and KEY_SPEC_* of include/uapi/linux/keyctl.h.
KEYRINGS = {
    "builtin": 0,
    "secondary": 1,
    "platform": 2,
    "thread": -1,
    "process": -2,
    "session": -3,
    "user": -4,
    "user-session": -5,
    "bpf": -9,  # that of BPF programs alone, of the newest kernels
}
#: Numbers below are no keys' but those of the system's keyrings.
_FIRST_SERIAL = 3


def keyring_number(keyring: str | int) -> int:
    """The number of a keyring: by its name in KEYRINGS, or a key's or keyring's serial number,
    which may be text. ValueError for neither."""
    if isinstance(keyring, str):
        if keyring in KEYRINGS:
            return KEYRINGS[keyring]
        if not keyring.isascii() or not keyring.isdecimal():
            raise ValueError(f"{keyring!r} is no keyring: {', '.join(KEYRINGS)}, or a number")
    number = int(keyring)
    if not (number in KEYRINGS.values() or _FIRST_SERIAL <= number < 1 << 31):
        raise ValueError(f"{number} is no keyring's number")
    return number


def add_certificate(certificate: bytes, keyring: str | int = "session", name: str = "") -> int:
    """Put an X.509 certificate (DER) into a keyring, where the kernel finds it for signatures
    (since 4.7); the key's serial number. A certificate that is there is renewed.

    ValueError for what is no keyring; KernelError for what the kernel refuses: EBADMSG for what
    is no certificate, EKEYREJECTED where the keyring takes none.
    """
    number = keyring_number(keyring)
    call = _MACHINES.get(os.uname().machine)
    if call is None:
        raise NotSupportedError(f"add_key(2) is not known on this machine ({os.uname().machine})")
    serial: int = _syscall(
        call, b"asymmetric", name.encode() or None, certificate, len(certificate), number
    )
    if serial >= 0:
        return serial
    error = ctypes.get_errno()
    what = f"put a certificate into the keyring {keyring}"
    if error == errno.ENODEV or error == errno.ENOSYS:
        raise NotSupportedError(f"{what}: this kernel has no keys of certificates")
    raise KernelError(error, what)
