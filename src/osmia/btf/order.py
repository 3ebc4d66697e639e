"""The same types in another order."""

from __future__ import annotations

from collections.abc import Sequence

from osmia.arguments import names_wrong_arguments
from osmia.btf.builder import BTFBuilder
from osmia.btf.reader import BTF


@names_wrong_arguments
def permute(btf: BTF, ids: Sequence[int]) -> BTF:
    """`btf` with its own types under other ids: `ids[i]` is the new one of `btf.first_id + i`.

    References follow, strings stay; a base stays as it is. Type ids that stand elsewhere, in
    maps or records of `.BTF.ext`, are for the caller to change.

    Raises ValueError for ids that are not those of the types, each once.
    """
    first, end = btf.first_id, len(btf)
    if sorted(ids) != list(range(first, end)):
        raise ValueError(f"the new ids are not the {end - first} from {first} to {end - 1}, once")
    new = {**{i: i for i in range(first)}, **dict(zip(range(first, end), ids, strict=True))}
    builder = BTFBuilder.edit(btf)
    for old_id in range(first, end):
        builder.replace(new[old_id], btf.type(old_id), new)
    return builder.build(btf.name)
