/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "target/bounds.h"
#include "target/errors.h"
#include "target/sweep.h"

/* The constants that argument registers hold. */
struct constants {
	uint64_t v[INSN_ARGS];
	uint8_t known; /* bit i: v[i] is */
};

static void follow(const struct insn *i, struct constants *c)
{
	if (i->added >= 0) {
		c->v[i->added] += i->value;
		return;
	}
	c->known &= (uint8_t)~i->writes;
	if (i->constant >= 0) {
		c->v[i->constant] = i->value;
		c->known |= (uint8_t)(1u << i->constant);
	}
}

static void add(const struct constants *c, uint64_t file, struct errors *ret)
{
	const unsigned all = 1u << 0 | 1u << 2 | 1u << 3;
	const uint64_t *v = c->v;

	if (ret->n == ERRORS_MAX || (c->known & all) != all)
		return;
	if (v[3] == file && c->known & 1u << 4)
		ret->v[ret->n++] = (struct error){(uint32_t)v[0], (uint32_t)v[2], (uint32_t)v[4]};
	else if (v[2] == file && c->known & 1u << 1)
		ret->v[ret->n++] = (struct error){(uint32_t)v[0], (uint32_t)v[1], (uint32_t)v[3]};
}

bool errors_read(struct decoder *d, const struct code *code, uint64_t at, uint64_t file, struct errors *ret)
{
	uint64_t here;

	ret->n = 0;
	if (!bounds_find(d, code, at, &ret->start, &ret->end) || ret->end - ret->start > SWEEP_MAX)
		return false;
	size_t n = ret->end - ret->start;
	uint8_t *bytes = xmalloc(n);
	const uint8_t *p = bytes;
	struct constants c = {.known = 0};
	struct insn i;

	here = ret->start;
	n = code->read(code->ctx, here, bytes, n) == (long)n ? n : 0;
	while (decoder_next(d, &p, &n, &here, &i)) {
		if (i.kind == INSN_CALL || i.kind == INSN_JUMP) {
			/* The call that ends all reports of a function may be shared: they jump to it. */
			add(&c, file, ret);
			c.known = 0;
		} else if (i.kind == INSN_RET || i.kind == INSN_CALL_MEMORY || i.kind == INSN_JUMP_MEMORY) {
			c.known = 0;
		} else {
			follow(&i, &c);
		}
	}
	free(bytes);
	return true;
}

const struct error *errors_reason(const struct errors *e, uint32_t library, uint32_t reason)
{
	for (unsigned i = 0; i < e->n; i++)
		if (e->v[i].library == library && e->v[i].reason == reason)
			return &e->v[i];
	return NULL;
}
