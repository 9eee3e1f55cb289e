/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "span/cgroup.h"

/* The path components, innermost first. */
static struct slice names_of(const struct ev_exec *rec)
{
	return slice_of(rec->data + rec->argv_len + rec->cwd_len, rec->cgroup_len);
}

struct slice cgroup_path(struct arena *a, const struct ev_exec *rec)
{
	struct slice parts[EV_CGROUP_DEPTH], rest = names_of(rec);
	struct buf b = {0};
	size_t n = 0;

	if (!rec->cgroup)
		return (struct slice){NULL, 0};
	while (rest.n && n < EV_CGROUP_DEPTH && slice_cut(&rest, '\0', &parts[n]))
		n++;
	if (n == EV_CGROUP_DEPTH || rec->cgroup_len >= EV_CGROUP_MAX)
		buf_adds(&b, "…");
	if (n == 0)
		buf_addc(&b, '/');
	while (n) {
		buf_addc(&b, '/');
		buf_addslice(&b, parts[--n]);
	}

	struct slice s = arena_dup(a, buf_slice(&b));
	buf_release(&b);
	return s;
}

static bool is_id(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
			return false;
	return s.n == CONTAINER_ID_LEN;
}

/* What stands in front of an id: the runtime's name and nothing of the id's own alphabet. */
static bool is_runtime(struct slice before)
{
	static const char *const runtimes[] = {"docker-",  "cri-containerd-", "containerd-",
	                                       "nerdctl-", "crio-",           "libpod-"};

	for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++)
		if (slice_eq(before, slice_str(runtimes[i])))
			return true;
	return before.n == 0 || before.p[before.n - 1] == ':';
}

static struct slice id_in(struct slice name)
{
	struct slice none = {NULL, 0}, id;

	if (slice_ends(name, SLICE(".scope")))
		name.n -= sizeof(".scope") - 1;
	if (name.n < CONTAINER_ID_LEN)
		return none;
	id = slice_from(name, name.n - CONTAINER_ID_LEN);
	name.n -= CONTAINER_ID_LEN;
	return is_id(id) && is_runtime(name) ? id : none;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* 8-4-4-4-12 digits, or 32; ret may be half filled when it is neither. */
static bool read_uid(struct slice s, char ret[POD_UID_LEN + 1])
{
	if (s.n != POD_UID_LEN && s.n != 32)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		bool dash = s.n == POD_UID_LEN && (i == 8 || i == 13 || i == 18 || i == 23);

		if (dash ? s.p[i] != '-' && s.p[i] != '_' : !is_hex(s.p[i]))
			return false;
		ret[i] = dash ? '-' : s.p[i];
	}
	ret[s.n] = '\0';
	return true;
}

static bool pod_in(struct slice name, char ret[POD_UID_LEN + 1])
{
	static const struct slice prefixes[] = {{"pod", 3}, {"kubepods-pod", 12}, {"kubepods-burstable-pod", 22}, {"kubepods-besteffort-pod", 23}};
	bool slice = slice_ends(name, SLICE(".slice"));

	if (slice)
		name.n -= sizeof(".slice") - 1;
	for (size_t i = slice; i < (slice ? sizeof(prefixes) / sizeof(prefixes[0]) : 1); i++)
		if (slice_starts(name, prefixes[i]) && read_uid(slice_from(name, prefixes[i].n), ret))
			return true;
	return false;
}

void cgroup_pod(const struct ev_exec *rec, char ret[POD_UID_LEN + 1])
{
	struct slice rest = names_of(rec), name;

	while (rest.n && slice_cut(&rest, '\0', &name))
		if (pod_in(name, ret))
			return;
	ret[0] = '\0';
}

void cgroup_container(const struct ev_exec *rec, char ret[CONTAINER_ID_LEN + 1])
{
	struct slice rest = names_of(rec), name, id = {NULL, 0};

	while (!id.n && rest.n && slice_cut(&rest, '\0', &name))
		id = id_in(name);
	memcpy(ret, id.n ? id.p : "", id.n);
	ret[id.n] = '\0';
}
