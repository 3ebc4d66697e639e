/* Runs the machine code of tools/arrow_exports.c without Python: its functions are these here, which
 * count. harness CODE SCHEMA ARRAY STREAM: the code's file, and where its functions begin. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct schema {
	const char *format, *name, *metadata;
	int64_t flags, n_children;
	struct schema **children, *dictionary;
	void (*release)(struct schema *);
	void *private_data;
};
struct array {
	int64_t length, null_count, offset, n_buffers, n_children;
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
struct capsule {
	void *pointer;
	const char *name;
	void (*destroy)(void *);
};

static int running = 1, locked, pending = 7, blocks;

static void *counted_malloc(unsigned long size) { blocks++; return malloc(size); }
static void counted_free(void *block) { blocks -= !!block; free(block); }
static int initialized(void) { return running; }
static int ensure(void) { return locked++; }
static void leave(int state) { locked = state; }
static void fetch(void **a, void **b, void **c)
{
	*a = (void *)(intptr_t)pending, *b = "value", *c = "traceback", pending = 0;
}
static void restore(void *a, void *b, void *c)
{
	pending = !strcmp(b, "value") && !strcmp(c, "traceback") ? (int)(intptr_t)a : -1;
}
static void must(int holds, const char *what)
{
	if (!holds)
		printf("%s\n", what), exit(1);
}
static void incref(void *object) { must(locked, "counts with the lock"); ++*(int *)object; }
static void decref(void *object)
{
	must(locked && !pending, "counts with the lock and without an exception");
	--*(int *)object;
}
static void *capsule_new(void *pointer, const char *name, void (*destroy)(void *))
{
	static struct capsule made;
	made = (struct capsule){ pointer, name, destroy };
	return &made;
}
static void *capsule_pointer(void *capsule, const char *name)
{
	struct capsule *held = capsule;
	return strcmp(held->name, name) ? 0 : held->pointer;
}
static void *const api[] = { counted_malloc, counted_free, initialized, ensure, leave, fetch, restore,
	incref, decref, capsule_new, capsule_pointer };

static int owners[4]; /* of the root, the leaf, the dictionary, the whole */

int main(int count, char **arguments)
{
	FILE *file = fopen(arguments[1], "rb");
	char *code = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t size = fread(code, 1, 8192, file);
	struct capsule *(*of_schema)(void *) = (void *)(code + strtol(arguments[2], 0, 0));
	struct capsule *(*of_array)(void *) = (void *)(code + strtol(arguments[3], 0, 0));
	struct capsule *(*of_stream)(void *, void *, void *) =
		(void *)(code + strtol(arguments[4], 0, 0));

	struct schema names = { "u", "", 0, 0, 0, 0, 0, 0, owners + 2 };
	struct schema field = { "i", "level", 0, 2, 0, 0, &names, 0, owners + 1 }, *fields = &field;
	struct schema schema = { "+s", "", 0, 0, 1, &fields, 0, 0, owners };
	const void *buffers[] = { 0, "abcd" };
	struct array words = { 1, 0, 0, 2, 0, buffers, 0, 0, 0, owners + 2 };
	struct array leaf = { 1, 0, 0, 2, 0, buffers, 0, &words, 0, owners + 1 }, *leaves = &leaf;
	struct array array = { 1, 0, 0, 1, 1, buffers, &leaves, 0, 0, owners };
	struct capsule *capsule;
	struct array given, child;
	struct schema types;
	struct stream *stream;

	memcpy(code, api, sizeof api);
	mprotect(code, 8192, PROT_READ | PROT_EXEC);
	__builtin___clear_cache(code, code + size);

	capsule = of_schema(&schema);
	must(!strcmp(capsule->name, "arrow_schema") && owners[0] && owners[1] && owners[2], "held");
	capsule->destroy(capsule);
	must(!owners[0] && !owners[1] && !owners[2] && !blocks, "an unused schema is given back");

	capsule = of_array(&array);
	must(!strcmp(capsule->name, "arrow_array"), "named");
	given = *(struct array *)capsule->pointer; /* moved, as a consumer does */
	((struct array *)capsule->pointer)->release = 0;
	capsule->destroy(capsule);
	must(owners[0] == 1 && given.children[0]->buffers[1] == buffers[1], "moved");
	child = *given.children[0];
	given.children[0]->release = 0;
	given.release(&given);
	must(!given.release && !owners[0] && owners[1] == 1 && owners[2] == 1, "a child lives on");
	must(child.dictionary->length == 1, "with its dictionary");
	child.release(&child);
	must(!owners[1] && !owners[2] && !blocks, "and is given back");

	capsule = of_stream(&schema, &array, owners + 3);
	stream = capsule->pointer;
	must(!strcmp(capsule->name, "arrow_array_stream") && owners[3] == 1, "a stream holds");
	for (int i = 0; i < 2; i++) {
		must(!stream->get_schema(stream, &types), "a schema");
		must(!strcmp(types.children[0]->dictionary->format, "u"), "whole");
		types.release(&types);
	}
	must(!stream->get_next(stream, &given) && given.release, "a batch");
	must(!stream->get_next(stream, &child) && !child.release, "and no more");
	must(!stream->get_last_error(stream), "no error");
	capsule->destroy(capsule);
	must(!owners[3] && owners[0] == 1, "the batch outlives its stream");
	running = 0; /* Python has ended */
	given.release(&given);
	must(owners[0] == 1 && !given.release && !blocks, "then nothing of Python's is touched");
	must(pending == 7 && !locked, "exception and lock are as they were");
	puts("done");
	return 0;
}
