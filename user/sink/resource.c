/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"
#include "sink/otlp_attrs.h"
#include "sink/resource.h"

struct resource {
	struct arena arena;
	struct otlp_text v[RESOURCE_GIVEN_MAX + 8];
	size_t n;
};

static const enum attr_key place_keys[RESOURCE_PLACE] = {ATTR_CONTAINER_ID, ATTR_K8S_POD_UID,
                                                         ATTR_K8S_POD_NAME, ATTR_K8S_NAMESPACE_NAME};

/* Over what was there before of this name. */
static void put(struct resource *r, struct slice name, struct slice value)
{
	size_t i = 0;

	while (i < r->n && !slice_eq(slice_str(r->v[i].name), name))
		i++;
	if (i == sizeof(r->v) / sizeof(r->v[0]))
		return;
	r->n += i == r->n;
	r->v[i] = (struct otlp_text){arena_dup(&r->arena, name).p, arena_dup(&r->arena, value)};
}

/* --- the variables --- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool decode(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '%') {
			buf_addc(out, s.p[i]);
			continue;
		}
		int high = i + 2 < s.n ? digit(s.p[i + 1]) : -1, low = i + 2 < s.n ? digit(s.p[i + 2]) : -1;

		if (high < 0 || low < 0 || high + low == 0)
			return false;
		buf_addc(out, (char)(high << 4 | low));
		i += 2;
	}
	return text_valid(buf_slice(out)) == out->n;
}

/* One name=value; what is wrong, NULL: nothing. `r` NULL: it is only looked at. */
static const char *take(struct slice item, struct resource *r)
{
	struct slice name, value = item;
	struct buf key = {0}, text = {0};
	const char *wrong = NULL;

	slice_cut(&value, '=', &name);
	name = slice_trim(name);
	if (!value.p)
		wrong = "'=' is missing";
	else if (!decode(name, &key) || !decode(slice_trim(value), &text))
		wrong = "it is not percent-encoded UTF-8";
	else if (!key.n)
		wrong = "the name is missing";
	else if (r)
		put(r, buf_slice(&key), buf_slice(&text));
	buf_release(&key);
	buf_release(&text);
	return wrong;
}

static const char *take_list(struct slice list, struct resource *r, struct slice *ret_item)
{
	const char *wrong = NULL;
	size_t n = 0;

	*ret_item = (struct slice){"", 0};
	if (list.n > RESOURCE_LIST_MAX)
		return "it is longer than 16 KiB";
	while (!wrong && slice_cut(&list, ',', ret_item)) {
		if (slice_trim(*ret_item).n == 0)
			continue;
		wrong = ++n > RESOURCE_GIVEN_MAX ? "there are more than 64 attributes" : take(*ret_item, r);
	}
	return wrong;
}

bool resource_check(const char *list, struct buf *ret_error)
{
	struct slice item;
	const char *wrong = list ? take_list(slice_str(list), NULL, &item) : NULL;

	if (!wrong)
		return true;
	buf_adds(ret_error, "OTEL_RESOURCE_ATTRIBUTES is ignored: at '");
	text_line(ret_error, item, 60);
	buf_addf(ret_error, "' %s; the form is name=value,name=value", wrong);
	return false;
}

/* --- the host --- */

/* NAME="…" and VERSION_ID="…" of os-release(5); quotes are taken off, what is escaped in them is left out. */
static void os_release(struct resource *r)
{
	static const struct {
		struct slice key;
		const char *name;
	} fields[] = {{{"NAME=", 5}, "os.name"}, {{"VERSION_ID=", 11}, "os.version"}};
	char text[4096];
	int fd = open("/etc/os-release", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
	struct slice rest = slice_of(text, n > 0 ? (size_t)n : 0), line;

	if (fd >= 0)
		close(fd);
	while (rest.n && slice_cut(&rest, '\n', &line))
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
			if (!slice_starts(line, fields[i].key))
				continue;
			struct slice v = slice_from(line, fields[i].key.n);
			if (v.n >= 2 && (v.p[0] == '"' || v.p[0] == '\'') && v.p[v.n - 1] == v.p[0])
				v = slice_of(v.p + 1, v.n - 2);
			if (v.n && !memchr(v.p, '\\', v.n) && text_valid(v) == v.n)
				put(r, slice_str(fields[i].name), v);
		}
}

/* host.arch as the conventions spell it. */
static const char *arch_of(const char *machine)
{
	static const char *const names[][2] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(machine, names[i][0]) == 0)
			return names[i][1];
	return machine;
}

struct resource *resource_new(void)
{
	const char *list = getenv("OTEL_RESOURCE_ATTRIBUTES"), *service = getenv("OTEL_SERVICE_NAME");
	struct resource *r = xcalloc(1, sizeof(*r));
	char host[HOST_NAME_MAX + 1] = "";
	struct slice item;
	struct utsname u;

	put(r, SLICE("service.name"), SLICE("spantap"));
	if (gethostname(host, sizeof(host) - 1) == 0 && host[0])
		put(r, SLICE("host.name"), slice_str(host));
	if (uname(&u) == 0)
		put(r, SLICE("host.arch"), slice_str(arch_of(u.machine)));
	put(r, SLICE("os.type"), SLICE("linux"));
	os_release(r);
	if (list && !take_list(slice_str(list), NULL, &item))
		take_list(slice_str(list), r, &item);
	if (service && *service && text_valid(slice_str(service)) == strlen(service))
		put(r, SLICE("service.name"), slice_str(service));
	return r;
}

void resource_free(struct resource *r)
{
	if (!r)
		return;
	arena_release(&r->arena);
	free(r);
}

/* --- places --- */

struct resource_place resource_place(const struct span *s)
{
	struct resource_place p = {{{NULL, 0}}};

	for (size_t i = 0; i < RESOURCE_PLACE; i++) {
		const struct attr *a = span_get(s, place_keys[i]);

		if (a)
			p.v[i] = a->str;
	}
	return p;
}

bool resource_place_same(const struct resource_place *a, const struct resource_place *b)
{
	for (size_t i = 0; i < RESOURCE_PLACE; i++)
		if (!slice_eq(a->v[i], b->v[i]))
			return false;
	return true;
}

struct resource_place resource_place_dup(struct arena *a, const struct resource_place *p)
{
	struct resource_place copy;

	for (size_t i = 0; i < RESOURCE_PLACE; i++)
		copy.v[i] = arena_dup(a, p->v[i]);
	return copy;
}

static bool is_ours(const char *name)
{
	return strncmp(name, "telemetry.sdk.", 14) == 0;
}

size_t resource_texts(const struct resource *r, const struct resource_place *p,
                      struct otlp_text ret[RESOURCE_MAX])
{
	const struct otlp_text sdk[] = {{"telemetry.sdk.name", SLICE("spantap")},
	                                {"telemetry.sdk.language", SLICE("c")},
	                                {"telemetry.sdk.version", SLICE(SPANTAP_VERSION)}};
	size_t n = 0;

	if (!r)
		ret[n++] = (struct otlp_text){"service.name", SLICE("spantap")};
	for (size_t i = 0; r && i < r->n; i++) {
		bool of_place = is_ours(r->v[i].name);

		for (size_t k = 0; k < RESOURCE_PLACE; k++)
			of_place |= p->v[k].n && strcmp(r->v[i].name, attr_defs[place_keys[k]].name) == 0;
		if (!of_place)
			ret[n++] = r->v[i];
	}
	for (size_t i = 0; i < sizeof(sdk) / sizeof(sdk[0]); i++)
		ret[n++] = sdk[i];
	for (size_t k = 0; k < RESOURCE_PLACE; k++)
		if (p->v[k].n)
			ret[n++] = (struct otlp_text){attr_defs[place_keys[k]].name, p->v[k]};
	return n;
}
