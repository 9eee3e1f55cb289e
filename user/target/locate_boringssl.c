/* SPDX-License-Identifier: Apache-2.0 */
/*
 * locate_boringssl.c - BoringSSL, as Bun and what is built with it carry it.
 *
 * SSL_read and SSL_write are in ssl_lib.cc, and report errors with its name:
 *
 *   SSL_write         66 on QUIC, 226 before a handshake function is set, 111 on a negative length; the only
 *                     function with these three
 *   SSL_read          66 on QUIC (what it calls does the rest), just before SSL_write in the file
 *   SSL_do_handshake  134, the only one
 *
 * From the first error of SSL_read to that of SSL_write it is 21 or 22 lines in
 * each of eight builds from two years.  SSL_peek has the same line, for SSL_read
 * calls it inline; what peeks changes nothing, what reads takes the bytes out of
 * the object.
 */
#include <linux/types.h>

#include "../../bpf/events.h"
#include "target/errors.h"
#include "target/locate.h"
#include "target/sweep.h"

/* err.h, ssl.h of BoringSSL */
#define LIB_SSL                     16
#define SHOULD_NOT_HAVE_BEEN_CALLED 66
#define BAD_LENGTH                  111
#define CONNECTION_TYPE_NOT_SET     134
#define UNINITIALIZED               226

#define READ_LINES    60  /* that SSL_read begins before SSL_write at the most */
#define FUNCTIONS_MAX 128 /* of ssl_lib.cc that report errors; 11 to 60 in what was seen */

enum { SOURCE };

static void want(struct locate *l)
{
	locate_want_strings(l, SOURCE);
}

/* Those of ssl_lib.cc, in order. */
static unsigned functions(struct locate *l, struct errors ret[FUNCTIONS_MAX], bool *ret_unbounded)
{
	unsigned n = 0;

	*ret_unbounded = false;
	for (size_t i = 0; i < l->refs.n && n < FUNCTIONS_MAX; i++) {
		const struct insn_ref *ref = &l->refs.v[i];

		if (n && ref->at < ret[n - 1].end)
			continue;
		if (!locate_holds(l, SOURCE, ref->to))
			continue;
		if (!errors_read(&l->d, &l->image->code, ref->at, ref->to, &ret[n]))
			*ret_unbounded = true;
		else if (ret[n].n)
			n++;
	}
	return n;
}

static bool reports(const struct errors *e, uint32_t reason)
{
	return errors_reason(e, LIB_SSL, reason) != NULL;
}

/* The only one that `is`; NULL: none or several are. */
static const struct errors *only(const struct errors *v, unsigned n,
                                 bool (*is)(const struct errors *, const struct errors *),
                                 const struct errors *other, unsigned *ret_count)
{
	const struct errors *found = NULL;

	*ret_count = 0;
	for (unsigned i = 0; i < n; i++)
		if (is(&v[i], other)) {
			found = &v[i];
			++*ret_count;
		}
	return *ret_count == 1 ? found : NULL;
}

static bool is_write(const struct errors *e, const struct errors *unused)
{
	(void)unused;
	return reports(e, SHOULD_NOT_HAVE_BEEN_CALLED) && reports(e, UNINITIALIZED) && reports(e, BAD_LENGTH);
}

static bool is_read(const struct errors *e, const struct errors *write)
{
	const struct error *quic = errors_reason(e, LIB_SSL, SHOULD_NOT_HAVE_BEEN_CALLED);
	uint32_t line = errors_reason(write, LIB_SSL, SHOULD_NOT_HAVE_BEEN_CALLED)->line;

	return quic && quic->line < line && line - quic->line <= READ_LINES && !is_write(e, NULL);
}

/* Whether the function changes the object: puts something where a register points that is not the stack's. */
static bool changes(struct locate *l, const struct errors *e)
{
	bool stores = false;
	struct sweep s;

	if (sweep_init(&s, &l->d, &l->image->code, e->start, e->end) == TARGET_WHY_NONE)
		for (size_t i = 0; i < s.n; i++)
			stores |= s.insns[i].stores;
	sweep_release(&s);
	return stores;
}

static bool is_handshake(const struct errors *e, const struct errors *write)
{
	return e != write && reports(e, CONNECTION_TYPE_NOT_SET);
}

static enum target_why find(struct locate *l, struct site_func funcs[TARGET_FUNCS])
{
	struct errors v[FUNCTIONS_MAX];
	bool unbounded;
	unsigned n = functions(l, v, &unbounded), count;

	if (!n && unbounded)
		return TARGET_WHY_NO_EXTENT;
	if (!n)
		return TARGET_WHY_NONE; /* OpenSSL has a file of that name too */
	const struct errors *write = only(v, n, is_write, NULL, &count);
	if (!write)
		return count ? TARGET_WHY_SEVERAL : TARGET_WHY_NOT_FOUND;
	const struct errors *handshake = only(v, n, is_handshake, write, &count);
	for (unsigned i = 0; i < n; i++)
		if (is_read(&v[i], write) && !changes(l, &v[i]))
			v[i].n = 0;
	const struct errors *read = only(v, n, is_read, write, &count);
	if (!read)
		return count ? TARGET_WHY_SEVERAL : TARGET_WHY_NOT_FOUND;
	funcs[TARGET_WRITE] = locate_func(write->start, write->end);
	funcs[TARGET_READ] = locate_func(read->start, read->end);
	if (handshake)
		funcs[TARGET_HANDSHAKE] = locate_func(handshake->start, handshake->end);
	return TARGET_WHY_NONE;
}

static const char *const symbols[TARGET_FUNCS] = {
    [TARGET_WRITE] = "SSL_write",
    [TARGET_READ] = "SSL_read",
    [TARGET_HANDSHAKE] = "SSL_do_handshake",
};

const struct locator locate_boringssl = {
    .name = "BoringSSL",
    .lib = EV_LIB_BORINGSSL,
    .texts = {[SOURCE] = "/ssl/ssl_lib.c"},
    .want = want,
    .find = find,
    .symbols = symbols,
};
