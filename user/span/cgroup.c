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

void cgroup_container(const struct ev_exec *rec, char ret[CONTAINER_ID_LEN + 1])
{
	struct slice rest = names_of(rec), name, id = {NULL, 0};

	while (!id.n && rest.n && slice_cut(&rest, '\0', &name))
		id = id_in(name);
	memcpy(ret, id.n ? id.p : "", id.n);
	ret[id.n] = '\0';
}
