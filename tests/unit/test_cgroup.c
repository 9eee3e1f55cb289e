/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "span/cgroup.h"

#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

/* An exec record whose cgroup is `path`, its components innermost first. */
static struct ev_exec *record(const char *path)
{
	struct buf names = {0};
	struct slice rest = slice_str(path);

	while (rest.n) {
		size_t at = rest.n;

		while (at && rest.p[at - 1] != '/')
			at--;
		buf_add(&names, rest.p + at, rest.n - at);
		buf_addc(&names, '\0');
		rest.n = at ? at - 1 : 0;
	}

	struct ev_exec *rec = xcalloc(1, sizeof(*rec) + 8 + names.n);
	rec->cgroup = 77;
	rec->argv_len = 5;
	rec->cwd_len = 3;
	rec->cgroup_len = (uint32_t)names.n;
	memcpy(rec->data, "prog\0up", 8);
	memcpy(rec->data + 8, names.n ? names.p : "", names.n);
	buf_release(&names);
	return rec;
}

static void expect(const char *path, const char *shown, const char *container)
{
	struct ev_exec *rec = record(path);
	struct arena a = {0};
	char got[CONTAINER_ID_LEN + 1];
	struct slice s = cgroup_path(&a, rec);

	cgroup_container(rec, got);
	assert_string_equal(got, container);
	assert_true(slice_eq(s, slice_str(shown)));
	arena_release(&a);
	free(rec);
}

static void runtimes(void **state)
{
	(void)state;
	expect("docker/" ID, "/docker/" ID, ID);
	expect("system.slice/docker-" ID ".scope", "/system.slice/docker-" ID ".scope", ID);
	expect("kubepods/besteffort/pod1-2-3/" ID, "/kubepods/besteffort/pod1-2-3/" ID, ID);
	expect("kubepods.slice/p.slice/cri-containerd-" ID ".scope",
	       "/kubepods.slice/p.slice/cri-containerd-" ID ".scope", ID);
	expect("kubepods.slice/crio-" ID ".scope", "/kubepods.slice/crio-" ID ".scope", ID);
	expect("machine.slice/libpod-" ID ".scope/container", "/machine.slice/libpod-" ID ".scope/container",
	       ID);
	expect("system.slice/containerd.service/kubepods-p.slice:cri-containerd:" ID,
	       "/system.slice/containerd.service/kubepods-p.slice:cri-containerd:" ID, ID);
}

static void the_innermost_container_counts(void **state)
{
	(void)state;
	expect("docker/" OTHER "/docker/" ID "/init.scope", "/docker/" OTHER "/docker/" ID "/init.scope", ID);
}

static void what_is_no_container(void **state)
{
	(void)state;
	expect("", "/", "");
	expect("user.slice/user-1000.slice/session-3.scope", "/user.slice/user-1000.slice/session-3.scope",
	       "");
	expect("machine.slice/libpod-conmon-" ID ".scope", "/machine.slice/libpod-conmon-" ID ".scope", "");
	expect("a" ID, "/a" ID, ""); /* 65 digits */
	expect("docker/0123456789abcdef", "/docker/0123456789abcdef", "");
	expect("docker/0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF",
	       "/docker/0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF", "");
}

static void expect_pod(const char *path, const char *wanted)
{
	struct ev_exec *rec = record(path);
	char got[POD_UID_LEN + 1];

	cgroup_pod(rec, got);
	assert_string_equal(got, wanted);
	free(rec);
}

static void pods_by_their_uid(void **state)
{
	const char *const uid = "01234567-89ab-cdef-0123-456789abcdef", *const hash = "0123456789abcdef0123456789abcdef";

	(void)state;
	expect_pod("kubepods/besteffort/pod01234567-89ab-cdef-0123-456789abcdef/" ID, uid);
	expect_pod("kubepods/pod01234567-89ab-cdef-0123-456789abcdef/" ID "/init", uid);
	expect_pod("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod01234567_89ab_cdef_0123_456789abcdef.slice/"
	           "cri-containerd-" ID ".scope", uid);
	expect_pod("kubepods.slice/kubepods-pod01234567_89ab_cdef_0123_456789abcdef.slice/crio-" ID ".scope", uid);
	expect_pod("kubepods.slice/kubepods-besteffort-pod01234567_89ab_cdef_0123_456789abcdef.slice/x", uid);
	expect_pod("kubepods/burstable/pod0123456789abcdef0123456789abcdef/" ID, hash);
	expect_pod("docker/" ID, "");
	expect_pod("", "");
	expect_pod("pod/podman/pod01234567-89ab-cdef-0123-456789abcde", "");
	expect_pod("podxyz34567-89ab-cdef-0123-456789abcdef", "");
	expect_pod("machine.slice/evil-pod01234567_89ab_cdef_0123_456789abcdef.slice", "");
}

/* A record holds only so many components: the outer ones may be missing. */
static void deep_paths_say_so(void **state)
{
	(void)state;
	expect("a/b/c/d/e/f/g/h/i/j/k/l", "…/a/b/c/d/e/f/g/h/i/j/k/l", "");
	expect("b/c/d/e/f/g/h/i/j/k/l", "/b/c/d/e/f/g/h/i/j/k/l", "");
}

static void not_known_is_not_the_root(void **state)
{
	struct ev_exec *rec = record("");
	struct arena a = {0};

	(void)state;
	rec->cgroup = 0;
	assert_null(cgroup_path(&a, rec).p);
	arena_release(&a);
	free(rec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(runtimes),
	    cmocka_unit_test(the_innermost_container_counts),
	    cmocka_unit_test(pods_by_their_uid), cmocka_unit_test(what_is_no_container),
	    cmocka_unit_test(deep_paths_say_so),
	    cmocka_unit_test(not_known_is_not_the_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
