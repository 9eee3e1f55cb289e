// SPDX-License-Identifier: Apache-2.0
/*
 * types - are the members that the BPF programs read there in the running kernel?
 *
 * vmlinux/core.h is written by hand.  Every access to it is a CO-RE relocation
 * in the object's section .BTF.ext (Documentation/bpf/btf.rst, "core_relo"):
 * the type's name and a path of member numbers.  The same path, by names, must
 * lead somewhere in the kernel's BTF, unless a program asks with
 * bpf_core_field_exists() whether it does, or whether another member of the type does.  A line for each, with
 * tabs:
 *
 *   TYPE  task_struct.mm.arg_start  ok | absent | optional (absent, but asked for)
 *
 * Exit 1: something is absent, or cannot be read.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_PARTS 16
#define SEEN_MAX       1024

/* The header of .BTF.ext; libbpf keeps its own to itself. */
struct ext_header {
	__u16 magic;
	__u8 version, flags;
	__u32 hdr_len, func_info_off, func_info_len, line_info_off, line_info_len, core_relo_off,
	    core_relo_len;
};

struct section {
	__u32 name_off, n;
	struct bpf_core_relo relos[];
};

static const struct btf_type *resolve(const struct btf *btf, __u32 id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = btf__type_by_id(btf, t->type);
	return t;
}

static const char *name(const struct btf *btf, __u32 off)
{
	const char *s = btf__name_by_offset(btf, off);

	return s ? s : "";
}

/* The type of member `wanted` of `t`, also within its anonymous members; NULL: none. */
static const struct btf_type *member_type(const struct btf *btf, const struct btf_type *t, const char *wanted)
{
	const struct btf_member *m = btf_members(t);

	for (__u16 i = 0; i < btf_vlen(t); i++) {
		const struct btf_type *of = resolve(btf, m[i].type), *inner = NULL;

		if (!strcmp(name(btf, m[i].name_off), wanted))
			return of;
		if (!m[i].name_off && of && btf_is_composite(of))
			inner = member_type(btf, of, wanted);
		if (inner)
			return inner;
	}
	return NULL;
}

/* Names of the members behind "0:3:1" of local type `t`; anonymous ones and array elements have none. */
static int member_names(const struct btf *btf, const struct btf_type *t, const char *access,
                        const char *names[])
{
	int n = 0;
	char *p;

	strtoul(access, &p, 10); /* the pointer's own index */
	while (*p == ':' && n < PATH_MAX_PARTS) {
		unsigned long i = strtoul(p + 1, &p, 10);

		if (t && btf_is_array(t)) {
			t = resolve(btf, btf_array(t)->type);
			continue;
		}
		if (!t || !btf_is_composite(t) || i >= btf_vlen(t))
			return -EINVAL;
		if (btf_members(t)[i].name_off)
			names[n++] = name(btf, btf_members(t)[i].name_off);
		t = resolve(btf, btf_members(t)[i].type);
	}
	return n;
}

/* By name, without the "___flavour" that tells apart what one name meant in several kernels. */
static const struct btf_type *kernel_type(const struct btf *kernel, const char *local, __u32 kind)
{
	char plain[128];
	const char *flavour = strstr(local, "___");

	snprintf(plain, sizeof(plain), "%.*s", flavour ? (int)(flavour - local) : 127, local);
	__s32 id = btf__find_by_name_kind(kernel, plain, kind);
	return id > 0 ? resolve(kernel, (__u32)id) : NULL;
}

static bool is_in_kernel(const struct btf *kernel, const struct btf_type *t, const char *names[], int n)
{
	for (int i = 0; t && i < n; i++) {
		while (btf_is_array(t))
			t = resolve(kernel, btf_array(t)->type);
		t = btf_is_composite(t) ? member_type(kernel, t, names[i]) : NULL;
	}
	return t != NULL;
}

struct seen {
	char path[256];
	bool present, asked;
};

static struct seen seen[SEEN_MAX];
static int n_seen;

static void note(const struct btf *local, const struct btf *kernel, const struct bpf_core_relo *relo)
{
	const struct btf_type *given = btf__type_by_id(local, relo->type_id),
	                      *root = resolve(local, relo->type_id);
	const char *names[PATH_MAX_PARTS], *access = name(local, relo->access_str_off);
	struct seen s = {.asked = relo->kind == BPF_CORE_FIELD_EXISTS || relo->kind == BPF_CORE_TYPE_EXISTS};
	const char *type = name(local, given->name_off);
	int n = root && btf_is_composite(root) ? member_names(local, root, access, names) : 0, i = 0;

	if (relo->kind == BPF_CORE_TYPE_ID_LOCAL)
		return;
	size_t len = (size_t)snprintf(s.path, sizeof(s.path), "%s", type);
	for (int k = 0; k < n && len < sizeof(s.path); k++)
		len += (size_t)snprintf(s.path + len, sizeof(s.path) - len, ".%s", names[k]);
	s.present = n >= 0 && is_in_kernel(kernel, kernel_type(kernel, type, btf_kind(given)), names, n);
	while (i < n_seen && strcmp(seen[i].path, s.path))
		i++;
	if (i == SEEN_MAX)
		exit(1);
	if (i == n_seen)
		seen[n_seen++] = s;
	seen[i].asked |= s.asked;
}

static int read_relocations(const struct btf *local, const struct btf_ext *ext, const struct btf *kernel)
{
	__u32 size;
	const char *raw = btf_ext__raw_data(ext, &size);
	const struct ext_header *h = (const void *)raw;
	const char *p = raw + h->hdr_len + h->core_relo_off, *end = p + h->core_relo_len;

	if (h->hdr_len < sizeof(*h) || !h->core_relo_len || end > raw + size ||
	    *(const __u32 *)p != sizeof(struct bpf_core_relo))
		return -EINVAL;
	for (p += sizeof(__u32); p < end;) {
		const struct section *s = (const void *)p;

		for (__u32 i = 0; i < s->n; i++)
			note(local, kernel, &s->relos[i]);
		p += sizeof(*s) + s->n * sizeof(s->relos[0]);
	}
	return 0;
}

/* Length of the type's name in a path, without flavour. */
static size_t type_length(const char *path)
{
	const char *flavour = strstr(path, "___");
	size_t n = strcspn(path, ".");

	return flavour && flavour < path + n ? (size_t)(flavour - path) : n;
}

/* Whether a program asks for this member, or for that of the same type that takes its place. */
static bool asked_for(const char *path)
{
	size_t n = type_length(path);

	for (int i = 0; i < n_seen; i++)
		if (seen[i].asked && type_length(seen[i].path) == n && !strncmp(seen[i].path, path, n))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	struct btf_ext *ext = NULL;
	struct btf *local = argc == 2 ? btf__parse_elf(argv[1], &ext) : NULL;
	struct btf *kernel = btf__load_vmlinux_btf();
	int absent = 0;

	if (!local || !ext || !kernel || read_relocations(local, ext, kernel)) {
		fprintf(stderr, "usage: types OBJECT (with .BTF.ext), on a kernel with BTF\n");
		return 1;
	}
	for (int i = 0; i < n_seen; i++) {
		bool optional = asked_for(seen[i].path);

		absent += !seen[i].present && !optional;
		printf("TYPE\t%s\t%s\n", seen[i].path,
		       seen[i].present ? "ok"
		       : optional ? "optional"
		                       : "absent");
	}
	btf__free(kernel);
	btf_ext__free(ext);
	btf__free(local);
	return absent > 0;
}
