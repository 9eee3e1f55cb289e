/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile ELF files: target_inspect() on a file that holds the input. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	struct target t;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	memset(&t, 0xff, sizeof(t));
	target_inspect(fd, &t);
	close(fd);
	if (memchr(t.build_id, 0, sizeof(t.build_id)) == NULL || (t.err && t.lib))
		abort();
	return 0;
}
