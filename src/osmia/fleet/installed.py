"""An object on this host: loaded, attached where it is wanted, changed, upgraded, given up."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from osmia.errors import NotSupportedError, OsmiaError
from osmia.fleet.settings import options_of
from osmia.fleet.targets import identity_of, matching
from osmia.fleet.values import Found, put_back, set_values
from osmia.fleet.wishes import Attachment, Wish, checked_name
from osmia.records import replace

if TYPE_CHECKING:
    from osmia.engine.link import Link
    from osmia.engine.loaded import LoadedObject
    from osmia.engine.maps import Map


#: Attachments by what they are: (which of the wish's, the target it means here).
Key = tuple[Attachment, str]


class Installed:
    """What a wish is on this host. Every method leaves it as it was, where it fails."""

    def __init__(self, wish: Wish, pins: Path) -> None:
        """Load it, with what an agent before this one left pinned; attach nothing yet."""
        self.pins = pins / checked_name(wish.name)
        self.links: dict[Key, Link] = {}
        self._identities: dict[Key, int] = {}  # of what the links are on
        self.before: tuple[Wish, LoadedObject, Found] | None = None  # while an upgrade is on trial,
        self.since: float | None = None  # which began then
        self._found = Found({}, {})  # by the last wish
        self.loaded = self._load(wish, lambda: self._pinned_maps(wish) if wish.pins else {})
        self.wish = replace(wish, attachments=(), data={}, entries={})
        try:
            if wish.pins:
                self._pin_maps(self.loaded)
        except BaseException:
            self.loaded.close()
            raise

    def apply(self, wish: Wish) -> dict[str, list[str]]:
        """Make it what is wanted; the targets by program where it is attached then. An upgrade that
        is on trial is over."""
        if wish.generation < self.wish.generation or wish.digest != self.wish.digest:
            self.roll_back()
        elif self.before is not None:
            self.settle()
        if wish.digest != self.wish.digest:
            self.upgrade(wish)
            self.settle()
        self._attach(wish)
        self._set(wish)
        self.wish = wish
        return self.targets()

    def keep_up(self) -> None:
        """Attach to what came since, and detach from what went."""
        self._attach(self.wish)

    def targets(self) -> dict[str, list[str]]:
        """Where it is attached: targets by program, "" for what a section says."""
        found: dict[str, list[str]] = {}
        for attachment, target in self.links:
            found.setdefault(attachment.program, []).append(target)
        return found

    def upgrade(
        self, wish: Wish, before_it_moves: Callable[[LoadedObject], object] = lambda loaded: None
    ) -> None:
        """Put the programs of another object into the places of this one's, whose maps it takes
        over; this one is kept until `settle` or `roll_back`. `before_it_moves` looks at the new
        one when nothing runs it yet, and raises where it shall not."""
        self.roll_back()  # of who began an upgrade and did not come to its end
        shared = {name: held for name, held in self.loaded.maps.items() if name in wish.obj.maps}
        loaded = self._load(wish, lambda: shared)
        found = Found({}, {})
        try:
            # All variables, as not all are shared; and entries that this host does not have yet.
            set_values(loaded, replace(self.wish, data={}), wish, found)
            before_it_moves(loaded)
            self._move_links(loaded)
        except BaseException:
            with loaded:
                put_back(loaded, found)
            raise
        self.before, self.since = (self.wish, self.loaded, found), time.time()
        self.loaded, self.wish = loaded, wish

    def settle(self) -> None:
        """The object before an upgrade is wanted no more, nor what was set before the last wish."""
        self._found = Found({}, {})
        if self.before is not None:
            _, old, _ = self.before
            self.before = self.since = None
            old.close()
            if self.wish.pins:
                self._pin_maps(self.loaded)

    def roll_back(self) -> None:
        """The object before an upgrade is what runs again."""
        if self.before is None:
            return
        wish, old, found = self.before
        self._move_links(old)
        put_back(self.loaded, found)
        new, self.loaded, self.wish = self.loaded, old, wish
        self.before = self.since = None
        new.close()

    def close(self, *, keep_pins: bool) -> None:
        """Give it up; with `keep_pins` what is pinned goes on without an agent."""
        with ExitStack() as everything:
            if self.wish.pins and not keep_pins:
                everything.callback(shutil.rmtree, self.pins, ignore_errors=True)
            everything.callback(self.loaded.close)
            everything.callback(self.settle)
            for link in self.links.values():
                everything.callback(link.close)
            self.links = {}

    def _load(self, wish: Wish, find_maps: Callable[[], dict[str, Map]]) -> LoadedObject:
        options = options_of(wish)  # before anything is opened
        maps = find_maps()
        if maps:
            options["maps"] = maps
        return wish.obj.load(wish.engine, **options)

    def _attach(self, wish: Wish) -> None:
        wanted = {
            (attachment, target): None
            for attachment in map(_hashable, wish.attachments)
            for target in matching(attachment)
        }
        identities = {key: identity_of(*key) for key in wanted}
        for key in [key for key in wanted if key in self.links]:
            if self._identities.get(key) != identities[key]:  # what it was on is gone
                self._detach(self.links.pop(key))
        made: dict[Key, Link] = {}
        try:
            for key in wanted:
                if key not in self.links:
                    made[key] = self._attached(*key, pinned=wish.pins)
        except BaseException:
            for link in made.values():
                self._detach(link)
            raise
        self.links |= made
        self._identities = identities
        for key in [key for key in self.links if key not in wanted]:
            self._detach(self.links.pop(key))

    def _attached(self, attachment: Attachment, target: str, *, pinned: bool) -> Link:
        place = self._place(attachment, target)
        if pinned and place.exists():
            return self._adopted(place, attachment, target)
        return self._new_link(self.loaded, attachment, target, pinned=pinned)

    def _new_link(
        self, loaded: LoadedObject, attachment: Attachment, target: str, *, pinned: bool
    ) -> Link:
        options = dict(attachment.options)
        if attachment.kind == "pid":
            options["pid"] = int(target)
        given: Any = (target,) if attachment.kind in ("interface", "cgroup") else ()
        link = loaded.programs[attachment.program].attach(*given, **options).disown()
        if pinned:
            try:
                link.pin(self._place(attachment, target))
            except BaseException:
                link.close()
                raise
        return link

    def _place(self, attachment: Attachment, target: str) -> Path:
        """Where a link is pinned."""
        return (
            self.pins
            / "links"
            / quote(f"{attachment.program},{target}", safe=",=").replace(
                ".",
                "%2E",  # a bpffs has no names with dots
            )
        )

    def _adopted(self, place: Path, attachment: Attachment, target: str) -> Link:
        """The link that an agent before this one left, on this one's program."""
        from osmia.kernel.links import KernelLink

        link = KernelLink.from_pin(place)
        try:
            link.update(self.loaded.programs[attachment.program])
            return link
        except (NotSupportedError, OSError):  # OSError: what it was on is gone
            try:
                return self._replaced(link, self.loaded, attachment, target)
            finally:
                link.close()
        except BaseException:
            link.close()
            raise

    def _detach(self, link: Link) -> None:
        try:
            with suppress(OSError):  # its interface is gone, and the link with it
                link.detach()
        finally:
            link.close()

    def _move_links(self, loaded: LoadedObject) -> None:
        """Have the programs of `loaded` where those of the same name are; all or none."""
        for attachment, _ in self.links:
            if attachment.program not in loaded.programs:
                name = attachment.program
                raise OsmiaError(
                    f"object {loaded.name!r} has no program {name!r}, which is attached"
                )
        moved: list[Key] = []
        old = self.loaded
        try:
            for key in list(self.links):
                self.links[key] = self._moved(key, loaded)
                moved.append(key)
        except BaseException:
            for key in moved:
                self.links[key] = self._moved(key, old)
            raise

    def _moved(self, key: Key, loaded: LoadedObject) -> Link:
        """The link of an attachment on a program of `loaded`: the same one, where the kernel can
        update it; otherwise another one, which is there before the old one goes."""
        link = self.links[key]
        try:
            link.update(loaded.programs[key[0].program])
            return link
        except NotSupportedError:
            return self._replaced(link, loaded, *key)

    def _replaced(
        self, link: Link, loaded: LoadedObject, attachment: Attachment, target: str
    ) -> Link:
        """Another link in the place of one, which goes when that is there; its pin too. Where the
        other one cannot be, this one stays, with its pin."""
        place = self._place(attachment, target)
        pinned: Any = link if place.exists() else None  # the kernel's then
        new = self._new_link(loaded, attachment, target, pinned=False)
        try:
            if pinned is not None:
                pinned.unpin()  # before the other has the name: it removes what has it
                new.pin(place)
        except BaseException:
            self._detach(new)
            if pinned is not None and not place.exists():
                link.pin(place)
            raise
        self._detach(link)
        return new

    def _set(self, wish: Wish) -> None:
        """Set variables and entries that are wanted otherwise than before; what the wish before
        set and this one does not is as it was before that."""
        found = Found({}, {})  # before this
        try:
            set_values(self.loaded, self.wish, wish, found)
            put_back(self.loaded, self._found.but(wish))
        except BaseException:
            put_back(self.loaded, found)
            raise
        self._found = found.with_older(self._found)

    def _pinned_maps(self, wish: Wish) -> dict[str, Map]:
        from osmia.engine.maps import Map

        place = self.pins / "maps"
        there = sorted(os.listdir(place)) if place.is_dir() else []  # noqa: PTH208
        names = [name for name in there if name in wish.obj.maps]
        with ExitStack() as held:
            found = {name: held.enter_context(Map.from_pin(place / name)) for name in names}
            held.pop_all()
        return found

    def _pin_maps(self, loaded: LoadedObject) -> None:
        """Pin maps: the first ones whole, under another name first, which no agent believes;
        after an upgrade those that came, and no more those that went."""
        place = self.pins / "maps"
        if place.is_dir():
            for pinned in place.iterdir():
                if pinned.name not in loaded.maps:
                    pinned.unlink()
            for name, held in loaded.maps.items():
                if not (place / name).exists():
                    held.pin(place / name)
            return
        unfinished = self.pins / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        loaded.pin(unfinished, programs=False)
        unfinished.mkdir(parents=True, exist_ok=True)
        unfinished.rename(place)


def _hashable(attachment: Attachment) -> Attachment:
    """With options that can be compared and hashed."""
    return Attachment(
        attachment.program, attachment.kind, attachment.pattern, _Options(attachment.options)
    )


class _Options(dict[str, Any]):
    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted((key, repr(value)) for key, value in self.items())))
