/* What libbpf makes of raw BTF files: run with the libbpf of build/newer-bpftool.
 *
 *   distill BASE SPLIT NEW_BASE NEW_SPLIT
 *   relocate DISTILLED SPLIT BASE NEW_SPLIT
 *   permute BASE|- BTF NEW ID...
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct btf;
struct btf *btf__parse_raw(const char *path);
struct btf *btf__parse_raw_split(const char *path, struct btf *base);
const void *btf__raw_data(const struct btf *btf, uint32_t *size);
int btf__distill_base(const struct btf *split, struct btf **base, struct btf **new_split);
int btf__relocate(struct btf *btf, const struct btf *base);
int btf__permute(struct btf *btf, uint32_t *ids, uint32_t count, const void *opts);

static void save(const struct btf *btf, const char *path)
{
	uint32_t size;
	const void *data = btf__raw_data(btf, &size);
	FILE *file = fopen(path, "wb");

	if (!data || !file || fwrite(data, 1, size, file) != size || fclose(file))
		exit(3);
}

static int failed(int error)
{
	printf("%d\n", error);
	return 1;
}

int main(int argc, char **argv)
{
	struct btf *base, *btf, *first, *second;
	uint32_t ids[4096], count = 0;
	int error;

	if (argc < 5)
		return 2;
	base = strcmp(argv[2], "-") ? btf__parse_raw(argv[2]) : NULL;
	btf = base ? btf__parse_raw_split(argv[3], base) : btf__parse_raw(argv[3]);
	if (!btf)
		return 2;
	if (!strcmp(argv[1], "distill")) {
		error = btf__distill_base(btf, &first, &second);
		if (error)
			return failed(error);
		save(first, argv[4]);
		save(second, argv[5]);
	} else if (!strcmp(argv[1], "relocate")) {
		error = btf__relocate(btf, btf__parse_raw(argv[4]));
		if (error)
			return failed(error);
		save(btf, argv[5]);
	} else {
		if (!base)
			ids[count++] = 0;
		for (int i = 5; i < argc && count < 4096; i++)
			ids[count++] = strtoul(argv[i], NULL, 10);
		error = btf__permute(btf, ids, count, NULL);
		if (error)
			return failed(error);
		save(btf, argv[4]);
	}
	return 0;
}
