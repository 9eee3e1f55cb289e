// SPDX-License-Identifier: Apache-2.0
/*
 * load OBJECT - which programs of a BPF object does this kernel load?
 *
 * All of them are loaded at once, also those that spantap does not choose on
 * this kernel.  What is refused, a program or a map, is left out of the next
 * try, until the rest loads.  Then the same for uprobe.multi links, as
 * "NAME@multi": the programs that have no attach type of their own.  Lines,
 * with tabs:
 *
 *   LOAD  PROGRAM  ok
 *   LOAD  PROGRAM  refused  the verifier's error, or what libbpf complained about
 *   MAP   MAP      refused  what libbpf complained about
 *
 * Exit 1: the object cannot be opened, or fails for none of its parts.
 * tests/kernels/judge says what may be refused where.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_BYTES  (16 << 20) /* of the verifier, when it refuses */
#define RING_BYTES (64 << 10) /* verification does not depend on it, and 64 MiB take time to map */
#define TRIES_MAX  256
#define WHY_MAX    512

/* What was refused so far, by name: programs and maps do not share any. */
static struct refusal {
	char name[64], why[WHY_MAX];
	bool map;
} refusals[TRIES_MAX];
static int n_refusals;
static char complaint[WHY_MAX], verifier_log[LOG_BYTES];

/* The first one names the part that failed: "prog 'NAME': ..." or "map 'NAME': ...". */
static int keep_complaint(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	bool named = !strncmp(complaint, "libbpf: prog '", 14) || !strncmp(complaint, "libbpf: map '", 13);

	if (level == LIBBPF_WARN && !named) {
		vsnprintf(complaint, sizeof(complaint), fmt, ap);
		complaint[strcspn(complaint, "\n")] = '\0';
	}
	return 0;
}

/* The verifier's last line before its statistics says what it refuses. */
static const char *verifier_error(void)
{
	const char *last = NULL;

	for (char *line = strtok(verifier_log, "\n"); line; line = strtok(NULL, "\n"))
		if (strncmp(line, "processed ", 10) && strncmp(line, "verification time", 17) &&
		    strncmp(line, "stack depth", 11))
			last = line;
	return last;
}

static const struct refusal *refused(const char *name)
{
	for (int i = 0; i < n_refusals; i++)
		if (!strcmp(refusals[i].name, name))
			return &refusals[i];
	return NULL;
}

/* Takes the complaint for a refusal; false: it names no part of the object, or one that was left out already.
 */
static bool learn(void)
{
	struct refusal r = {.map = !strncmp(complaint, "libbpf: map", 11)};
	const char *why = verifier_error();

	if (n_refusals == TRIES_MAX || sscanf(complaint, "libbpf: %*[a-z] '%63[^']'", r.name) != 1 ||
	    refused(r.name))
		return false;
	snprintf(r.why, sizeof(r.why), "%s", why && !r.map ? why : complaint);
	refusals[n_refusals++] = r;
	return true;
}

static bool takes_multi(const struct bpf_program *prog, enum bpf_prog_type uprobe)
{
	return bpf_program__type(prog) == uprobe && bpf_program__expected_attach_type(prog) == 0;
}

/* One try without what was refused; `multi` 0: every program as it is. */
static int load_rest(struct bpf_object *obj, enum bpf_prog_type uprobe, enum bpf_attach_type multi)
{
	struct bpf_program *prog;
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF)
			bpf_map__set_max_entries(map, RING_BYTES);
		if (refused(bpf_map__name(map)))
			bpf_map__set_autocreate(map, false);
	}
	bpf_object__for_each_program(prog, obj)
	{
		bool wanted = !multi || takes_multi(prog, uprobe);

		bpf_program__set_autoload(prog, wanted && !refused(bpf_program__name(prog)));
		bpf_program__set_log_buf(prog, verifier_log, sizeof(verifier_log));
		if (multi && wanted)
			bpf_program__set_expected_attach_type(prog, multi);
	}
	complaint[0] = verifier_log[0] = '\0';
	return bpf_object__load(obj);
}

static void print_programs(struct bpf_object *obj, bool multi)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
	{
		const struct refusal *r = refused(bpf_program__name(prog));

		if (r)
			printf("LOAD\t%s%s\trefused\t%s\n", r->name, multi ? "@multi" : "", r->why);
		else if (bpf_program__autoload(prog))
			printf("LOAD\t%s%s\tok\n", bpf_program__name(prog), multi ? "@multi" : "");
	}
	for (int i = 0; i < n_refusals; i++)
		if (refusals[i].map && !multi)
			printf("MAP\t%s\trefused\t%s\n", refusals[i].name, refusals[i].why);
}

static int load_all(const char *path, enum bpf_prog_type uprobe, enum bpf_attach_type multi)
{
	for (n_refusals = 0;;) {
		struct bpf_object *obj = bpf_object__open(path);
		int err = obj ? load_rest(obj, uprobe, multi) : -1;

		if (!err)
			print_programs(obj, multi);
		bpf_object__close(obj);
		if (!err)
			return 0;
		if (!obj || !learn()) {
			fprintf(stderr, "cannot load '%s': %s\n", path, complaint);
			return 1;
		}
	}
}

int main(int argc, char **argv)
{
	enum bpf_prog_type uprobe;
	enum bpf_attach_type multi;

	libbpf_set_print(keep_complaint);
	if (argc != 2 || libbpf_prog_type_by_name("uprobe.multi", &uprobe, &multi)) {
		fprintf(stderr, "usage: load OBJECT\n");
		return 1;
	}
	return load_all(argv[1], uprobe, 0) || load_all(argv[1], uprobe, multi);
}
