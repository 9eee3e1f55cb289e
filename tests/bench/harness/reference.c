/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "bench/harness/ends.h"
#include "bench/harness/reference.h"
#include "bench/reference.skel.h"
#include "probe/uprobe.h"
#include "target/target.h"

#define LINKS_MAX  4
#define IDLE_LOOKS 20 /* the reader ends when nothing came in so many looks of 5 ms after it was told to */

struct seen {
	uint64_t events, bytes;
	_Atomic bool stop, ready;
};

struct reference {
	struct reference_bpf *bpf;
	struct uprobe_links floor;
	struct bpf_link *conventional[LINKS_MAX];
	size_t n_conventional;
	bool session;
	pid_t reader;
	struct seen *seen; /* shared with the reader */
};

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

static struct reference *load(bool floor, bool session)
{
	struct reference *r = xcalloc(1, sizeof(*r));
	struct reference_bpf *b;
	struct bpf_program *prog;

	libbpf_set_print(quiet);
	r->bpf = b = reference_bpf__open();
	if (!b)
		die(1, "cannot open the reference programs");
	bpf_object__for_each_program(prog, b->obj)
	{
		bool empty = strncmp(bpf_program__name(prog), "empty_", 6) == 0;

		bpf_program__set_autoload(prog,
		                          empty == floor && (session || prog != b->progs.empty_session));
		if (floor)
			bpf_program__set_expected_attach_type(
			    prog, uprobe_attach_type(prog == b->progs.empty_session ? UPROBE_SESSION
			                                                            : UPROBE_MULTI));
	}
	if (reference_bpf__load(b) == 0)
		return r;
	reference_bpf__destroy(b);
	free(r);
	return NULL;
}

static void attach(struct reference *r, const struct bpf_program *prog, enum uprobe_kind kind,
                   const char *lib, uint64_t offset, bool at_return)
{
	struct uprobe u = {.prog_fd = bpf_program__fd(prog),
	                   .kind = kind,
	                   .at_return = at_return,
	                   .path = lib,
	                   .offsets = &offset,
	                   .n = 1};
	int err = uprobe_attach(&u, &r->floor);

	if (err)
		die(1, "cannot attach %s: %s", bpf_program__name(prog), strerror(-err));
}

static uint64_t site(const struct target *t, const int *funcs)
{
	for (; *funcs >= 0; funcs++)
		if (t->offset[*funcs])
			return t->offset[*funcs];
	die(1, "no site in libssl");
}

struct reference *reference_floor(const char *lib)
{
	/* Where internal functions are probed they are the only site; else the plain function is what the
	 * ends call. */
	static const int writes[] = {TARGET_WRITE, TARGET_WRITE_EX2, TARGET_WRITE_EX, -1};
	static const int reads[] = {TARGET_READ, TARGET_READ_EX, -1};
	bool session = uprobe_supported(UPROBE_SESSION);
	struct reference *r = load(true, session);
	struct target t;
	int fd = open(lib, O_RDONLY | O_CLOEXEC);

	if (!r)
		die(1, "cannot load the reference programs (uprobe.multi links are needed, Linux 6.6)");
	target_inspect(fd, &t);
	close(fd);
	r->session = session;
	attach(r, r->bpf->progs.empty_entry, UPROBE_MULTI, lib, site(&t, writes), false);
	if (session) {
		attach(r, r->bpf->progs.empty_session, UPROBE_SESSION, lib, site(&t, reads), false);
	} else {
		attach(r, r->bpf->progs.empty_return, UPROBE_MULTI, lib, site(&t, reads), true);
		attach(r, r->bpf->progs.empty_entry, UPROBE_MULTI, lib, site(&t, reads), false);
	}
	return r;
}

bool reference_has_session(const struct reference *r)
{
	return r->session;
}

static int on_event(void *ctx, void *data, size_t size)
{
	struct seen *seen = ctx;
	__u32 len;

	memcpy(&len, (const char *)data + 2 * sizeof(__u64) + 3 * sizeof(__u32), sizeof(len));
	if (len > size)
		return -1;
	seen->events++;
	seen->bytes += len;
	return 0;
}

static _Noreturn void read_events(struct reference *r, int cpu)
{
	struct ring_buffer *ring =
	    ring_buffer__new(bpf_map__fd(r->bpf->maps.events), on_event, r->seen, NULL);

	end_pin(cpu);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r->seen->ready = ring != NULL;
	for (int idle = 0; ring && idle < IDLE_LOOKS;)
		idle = ring_buffer__poll(ring, 5) == 0 && r->seen->stop ? idle + 1 : 0;
	_exit(ring ? 0 : 1);
}

static void attach_symbol(struct reference *r, const struct bpf_program *prog, const char *lib,
                          const char *name, bool at_return)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .retprobe = at_return, .func_name = name);
	struct bpf_link *link = bpf_program__attach_uprobe_opts(prog, -1, lib, 0, &opts);

	if (!link)
		die(1, "cannot attach %s: %s", bpf_program__name(prog), strerror(errno));
	r->conventional[r->n_conventional++] = link;
}

struct reference *reference_conventional(const char *lib, int cpu)
{
	struct reference *r = load(false, false);

	if (!r)
		die(1, "cannot load the conventional programs");
	attach_symbol(r, r->bpf->progs.conventional_write_return, lib, "SSL_write", true);
	attach_symbol(r, r->bpf->progs.conventional_write, lib, "SSL_write", false);
	attach_symbol(r, r->bpf->progs.conventional_read_return, lib, "SSL_read", true);
	attach_symbol(r, r->bpf->progs.conventional_read, lib, "SSL_read", false);
	r->seen = mmap(NULL, sizeof(*r->seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fflush(NULL);
	r->reader = fork();
	if (r->reader == 0)
		read_events(r, cpu);
	while (!r->seen->ready && waitpid(r->reader, NULL, WNOHANG) == 0)
		usleep(1000);
	return r;
}

void reference_trace(struct reference *r, pid_t pid)
{
	r->bpf->bss->target = (__u32)pid;
}

void reference_stop(struct reference *r, uint64_t *ret_events, uint64_t *ret_bytes)
{
	int status;

	if (r->reader > 0) {
		r->seen->stop = true;
		waitpid(r->reader, &status, 0);
		*ret_events = r->seen->events;
		*ret_bytes = r->seen->bytes;
		munmap(r->seen, sizeof(*r->seen));
	}
	uprobe_detach(&r->floor);
	for (size_t i = 0; i < r->n_conventional; i++)
		bpf_link__destroy(r->conventional[i]);
	reference_bpf__destroy(r->bpf);
	free(r);
}
