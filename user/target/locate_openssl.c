/* SPDX-License-Identifier: Apache-2.0 */
/*
 * locate_openssl.c - OpenSSL 3, linked in and stripped.
 *
 * Its errors carry the name of the function that reports them (OPENSSL_FUNC),
 * so each name is referred to by that function only.  What reads and writes
 * through whichever public function ends in two:
 *
 *   ssl_read_internal(SSL *, void *buf, size_t num, size_t *n)
 *   ssl_write_internal(SSL *, const void *buf, size_t num, [uint64_t flags since 3.3,] size_t *n)
 *
 * Where the flags are the code says: it reads the fifth argument, or not.
 */
#include <linux/types.h>
#include <string.h>

#include "../../bpf/events.h"
#include "target/locate.h"

enum { READ, WRITE, NEW, CLEAR, CTRL };

#define ARGUMENT_5 (1u << 4)
#define NEW_MAX    4096 /* bytes of SSL_new; a larger one is another function, into which it was inlined */

static void want(struct locate *l)
{
	for (unsigned text = READ; text <= CTRL; text++)
		locate_want_strings(l, text);
}

/* Whether the function reads the argument before it gives the register another value. */
static bool reads_argument(struct locate *l, uint64_t at, unsigned argument)
{
	struct insn i;
	struct walk w;

	walk_init(&w, &l->d, &l->image->code, at);
	for (int n = 0; n < INSN_WALK && walk_next(&w, &i); n++) {
		if (i.reads & argument)
			return true;
		if (i.writes & argument || i.kind == INSN_CALL || i.kind == INSN_CALL_MEMORY ||
		    i.kind == INSN_RET)
			return false;
	}
	return false;
}

static enum target_why find(struct locate *l, struct site_func funcs[TARGET_FUNCS])
{
	struct site_func read, write, other;
	enum target_why why = locate_only_function(l, READ, &read);

	if (!why)
		why = locate_only_function(l, WRITE, &write);
	if (why)
		return why;
	if (read.addr == write.addr || reads_argument(l, read.addr, ARGUMENT_5))
		return TARGET_WHY_ARGUMENTS;
	funcs[TARGET_READ_EX] = read;
	funcs[reads_argument(l, write.addr, ARGUMENT_5) ? TARGET_WRITE_EX2 : TARGET_WRITE_EX] = write;
	if (!locate_only_function(l, NEW, &other) && other.size < NEW_MAX)
		funcs[TARGET_NEW] = other;
	if (!locate_only_function(l, CLEAR, &other))
		funcs[TARGET_CLEAR] = other;
	if (!locate_only_function(l, CTRL, &other))
		funcs[TARGET_CTRL] = other;
	return TARGET_WHY_NONE;
}

static const char *const symbols[TARGET_FUNCS] = {
    [TARGET_WRITE_EX] = "ssl_write_internal",
    [TARGET_WRITE_EX2] = "ssl_write_internal",
    [TARGET_READ_EX] = "ssl_read_internal",
    [TARGET_NEW] = "SSL_new",
    [TARGET_CLEAR] = "SSL_clear",
    [TARGET_CTRL] = "ssl3_ctrl",
};

const struct locator locate_openssl = {
    .name = "OpenSSL",
    .lib = EV_LIB_OPENSSL,
    .texts = {[READ] = "ssl_read_internal",
              [WRITE] = "ssl_write_internal",
              [NEW] = "SSL_new",
              [CLEAR] = "SSL_clear",
              [CTRL] = "ssl3_ctrl"},
    .want = want,
    .find = find,
    .symbols = symbols,
};
