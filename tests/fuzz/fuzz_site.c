/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile code: site_choose() on text, .eh_frame and symbols that the input
 * makes up.  Byte 0: processor and library; then address (2 bytes) and size of
 * each function, and 2 bytes: where .eh_frame_hdr is; the rest is what memory
 * holds from BASE on.
 */
#include <elf.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>

#include "../../bpf/events.h"
#include "target/site.h"

#define BASE 0x1000
#define HEAD (1 + 3 * TARGET_FUNCS + 2)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *p;
	size_t n;
};

static long read_input(void *ctx, uint64_t addr, void *ret, size_t n)
{
	const struct input *in = ctx;

	if (addr < BASE || addr - BASE >= in->n)
		return 0;
	size_t left = in->n - (addr - BASE);
	memcpy(ret, in->p + (addr - BASE), n < left ? n : left);
	return (long)(n < left ? n : left);
}

static const char *slot(void *ctx, uint64_t addr)
{
	(void)ctx;
	return addr & 8 ? "SSL_write_ex2" : NULL;
}

static bool in_data(void *ctx, uint64_t addr)
{
	(void)ctx;
	return addr % 7 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const symbols[TARGET_FUNCS] = {"SSL_write", "SSL_write_ex", "SSL_write_ex2",
	                                                  "SSL_read", "SSL_read_ex"};
	struct site_func funcs[TARGET_FUNCS] = {0};

	if (size < HEAD)
		return 0;
	struct input in = {data + HEAD, size - HEAD};
	struct target t = {.lib = data[0] & 2 ? EV_LIB_BORINGSSL : EV_LIB_OPENSSL};
	struct code code = {
	    .read = read_input,
	    .slot = slot,
	    .in_data = in_data,
	    .ctx = &in,
	    .machine = data[0] & 1 ? EM_AARCH64 : EM_X86_64,
	    .text_start = BASE,
	    .text_end = BASE + in.n,
	    .eh_hdr = BASE + (data[HEAD - 2] | (uint64_t)data[HEAD - 1] << 8),
	};

	memcpy(t.version, data[0] & 4 ? "3.5" : "3.0", 4);
	for (int f = 0; f < TARGET_FUNCS; f++) {
		const uint8_t *b = data + 1 + 3 * f;

		if (b[0] || b[1])
			funcs[f] = (struct site_func){BASE + (b[0] | (uint64_t)b[1] << 8), b[2]};
	}
	site_choose(&code, funcs, symbols, &t);
	for (int f = 0; f < TARGET_FUNCS; f++)
		if (t.n_ret[f] > TARGET_RETURNS_MAX || (t.n_ret[f] && t.ret_why[f]))
			abort();
	return 0;
}
