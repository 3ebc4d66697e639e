"""Enumerations of integers that cost little to declare: `IntEnum` and `IntFlag`.

The standard library takes some 8 microseconds of every start for each member: a descriptor, a
temporary object and several searches through the class's bases. Tables of constants here have
hundreds of members, so they are made at once: the standard library makes the class without
members, and these are put where it would put them. What comes out cannot be told from its own;
a class statement with anything but plain numbers and methods is left to it altogether, as is
every class of a Python whose `enum` was not compared with this. To type checkers they are the
standard library's.
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
            standard = EnumType.__prepare__(name, bases)
            values = {}
            for word, value in written.items():
                if type(value) is int and not word.startswith("_"):
                    values[word] = value
                else:
                    standard[word] = value
            if standard._member_names:  # something that only the standard library makes a member
                standard = EnumType.__prepare__(name, bases)
                for word, value in written.items():
                    standard[word] = value
                values = {}
            made = super().__new__(mcs, name, bases, standard, **options)
            if values:
                _put(made, values)
            return made

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
            type.__setattr__(cls, name, member)
            members[name] = member
        if flags:
            cls._flag_mask_ = mask
            cls._singles_mask_ = singles
            cls._all_bits_ = (1 << mask.bit_length()) - 1

    class IntEnum(enum.IntEnum, metaclass=_Declaring):
        """As `enum.IntEnum`."""

    class IntFlag(enum.IntFlag, metaclass=_Declaring):
        """As `enum.IntFlag`."""


__all__ = ["IntEnum", "IntFlag"]
