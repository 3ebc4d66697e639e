/* What hands Arrow data to others: copies of prepared structures, and their release.
 *
 * Compiled by tools/make-arrow-exports into src/osmia/values/arrow/exports_code.py, which says
 * why this is no Python. The structures are those of the Arrow C data and C stream interfaces.
 *
 * A prepared structure (a `template`) belongs to Python, stays as it is, and has in its
 * private_data a Python object that owns its buffers or strings. A copy that is given away holds
 * that object by a reference of its own, each child its own child's: consumers may move a child
 * out and release the rest. Nothing here needs Python's lock but to count references.
 */
typedef long long i64;

struct schema {
	const char *format, *name, *metadata;
	i64 flags, n_children;
	struct schema **children, *dictionary;
	void (*release)(struct schema *);
	void *private_data;
};

struct array {
	i64 length, null_count, offset, n_buffers, n_children;
	const void **buffers;
	struct array **children, *dictionary;
	void (*release)(struct array *);
	void *private_data;
};

struct stream {
	int (*get_schema)(struct stream *, struct schema *);
	int (*get_next)(struct stream *, struct array *);
	const char *(*get_last_error)(struct stream *);
	void (*release)(struct stream *);
	void *private_data;
};

/* Filled in by Python before the code can run, in this order (exports.py). */
struct api {
	void *(*malloc)(unsigned long);
	void (*free)(void *);
	int (*initialized)(void);
	int (*ensure)(void);
	void (*leave)(int);
	void (*fetch)(void **, void **, void **);
	void (*restore)(void *, void *, void *);
	void (*incref)(void *);
	void (*decref)(void *);
	void *(*capsule)(void *, const char *, void (*)(void *));
	void *(*pointer)(void *, const char *);
};

/* The table comes first in the code, and the names of capsules behind it. */
__asm__(".section .text.a,\"ax\"\n.balign 16\nosmia_api: .skip 88\n"
	"osmia_schema: .asciz \"arrow_schema\"\nosmia_array: .asciz \"arrow_array\"\n"
	"osmia_stream: .asciz \"arrow_array_stream\"\n.balign 16\n");

#if defined(__x86_64__)
#define ADDRESS(type, of) ({ type p_; __asm__("lea " #of "(%%rip), %0" : "=r"(p_)); p_; })
#else
#define ADDRESS(type, of) ({ type p_; __asm__("adr %0, " #of : "=r"(p_)); p_; })
#endif
#define API ADDRESS(const struct api *, osmia_api)
#define TEXT __attribute__((section(".text.a")))
#define EXPORTED TEXT __attribute__((used))

enum { ENOMEM_ = 12 };

TEXT static void hold(void *object)
{
	const struct api *api = API;
	int state = api->ensure();

	api->incref(object);
	api->leave(state);
}

/* Consumers release from any thread, in the middle of an exception, and after Python's end. */
TEXT static void drop(void *object)
{
	const struct api *api = API;
	void *type, *value, *traceback;
	int state;

	if (!object || !api->initialized())
		return;
	state = api->ensure();
	api->fetch(&type, &value, &traceback);
	api->decref(object);
	api->restore(type, value, traceback);
	api->leave(state);
}

/* A copied node's block: the owner, then the pointers to its children and these themselves. */
struct block {
	void *owner;
	void *pointers[];
};

#define COPYING(kind)                                                                            \
TEXT static void release_##kind(struct kind *given)                                              \
{                                                                                                \
	struct block *block = given->private_data;                                               \
	for (i64 i = 0; i < given->n_children; i++)                                              \
		if (given->children[i]->release)                                                 \
			given->children[i]->release(given->children[i]);                         \
	if (given->dictionary && given->dictionary->release)                                     \
		given->dictionary->release(given->dictionary);                                   \
	given->release = 0;                                                                      \
	drop(block->owner);                                                                      \
	API->free(block);                                                                        \
}                                                                                                \
TEXT static int copy_##kind(const struct kind *template, struct kind *out)                       \
{                                                                                                \
	i64 count = template->n_children, inner = count + !!template->dictionary;                \
	struct block *block =                                                                    \
		API->malloc(sizeof *block + count * sizeof(void *) + inner * sizeof *out);       \
	struct kind *nodes;                                                                      \
	out->release = 0;                                                                        \
	if (!block)                                                                              \
		return ENOMEM_;                                                                  \
	nodes = (struct kind *)(block->pointers + count);                                        \
	*out = *template;                                                                        \
	out->children = (struct kind **)block->pointers;                                         \
	out->dictionary = 0;                                                                     \
	out->n_children = 0;                                                                     \
	out->private_data = block;                                                               \
	out->release = release_##kind;                                                           \
	block->owner = template->private_data;                                                   \
	hold(block->owner);                                                                      \
	for (i64 i = 0; i < count; i++) {                                                        \
		if (copy_##kind(template->children[i], nodes + i))                               \
			goto failed;                                                             \
		block->pointers[i] = nodes + i;                                                  \
		out->n_children++;                                                               \
	}                                                                                        \
	if (template->dictionary) {                                                              \
		if (copy_##kind(template->dictionary, nodes + count))                            \
			goto failed;                                                             \
		out->dictionary = nodes + count;                                                 \
	}                                                                                        \
	return 0;                                                                                \
failed:                                                                                          \
	release_##kind(out);                                                                     \
	return ENOMEM_;                                                                          \
}

COPYING(schema)
COPYING(array)

/* A stream of one batch. */
struct source {
	void *owner; /* of both templates */
	const struct schema *schema;
	const struct array *array;
	int done;
};

TEXT static int get_schema(struct stream *stream, struct schema *out)
{
	struct source *source = stream->private_data;
	return copy_schema(source->schema, out);
}

TEXT static int get_next(struct stream *stream, struct array *out)
{
	struct source *source = stream->private_data;
	int error;

	if (source->done) {
		out->release = 0;
		return 0;
	}
	error = copy_array(source->array, out);
	source->done = !error;
	return error;
}

TEXT static const char *get_last_error(struct stream *stream)
{
	return 0;
}

TEXT static void release_stream(struct stream *stream)
{
	struct source *source = stream->private_data;

	stream->release = 0;
	drop(source->owner);
	API->free(source);
}

/* Capsules: an unused structure is released with its capsule, which may be dropped while an
 * exception is on its way. */
#define CAPSULE(kind, name)                                                                      \
TEXT static void destroy_##kind(void *capsule)                                                   \
{                                                                                                \
	struct kind *held = API->pointer(capsule, ADDRESS(const char *, name));                  \
	if (held->release)                                                                       \
		held->release(held);                                                             \
	API->free(held);                                                                         \
}                                                                                                \
TEXT static void *wrap_##kind(struct kind *held)                                                 \
{                                                                                                \
	void *capsule = API->capsule(held, ADDRESS(const char *, name), destroy_##kind);         \
	if (!capsule) {                                                                          \
		held->release(held);                                                             \
		API->free(held);                                                                 \
	}                                                                                        \
	return capsule;                                                                          \
}

CAPSULE(schema, osmia_schema)
CAPSULE(array, osmia_array)
CAPSULE(stream, osmia_stream)

/* Called by Python, with its lock: new capsules; 0 without an exception when memory is short. */
EXPORTED void *osmia_schema_capsule(const struct schema *template)
{
	struct schema *made = API->malloc(sizeof *made);

	if (!made)
		return 0;
	if (copy_schema(template, made)) {
		API->free(made);
		return 0;
	}
	return wrap_schema(made);
}

EXPORTED void *osmia_array_capsule(const struct array *template)
{
	struct array *made = API->malloc(sizeof *made);

	if (!made)
		return 0;
	if (copy_array(template, made)) {
		API->free(made);
		return 0;
	}
	return wrap_array(made);
}

EXPORTED void *osmia_stream_capsule(const struct schema *schema, const struct array *array,
				    void *owner)
{
	struct stream *made = API->malloc(sizeof *made);
	struct source *source = API->malloc(sizeof *source);

	if (!made || !source) {
		API->free(made);
		API->free(source);
		return 0;
	}
	source->owner = owner;
	source->schema = schema;
	source->array = array;
	source->done = 0;
	hold(owner);
	made->get_schema = get_schema;
	made->get_next = get_next;
	made->get_last_error = get_last_error;
	made->release = release_stream;
	made->private_data = source;
	return wrap_stream(made);
}
