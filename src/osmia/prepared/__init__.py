"""Prepared objects: what a load needs after all passes, kept on disk for the next process.

Opening a file and loading it means reading ELF and BTF, CO-RE against the kernel's types,
layouts; and it comes out the same each time. So the first load of a file by the kernel engine
leaves a record (`record`): BTF, definitions of maps, initial data, code in which descriptors are
still to be written, func and line records. A later process finds it by the file's bytes
(`store`). `osmia.open` then gives an Object that is not read yet (`unread`), whose `load` only
makes system calls (`osmia.kernel.load.replay`). Whoever asks it anything else, or changes it,
makes an ordinary Object of it first.

That is right because a record is found only where everything is as it was: the bytes and the
name, osmia itself, the machine; for objects that asked for the kernel's types, the kernel, by its
build id; for those that asked whether modules have a type, the boot and what is loaded
(`identities`). No address, descriptor or number of a module's type is in it: objects that need
them, configuration or features are not prepared, and neither are loads with options.
`osmia.kernel.load.keeping` has the list. What a kernel refuses is loaded again in the ordinary
way, whose error it is then.
"""
