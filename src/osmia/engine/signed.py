"""Loads of what must be signed: the object, and all that comes into it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osmia.engine.importing import KERNEL, FileProvider, LoadedProvider
from osmia.engine.loaded import LoadedObject
from osmia.errors import NotSignedError
from osmia.object.signatures import PublicKey, verify

if TYPE_CHECKING:
    from osmia.object import Object


def signed_options(
    obj: Object, keys: Sequence[PublicKey], options: Mapping[str, Any], text: str | None = None
) -> dict[str, Any]:
    """The options of a load of `obj` with which it loads only what was signed by one of `keys`;
    otherwise NotSignedError. `text` has the object's signatures, see `verify`.

    What `imports=` names must be signed as it is, each by one of the keys: files are read here, and
    not again. `passes=` would make something else of the object, and are refused.
    """
    owner = obj.path or obj.name
    verify_by_one(obj, keys, text)
    if options.get("passes"):
        raise NotSignedError(
            f"{owner} is signed, and passes= would change it: sign what they make of it"
        )
    if options.get("keyring") is not None:
        raise NotSignedError(
            f"{owner} is signed, and keyring= would load what its signed loader has in its place: "
            "require one of both signatures"
        )
    if not options.get("imports"):
        return dict(options)
    reader = _Reader(owner, keys)
    return {**options, "imports": reader.read(options["imports"])}


def verify_by_one(obj: Object, keys: Sequence[PublicKey], text: str | None = None) -> None:
    """Return if one of the keys' owners signed the object; otherwise NotSignedError."""
    *others, last = keys
    for key in others:
        try:
            verify(obj, key, text)
        except NotSignedError:
            continue
        return
    verify(obj, last, text)


class _Reader:
    """Makes a provider once of each file, and looks at all."""

    def __init__(self, owner: str, keys: Sequence[PublicKey]) -> None:
        self._owner, self._keys = owner, keys
        self._files: dict[str, FileProvider] = {}

    def read(self, given: Any) -> Any:
        if isinstance(given, Mapping):
            return {name: self._signed(source) for name, source in given.items()}
        if isinstance(given, str | os.PathLike) or not hasattr(given, "__iter__"):
            return given  # the load says what is wrong
        return [
            self.read(part) if isinstance(part, Mapping) else self._signed(part) for part in given
        ]

    def _signed(self, source: Any) -> Any:
        if isinstance(source, str | os.PathLike) and source != KERNEL:
            path = os.fspath(source)
            source = self._files.get(path) or self._files.setdefault(path, FileProvider(path))
        provider = LoadedProvider(source) if isinstance(source, LoadedObject) else source
        obj = getattr(provider, "object", None)
        if obj is None:
            raise NotSignedError(
                f"{self._owner}: what imports= takes from {source!r:.80} has no signature"
            )
        verify_by_one(obj, self._keys)
        return source
