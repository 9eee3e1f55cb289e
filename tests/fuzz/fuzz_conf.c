/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct buf keys, all;
	unsigned line, entries, errors;
};

static void on_entry(void *ctx, unsigned line, struct slice key, struct slice value)
{
	struct seen *s = ctx;

	if (line <= s->line || key.n == 0 || key.n > CONF_KEY_MAX || value.n > CONF_VALUE_MAX ||
	    (value.n && memchr(value.p, '\n', value.n)))
		abort();
	s->line = line;
	s->entries++;
	/* The same again, quoted. */
	buf_addslice(&s->all, key);
	for (size_t i = 0; value.p && i <= value.n; i++) {
		if (i == 0)
			buf_adds(&s->all, " = \"");
		if (i < value.n && (value.p[i] == '"' || value.p[i] == '\\'))
			buf_addc(&s->all, '\\');
		if (i < value.n)
			buf_addc(&s->all, value.p[i]);
		else
			buf_addc(&s->all, '"');
	}
	buf_addc(&s->all, '\n');
	buf_addslice(&s->keys, key);
	buf_addc(&s->keys, value.p ? '=' : ';');
	buf_addslice(&s->keys, value);
	buf_addc(&s->keys, '\n');
}

static void on_error(void *ctx, unsigned line, const char *what)
{
	struct seen *s = ctx;

	if (line < s->line || !what[0] || ++s->errors > CONF_ERRORS_MAX + 1)
		abort();
	s->line = line;
}

/* Whatever was understood, written anew in quotes, is understood the same way. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct conf_events events = {on_entry, on_error};
	struct seen once = {0}, twice = {0};
	bool ok = conf_parse(slice_of(data, size), &events, &once);

	if (ok != (once.errors == 0))
		abort();
	if (!conf_parse(buf_slice(&once.all), &events, &twice) ||
	    !slice_eq(buf_slice(&once.keys), buf_slice(&twice.keys)))
		abort();
	buf_release(&once.keys);
	buf_release(&once.all);
	buf_release(&twice.keys);
	buf_release(&twice.all);
	return 0;
}
