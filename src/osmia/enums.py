"""Enumerations of integers that cost little to declare: `IntEnum` and `IntFlag`.

The standard library takes some 8 microseconds of every start for each member: a descriptor, a
temporary object and several searches through the class's bases, and 80 for a class. Tables of
constants here have hundreds of members, so they are made at once: the standard library makes one
class without members, of which others are copies, and members are put where it would put them.
What comes out cannot be told from its own; a class statement with anything but plain numbers and
methods is left to it altogether, as is every class of a Python whose `enum` was not compared with
this. To type checkers they are the standard library's.
"""

from __future__ import annotations

import sys

# The name that type checkers know; `typing` is dear, and this module is imported by many.
TYPE_CHECKING = False

if TYPE_CHECKING or sys.version_info >= (3, 14):
    from enum import IntEnum, IntFlag
else:
    import enum
    from enum import EnumType

    class _Declaring(EnumType):
        """Makes the class statement's enumeration."""

        @classmethod
        def __prepare__(cls, name, bases, **options):
            return {}

        def __new__(mcs, name, bases, written, **options):
            values = {}
            others = {}
            for word, value in written.items():
                of_member = type(value) is int and not word.startswith("_")
                (values if of_member else others)[word] = value
            template = _templates.get(bases)
            plain = not options and all(map(_is_plain, others, others.values()))
            if plain and template is not None:
                made = type.__new__(mcs, name, bases, _fresh(template) | others)
            else:
                made = _standard(mcs, name, bases, others, options)
                if made is None:  # something that only the standard library makes a member
                    return _standard(mcs, name, bases, written, options, members=True)
            if values:
                _put(made, values)
            return made

    def _standard(mcs, name, bases, words, options, *, members=False):
        """The class as the standard library makes it; None for one with members that shall have
        none."""
        contents = EnumType.__prepare__(name, bases)
        for word, value in words.items():
            contents[word] = value
        if contents._member_names and not members:
            return None
        return EnumType.__new__(mcs, name, bases, contents, **options)

    def _is_plain(word, value):
        """Whether it is for a class to have, and says nothing to the class of classes."""
        return word in _OF_CLASSES or (not word.startswith("_") and hasattr(value, "__get__"))

    def _fresh(template):
        """What is in an enumeration without members, for another one."""
        return {
            word: type(value)() if type(value) in (dict, list) else value
            for word, value in vars(template).items()
            if word not in _OF_CLASSES
        }

    def _put(cls, values):
        """The members by name; the second name of a number is an alias of the first."""
        members, by_value, names = cls._member_map_, cls._value2member_map_, cls._member_names_
        hashable = getattr(cls, "_hashable_values_", None)
        flags = issubclass(cls, enum.Flag)
        mask = singles = 0
        for name, value in values.items():
            member = by_value.get(value)
            if member is None:
                member = by_value[value] = int.__new__(cls, value)
                member._name_ = name
                member._value_ = value
                member.__objclass__ = cls
                member._sort_order_ = len(names)
                single = value > 0 and not value & (value - 1)
                if single or not flags:
                    names.append(name)
                if hashable is not None:
                    hashable.append(value)
                mask |= value
                singles |= value if single else 0
            members[name] = member
        for name, member in members.items():  # not before: it empties the cache of attributes
            type.__setattr__(cls, name, member)
        if flags:
            cls._flag_mask_ = mask
            cls._singles_mask_ = singles
            cls._all_bits_ = (1 << mask.bit_length()) - 1

    #: What each class has for itself.
    _OF_CLASSES = frozenset({"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__"})
    #: By its bases, an enumeration without members as the standard library makes it.
    _templates = {}

    class IntEnum(enum.IntEnum, metaclass=_Declaring):
        """As `enum.IntEnum`."""

    class IntFlag(enum.IntFlag, metaclass=_Declaring):
        """As `enum.IntFlag`."""

    for _base in (IntEnum, IntFlag):
        _templates[(_base,)] = _standard(_Declaring, "Template", (_base,), {}, {})


__all__ = ["IntEnum", "IntFlag"]
