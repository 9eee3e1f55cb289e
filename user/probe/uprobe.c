/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/libbpf.h>
#include <pthread.h>

#include "probe/uprobe.h"

#define THREADS_MAX 32

struct bpf_link *uprobe_attach(const struct bpf_program *prog, bool multi, pid_t pid, const char *path, uint64_t offset,
			       bool at_return)
{
	unsigned long at = offset;
	LIBBPF_OPTS(bpf_uprobe_multi_opts, many, .offsets = &at, .cnt = 1, .retprobe = at_return);
	LIBBPF_OPTS(bpf_uprobe_opts, one, .retprobe = at_return);

	if (multi)
		return bpf_program__attach_uprobe_multi(prog, pid, path, NULL, &many);
	return bpf_program__attach_uprobe_opts(prog, pid, path, offset, &one);
}

static void *destroy(void *link)
{
	bpf_link__destroy(link);
	return NULL;
}

void uprobe_detach(struct bpf_link *const *links, size_t n)
{
	pthread_t threads[THREADS_MAX];

	while (n) {
		size_t batch = n < THREADS_MAX ? n : THREADS_MAX, started = 0;

		while (started < batch && pthread_create(&threads[started], NULL, destroy, links[started]) == 0)
			started++;
		for (size_t i = started; i < batch; i++)
			destroy(links[i]);
		for (size_t i = 0; i < started; i++)
			pthread_join(threads[i], NULL);
		links += batch;
		n -= batch;
	}
}
