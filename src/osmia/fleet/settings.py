"""What the agent of a host accepts: the host's to say, not its clients'.

`/etc/osmia/fleet.toml`, or the file that `OSMIA_FLEET_CONFIG` names, which must be there then:

    require_signature = ["release.pem.pub", "/etc/osmia/keys/team.pem.pub"]   # one of these keys

Paths are relative to the file's directory. It is read for each load, so what changes there counts
for the next one. The file, and the keys', must be owned by root or by the agent's user, and
writable by nobody else. A file that is wrong loads nothing.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from osmia.errors import OsmiaError
from osmia.fleet.wishes import Wish
from osmia.records import dataclass

#: Where the settings are, and the variable that says elsewhere.
PLACE = Path("/etc/osmia/fleet.toml")
VARIABLE = "OSMIA_FLEET_CONFIG"
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """`keys` are public keys (PEM), one of which must have signed an object; none: any object."""

    keys: tuple[bytes, ...] = ()


def options_of(wish: Wish) -> dict[str, Any]:
    """With which options a wish's object is loaded on this host. OsmiaError (NotSignedError) where
    it is not what the client named, or not signed as this host, or the client, requires."""
    digest = wish.obj.digest
    if digest != wish.digest:
        raise OsmiaError(
            f"object {wish.name!r} is not the one that was wanted: its digest here is "
            f"{digest[:16]}…, not {wish.digest[:16]}… (it was changed on its way, or osmia here is "
            "of another version)"
        )
    options = dict(wish.options)
    asked = options.pop("require_signature", None)
    required = [list(keys) for keys in (read_settings().keys, [asked] if asked else []) if keys]
    if required:
        from osmia.engine.signed import signed_options

        text = wish.signatures.get(digest, "")
        for keys in required:
            options = signed_options(wish.obj, keys, options, text)
    return options


def read_settings() -> Settings:
    """This host's settings; for wrong ones an OsmiaError that names file and key."""
    named = os.environ.get(VARIABLE)
    path = Path(named) if named else PLACE
    content = _read(path, missing=not named)
    if content is None:
        return Settings()
    import tomllib

    try:
        said = tomllib.loads(content.decode())
    except ValueError as error:  # UnicodeDecodeError is one
        raise OsmiaError(f"{path}: {error}") from None
    for key in said:
        if key != "require_signature":
            raise OsmiaError(f"{path}: there is no setting {key!r}: require_signature")
    keys = said.get("require_signature", [])
    keys = [keys] if isinstance(keys, str) else keys
    if not isinstance(keys, list) or not all(isinstance(each, str) for each in keys):
        raise OsmiaError(
            f"{path}: require_signature is a file with a public key, or a list of them"
        )
    if "require_signature" in said and not keys:
        raise OsmiaError(f"{path}: require_signature has no key: leave it out to require none")
    return Settings(tuple(_key(path, each) for each in keys))


def _key(path: Path, name: str) -> bytes:
    from osmia.object.signatures import public_key

    content = _read(path.parent / name) or b""
    try:
        if b"-----BEGIN" not in content:  # 32 bytes of anything are a key
            raise ValueError("the file: it is no PEM")
        return public_key(content).public_bytes_raw()
    except ValueError as error:
        why = str(error).partition(": ")[2]
        raise OsmiaError(
            f"{path}: require_signature: {name} is no public Ed25519 key: {why}"
        ) from None


def _read(path: Path, *, missing: bool = False) -> bytes | None:
    """A file's content, where nobody else can write it; with `missing` None where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if missing and not path.is_symlink():  # one that leads nowhere is there
            return None
        raise OsmiaError(f"{path}: there is no such file") from None
    except OSError as error:
        raise OsmiaError(f"{path}: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OsmiaError(f"{path} is no regular file")
        if found.st_uid not in (0, os.geteuid()):
            raise OsmiaError(f"{path} is owned by user {found.st_uid}: it must be root's or ours")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            mode = stat.S_IMODE(found.st_mode)
            raise OsmiaError(f"{path} can be written by others (mode {mode:o}): chmod go-w")
        if found.st_size > _LARGEST:  # what is behind that counts, too
            raise OsmiaError(f"{path} is larger than {_LARGEST:,} bytes")
        return os.read(descriptor, _LARGEST)  # a regular file's are there at once
    finally:
        os.close(descriptor)
