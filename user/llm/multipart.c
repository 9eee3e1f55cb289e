/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/buf.h"
#include "llm/multipart.h"

struct field {
	struct slice name, filename, type;
	bool is_file;
};

bool multipart_is(struct slice content_type)
{
	const struct slice word = SLICE("multipart/form-data");

	return content_type.n >= word.n && slice_caseeq(slice_of(content_type.p, word.n), word);
}

/* A parameter of a header value: name=value or name="value". */
static struct slice parameter(struct slice header, struct slice name)
{
	struct slice part;

	while (slice_cut(&header, ';', &part)) {
		part = slice_trim(part);
		if (part.n <= name.n || !slice_caseeq(slice_of(part.p, name.n), name) ||
		    part.p[name.n] != '=')
			continue;
		part = slice_from(part, name.n + 1);
		if (part.n >= 2 && part.p[0] == '"' && part.p[part.n - 1] == '"')
			part = slice_of(part.p + 1, part.n - 2);
		return part;
	}
	return (struct slice){0};
}

static struct field field_of(struct slice head)
{
	struct field f = {0};
	struct slice line, name;

	while (slice_cut(&head, '\n', &line)) {
		if (!slice_cut(&line, ':', &name))
			continue;
		if (slice_caseeq(slice_trim(name), SLICE("content-disposition"))) {
			f.name = parameter(line, SLICE("name"));
			f.filename = parameter(line, SLICE("filename"));
		} else if (slice_caseeq(slice_trim(name), SLICE("content-type"))) {
			f.type = slice_trim(line);
		}
	}
	f.is_file = f.filename.p != NULL;
	if (slice_ends(f.name, SLICE("[]")))
		f.name.n -= 2;
	return f;
}

static size_t digits(struct slice s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	return n;
}

/* As JSON writes it, without an exponent. */
static bool is_number(struct slice s)
{
	size_t whole;

	if (s.n && s.n < 32 && s.p[0] == '-')
		s = slice_from(s, 1);
	whole = digits(s);
	if (!whole || s.n >= 32 || (whole > 1 && s.p[0] == '0'))
		return false;
	s = slice_from(s, whole);
	return !s.n || (s.p[0] == '.' && s.n > 1 && digits(slice_from(s, 1)) == s.n - 1);
}

static yyjson_mut_val *value_of(yyjson_mut_doc *doc, const struct field *f, struct slice value)
{
	yyjson_mut_val *v;

	if (f->is_file) {
		v = yyjson_mut_obj(doc);
		yyjson_mut_obj_add_strn(doc, v, "filename", f->filename.p, f->filename.n);
		yyjson_mut_obj_add_strn(doc, v, "type", f->type.p ? f->type.p : "", f->type.n);
		yyjson_mut_obj_add_uint(doc, v, "bytes", value.n);
		return v;
	}
	if (slice_eq(value, SLICE("true")) || slice_eq(value, SLICE("false")))
		return yyjson_mut_bool(doc, value.n == 4);
	if (is_number(value))
		return yyjson_mut_rawn(doc, value.p, value.n);
	if (value.n > MULTIPART_VALUE_MAX)
		value.n = MULTIPART_VALUE_MAX;
	return yyjson_mut_strn(doc, value.p, value.n);
}

static void add(yyjson_mut_doc *doc, const struct field *f, struct slice value)
{
	yyjson_mut_val *root = yyjson_mut_doc_get_root(doc), *v = value_of(doc, f, value);
	yyjson_mut_val *old = yyjson_mut_obj_getn(root, f->name.p, f->name.n), *list;

	if (!f->name.n)
		return;
	if (!old) {
		yyjson_mut_obj_add(root, yyjson_mut_strn(doc, f->name.p, f->name.n), v);
	} else if (yyjson_mut_is_arr(old)) {
		yyjson_mut_arr_append(old, v);
	} else {
		list = yyjson_mut_arr(doc);
		yyjson_mut_arr_append(list, yyjson_mut_val_mut_copy(doc, old));
		yyjson_mut_arr_append(list, v);
		yyjson_mut_obj_put(root, yyjson_mut_strn(doc, f->name.p, f->name.n), list);
	}
}

/* The part up to the next delimiter, which starts with CRLF or LF; false at the end of the form. */
static bool next_part(struct slice *rest, struct slice delimiter, struct slice *ret)
{
	const char *at = slice_find(*rest, delimiter);
	size_t n;

	if (!at)
		return false;
	n = (size_t)(at - rest->p);
	*ret = slice_of(rest->p, n);
	if (ret->n && ret->p[ret->n - 1] == '\r')
		ret->n--;
	*rest = slice_from(*rest, n + delimiter.n);
	return true;
}

static void add_part(yyjson_mut_doc *doc, struct slice part)
{
	const char *at = slice_find(part, SLICE("\r\n\r\n"));
	size_t blank = 4;
	struct field f;

	if (!at) {
		at = slice_find(part, SLICE("\n\n"));
		blank = 2;
	}
	if (!at)
		return;
	f = field_of(slice_of(part.p, (size_t)(at - part.p)));
	add(doc, &f, slice_from(part, (size_t)(at - part.p) + blank));
}

/* Written out and read again: numbers are raw then, and the strings lie in the arena. */
static yyjson_doc *reread(struct arena *a, yyjson_mut_doc *doc)
{
	size_t n;
	char *text = yyjson_mut_write_opts(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL, &n, NULL);
	yyjson_doc *read = text ? json_read_into(a, slice_of(text, n)) : NULL;

	free(text);
	return read;
}

yyjson_doc *multipart_read(struct arena *a, struct slice content_type, struct slice body)
{
	struct slice boundary = parameter(content_type, SLICE("boundary")), rest = body, part;
	struct buf delimiter = {0};
	yyjson_mut_doc *doc;
	yyjson_doc *read = NULL;
	size_t n = 0;

	if (!boundary.n || boundary.n > 200)
		return NULL;
	doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_doc_set_root(doc, yyjson_mut_obj(doc));
	buf_addf(&delimiter, "\n--%.*s", (int)boundary.n, boundary.p);

	/* The first delimiter has no line end in front of it. */
	if (slice_starts(rest, slice_from(buf_slice(&delimiter), 1))) {
		rest = slice_from(rest, delimiter.n - 1);
		for (; !slice_starts(rest, SLICE("--")) && next_part(&rest, buf_slice(&delimiter), &part);
		     n++)
			if (n < MULTIPART_FIELDS_MAX)
				add_part(doc, part);
		if (n && slice_starts(rest, SLICE("--")))
			read = reread(a, doc);
	}
	yyjson_mut_doc_free(doc);
	buf_release(&delimiter);
	return read;
}
