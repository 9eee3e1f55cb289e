/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "target/insn.h"
#include "target/nss.h"

#define POINTERS_MAX 65536 /* libssl3.so has 1,000 */
#define WRAPPER_MAX  4     /* instructions: clear the flags, jump */

enum op {
	OP_CONNECT,
	OP_ACCEPT,
	OP_BIND,
	OP_LISTEN,
	OP_SHUTDOWN,
	OP_CLOSE,
	OP_RECV,
	OP_SEND,
	OP_READ,
	OP_WRITE,
	OP_PEER,
	OP_NAME,
	OPS
};

/* A word of data that holds an address when the file is loaded. */
struct pointer {
	uint64_t at, to;
};

struct pointers {
	struct pointer *v;
	size_t n, cap;
};

static void collect(const struct image *image, struct pointers *p)
{
	uint64_t relative = image->code.machine == EM_X86_64 ? R_X86_64_RELATIVE : R_AARCH64_RELATIVE;
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(image->elf, scn)) && gelf_getshdr(scn, &sh)) {
		Elf_Data *data = sh.sh_type == SHT_RELA && sh.sh_entsize ? elf_getdata(scn, NULL) : NULL;
		size_t n = data ? data->d_size / sh.sh_entsize : 0;
		GElf_Rela rela;

		for (size_t i = 0; i < n && p->n < POINTERS_MAX && gelf_getrela(data, (int)i, &rela); i++) {
			if (GELF_R_TYPE(rela.r_info) != relative)
				continue;
			xgrow(&p->v, &p->cap, p->n + 1, sizeof(*p->v));
			p->v[p->n++] = (struct pointer){rela.r_offset, (uint64_t)rela.r_addend};
		}
	}
}

static int by_place(const void *a, const void *b)
{
	const struct pointer *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

/* Whether the pointers from v[i] on are a table of operations: all but `accept`, and of functions. */
static bool is_table(const struct image *image, const struct pointers *p, size_t i, uint64_t ret[OPS])
{
	size_t k = i;

	for (int op = 0; op < OPS; op++) {
		bool there = k < p->n && p->v[k].at == p->v[i].at + 8 * (uint64_t)op;

		if (there == (op == OP_ACCEPT) || (there && !code_in_text(&image->code, p->v[k].to)))
			return false;
		ret[op] = there ? p->v[k++].to : 0;
	}
	return true;
}

/* Whether the function at `at` does nothing but jump to `to`. */
static bool jumps_to(const struct image *image, struct decoder *d, uint64_t at, uint64_t to)
{
	struct insn i;
	struct walk w;

	walk_init(&w, d, &image->code, at);
	for (int n = 0; n < WRAPPER_MAX && walk_next(&w, &i); n++) {
		if (i.kind == INSN_JUMP)
			return i.to == to;
		if (i.kind != INSN_OTHER && i.kind != INSN_LANDING)
			return false;
	}
	return false;
}

/* The tables that are those of TLS; the last one in `ret`. */
static unsigned find(const struct image *image, const struct pointers *p, uint64_t ret[OPS])
{
	unsigned found = 0;
	uint64_t ops[OPS];
	struct decoder d;

	if (!decoder_init(&d, image->code.machine))
		return 0;
	for (size_t i = 0; i < p->n; i++) {
		if (!is_table(image, p, i, ops) || !jumps_to(image, &d, ops[OP_READ], ops[OP_RECV]) ||
		    !jumps_to(image, &d, ops[OP_WRITE], ops[OP_SEND]))
			continue;
		memcpy(ret, ops, sizeof(ops));
		found++;
	}
	decoder_release(&d);
	return found;
}

enum target_why nss_methods(struct image *image, struct site_func funcs[TARGET_FUNCS])
{
	struct pointers p = {.n = 0};
	uint64_t ops[OPS] = {0};

	collect(image, &p);
	if (p.n)
		qsort(p.v, p.n, sizeof(*p.v), by_place);
	unsigned found = find(image, &p, ops);
	free(p.v);
	if (found != 1)
		return TARGET_WHY_NO_METHODS;
	funcs[TARGET_READ].addr = ops[OP_READ];
	funcs[TARGET_READ_FLAGS].addr = ops[OP_RECV];
	funcs[TARGET_WRITE].addr = ops[OP_WRITE];
	funcs[TARGET_WRITE2].addr = ops[OP_SEND];
	funcs[TARGET_FREE].addr = ops[OP_CLOSE];
	return TARGET_WHY_NONE;
}
