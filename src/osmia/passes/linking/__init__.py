"""Static linking: several Objects as one, as `bpftool gen object` joins files.

The steps, each in its module: `symbols` says for each name who defines it and whether all
that declare it agree; `liveness` what nobody needs any more; `placement` under which key and
at which offset each part of an input goes on; `types` makes one BTF of all; `join` puts
together the Object. Objects are joined by keys, names count between objects only.
"""

from osmia.passes.linking.join import link_objects

__all__ = ["link_objects"]
