/* SPDX-License-Identifier: Apache-2.0 */
/*
 * locate_rustls.c - rustls, which every Rust program carries without symbols.
 *
 * Its functions are known by the places in its source that they name when they
 * panic (location.h); what they do and which form their objects must have is
 * said in bpf/tls_rustls.bpf.c.
 *
 *   send      the only function that names places in record_layer.rs (inlined into it) and in
 *             msgs/fragmenter.rs
 *   encrypt   where none does: the only one that names places in record_layer.rs
 *   consume   the only function that names column 9 of vecbuf.rs, the assertion that no more is consumed than
 *             there is
 *
 * The compiler may lay objects out anew for each version: both functions must
 * use memory at the offsets that the kernel side relies on.
 */
#include <linux/types.h>
#include <string.h>

#include "../../bpf/events.h"
#include "target/bounds.h"
#include "target/locate.h"
#include "target/sweep.h"

enum { VECBUF, RECORD_LAYER, FRAGMENTER, TEXTS };

#define ASSERT_COLUMN 9
#define FUNCTIONS_MAX 64

/* What the functions reach in their objects, from 0 to 0xf8, a bit for 8 bytes. */
#define AT(offset) (1u << (offset) / 8)
#define SEND_USES                                                                                            \
	(AT(0x10) | AT(0x18) | AT(0x38) | AT(0x88) | AT(0x90) | AT(0x98) | AT(0xa0) | AT(0xa8) | AT(0xb0) |  \
	 AT(0xb8))
#define ENCRYPT_USES (AT(0x10) | AT(0x18) | AT(0x30) | AT(0x38))
#define CONSUME_USES (AT(0) | AT(0x10) | AT(0x18) | AT(0x20) | AT(0x28) | AT(0x30))

struct function {
	uint64_t start, end;
	unsigned texts; /* bit: names a place in a file of this index */
	bool asserts;
};

/* Whether what is before a text ends with "rustls-0.23.46". */
static bool of_rustls(struct locate *l, uint64_t at)
{
	char before[32];
	uint64_t from = at - (sizeof(before) - 1);

	if (at < sizeof(before) || l->image->code.read(l->image->code.ctx, from, before,
	                                               sizeof(before) - 1) != (long)sizeof(before) - 1)
		return false;
	before[sizeof(before) - 1] = '\0';
	char *dash = memrchr(before, '-', sizeof(before) - 1);
	return dash && dash - before >= 6 && memcmp(dash - 6, "rustls", 6) == 0 && dash[1] &&
	       dash[1 + strspn(dash + 1, "0123456789.")] == '\0';
}

static void want(struct locate *l)
{
	locations_find(l->image, l->texts, TEXTS, &l->locations);
	for (size_t i = 0; i < l->locations.n; i++)
		if (of_rustls(l, l->locations.v[i].text_at))
			locate_want(l, l->locations.v[i].at);
}

static unsigned functions(struct locate *l, struct function v[FUNCTIONS_MAX])
{
	unsigned n = 0;

	for (size_t i = 0; i < l->refs.n && n < FUNCTIONS_MAX; i++) {
		const struct location *location = locations_at(&l->locations, l->refs.v[i].to);
		uint64_t at = l->refs.v[i].at;

		if (!location || location->text >= TEXTS)
			continue;
		if (n == 0 || at >= v[n - 1].end) {
			v[n] = (struct function){0};
			if (!bounds_find(&l->d, &l->image->code, at, &v[n].start, &v[n].end))
				continue;
			n++;
		}
		v[n - 1].texts |= 1u << location->text;
		v[n - 1].asserts |= location->text == VECBUF && location->column == ASSERT_COLUMN;
	}
	return n;
}

static bool is_send(const struct function *f)
{
	return f->texts & 1u << RECORD_LAYER && f->texts & 1u << FRAGMENTER;
}

static bool is_encrypt(const struct function *f)
{
	return f->texts & 1u << RECORD_LAYER && !(f->texts & 1u << FRAGMENTER);
}

static bool is_consume(const struct function *f)
{
	return f->asserts;
}

static enum target_why only(const struct function *v, unsigned n, bool (*is)(const struct function *),
                            const struct function **ret)
{
	*ret = NULL;
	for (unsigned i = 0; i < n; i++) {
		if (!is(&v[i]))
			continue;
		if (*ret)
			return TARGET_WHY_SEVERAL;
		*ret = &v[i];
	}
	return *ret ? TARGET_WHY_NONE : TARGET_WHY_NOT_FOUND;
}

/* Whether the function reaches all these places behind some register. */
static bool uses(struct locate *l, const struct function *f, uint32_t offsets)
{
	uint32_t used = 0;
	struct sweep s;

	if (sweep_init(&s, &l->d, &l->image->code, f->start, f->end) == TARGET_WHY_NONE)
		for (size_t i = 0; i < s.n; i++)
			if (s.insns[i].field >= 0 && s.insns[i].field < 0x100 && s.insns[i].field % 8 == 0)
				used |= AT(s.insns[i].field);
	sweep_release(&s);
	return (used & offsets) == offsets;
}

static enum target_why find(struct locate *l, struct site_func funcs[TARGET_FUNCS])
{
	const struct function *send = NULL, *consume = NULL;
	bool each_record = false;
	struct function v[FUNCTIONS_MAX];
	unsigned n = functions(l, v);
	enum target_why why = only(v, n, is_send, &send);
	if (why == TARGET_WHY_NOT_FOUND) {
		each_record = true;
		why = only(v, n, is_encrypt, &send);
	}
	if (!why)
		why = only(v, n, is_consume, &consume);
	if (why)
		return why;
	if (!uses(l, send, each_record ? ENCRYPT_USES : SEND_USES) || !uses(l, consume, CONSUME_USES))
		return TARGET_WHY_LAYOUT;
	funcs[each_record ? TARGET_RUSTLS_ENCRYPT : TARGET_RUSTLS_SEND] = locate_func(send->start, send->end);
	funcs[TARGET_RUSTLS_CONSUME] = locate_func(consume->start, consume->end);
	return TARGET_WHY_NONE;
}

static const char *const symbols[TARGET_FUNCS] = {
    [TARGET_RUSTLS_SEND] = "send_appdata_encrypt",
    [TARGET_RUSTLS_ENCRYPT] = "encrypt_outgoing",
    [TARGET_RUSTLS_CONSUME] = "Reader::consume",
};

const struct locator locate_rustls = {
    .name = "rustls",
    .lib = EV_LIB_RUSTLS,
    .texts = {[VECBUF] = "/src/vecbuf.rs",
              [RECORD_LAYER] = "/src/record_layer.rs",
              [FRAGMENTER] = "/src/msgs/fragmenter.rs"},
    .want = want,
    .find = find,
    .symbols = symbols,
};
