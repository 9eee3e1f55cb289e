/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile ELF files: target_inspect() on a file that holds the input. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct target *t)
{
	if (!memchr(t->build_id, 0, sizeof(t->build_id)) || !memchr(t->version, 0, sizeof(t->version)) ||
	    (t->err && t->lib))
		abort();
	for (int f = 0; f < TARGET_FUNCS; f++) {
		if (t->n_ret[f] > TARGET_RETURNS_MAX || (t->n_ret[f] && (t->ret_why[f] || !t->offset[f])) ||
		    t->ret_why[f] >= TARGET_WHYS)
			abort();
		if (!memchr(t->insn[f], 0, sizeof(t->insn[f])) ||
		    (t->offset[f] && !target_func_name(t, (enum target_func)f)))
			abort();
		for (unsigned i = 0; i < t->n_ret[f]; i++)
			if (!t->ret_offset[f][i])
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	struct target t;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	memset(&t, 0xff, sizeof(t));
	target_inspect(fd, &t);
	close(fd);
	check(&t);
	return 0;
}
