/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"
#include "store/block.h"
#include "store/db.h"
#include "store/number.h"
#include "store/value.h"

#define ITEMS_MAX (1 << 20)    /* pieces of lists remembered, above that they are read again */
#define TEXT_MAX  (256u << 20) /* of one value: the largest span (sink.c) */

struct item {
	int64_t num; /* 0: the bytes stand here */
	struct slice bytes;
};

/* A list in full, whatever it was based on. */
struct list {
	struct item *v;
	size_t n;
	size_t size; /* bytes of the text */
	struct arena arena;
};

struct values_read {
	struct map lists; /* by list_id */
	size_t items;
};

struct list_id {
	int64_t span, attribute;
};

static void list_free(struct list *l)
{
	arena_release(&l->arena);
	free(l->v);
	free(l);
}

static void forget(struct values_read *r)
{
	struct map_entry *e;

	map_foreach (&r->lists, e)
		list_free(e->value);
	map_release(&r->lists);
	r->items = 0;
}

void values_read_forget(struct values_read *r)
{
	if (r)
		forget(r);
}

void values_read_free(struct values_read *r)
{
	if (r)
		forget(r);
	free(r);
}

static int damaged(struct store *st)
{
	return db_fail(st, -EBADMSG, "the store '%s' is damaged: a text cannot be put together", st->dir);
}

static bool take_copy(struct list *l, size_t *cap, struct slice *in, uint64_t n, const struct list *base)
{
	uint64_t from;

	if (!base || !number_get(in, &from) || from > base->n || n > base->n - from || l->n + n > PIECES_MAX)
		return false;
	xgrow(&l->v, cap, l->n + n, sizeof(*l->v));
	memcpy(l->v + l->n, base->v + from, n * sizeof(*l->v));
	for (size_t i = l->n; i < l->n + n; i++)
		l->v[i].bytes = arena_dup(&l->arena, l->v[i].bytes);
	l->n += n;
	return true;
}

static bool take_entry(struct list *l, size_t *cap, struct slice *in, const struct list *base, int64_t *num)
{
	uint64_t head;
	struct item item = {0};

	if (!number_get(in, &head))
		return false;
	switch (head & 3) {
	case 0:
		return take_copy(l, cap, in, head >> 2, base);
	case 1:
		item.num = *num += number_unzigzag(head >> 2);
		break;
	case 2:
		if (head >> 2 > in->n)
			return false;
		item.bytes = arena_dup(&l->arena, slice_of(in->p, head >> 2));
		*in = slice_from(*in, head >> 2);
		break;
	default:
		return false;
	}
	if (l->n >= PIECES_MAX)
		return false;
	xgrow(&l->v, cap, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = item;
	return true;
}

/* The row of one value: its list as it is written, the span that it is based on (0: none). */
static int read_row(struct store *st, struct list_id id, struct buf *list, int64_t *base, size_t *size)
{
	sqlite3_stmt *q =
	    db_stmt(st, STMT_VALUE_GET, "SELECT base, size, list FROM value WHERE span=? AND attribute=?");

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_int64(q, 1, id.span);
	sqlite3_bind_int64(q, 2, id.attribute);
	int step = sqlite3_step(q);
	if (step == SQLITE_ROW) {
		*base = sqlite3_column_int64(q, 0);
		*size = (size_t)sqlite3_column_int64(q, 1);
		buf_add(list, sqlite3_column_blob(q, 2), (size_t)sqlite3_column_bytes(q, 2));
	}
	sqlite3_reset(q);
	return step == SQLITE_ROW ? 0 : step == SQLITE_DONE ? -ENOENT : db_error(st, "cannot read the store");
}

static int get_list(struct store *st, struct list_id id, unsigned depth, const struct list **ret)
{
	struct values_read *known = st->values_read;
	struct list *l = map_get(&known->lists, &id, sizeof(id));
	const struct list *base = NULL;
	struct buf bytes = {0};
	int64_t base_span = 0, num = 0;
	size_t size = 0, cap = 0;

	if (l) {
		*ret = l;
		return 0;
	}
	int r = depth < FULL_EVERY ? read_row(st, id, &bytes, &base_span, &size) : damaged(st);
	if (r == 0 && base_span) {
		r = get_list(st, (struct list_id){base_span, id.attribute}, depth + 1, &base);
		r = r == -ENOENT ? damaged(st) : r;
	}
	if (r) {
		buf_release(&bytes);
		return r;
	}
	l = xcalloc(1, sizeof(*l));
	l->size = size;
	struct slice in = buf_slice(&bytes);
	while (in.n && r == 0)
		r = take_entry(l, &cap, &in, base, &num) ? 0 : damaged(st);
	buf_release(&bytes);
	if (r == 0 && size > TEXT_MAX)
		r = damaged(st);
	if (r) {
		list_free(l);
		return r;
	}
	map_put(&known->lists, &id, sizeof(id), l);
	known->items += l->n;
	*ret = l;
	return 0;
}

/* Lines as the strings that they were. */
static void set_lines(struct span *s, enum attr_key key, struct slice text, const uint32_t *ends, size_t n)
{
	struct slice *v = arena_alloc(&s->arena, (n + 1) * sizeof(*v));
	size_t from = 0, kept = 0;

	for (size_t i = 0; i < n; from = ends[i++])
		if (ends[i] > from)
			v[kept++] = slice_of(text.p + from, ends[i] - from - 1);
	span_set_strs(s, key, v, kept);
}

/* The text that the list stands for, and its cuts, in the memory of `s`. */
static int put_together(struct store *st, const struct list *l, enum attr_key key, struct span *s)
{
	char *text = arena_alloc(&s->arena, l->size + 1);
	uint32_t *cuts = arena_alloc(&s->arena, (l->n + 1) * sizeof(*cuts));
	size_t at = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct slice piece = l->v[i].bytes;
		int r = l->v[i].num ? block_get(st, l->v[i].num, &piece) : 0;

		if (r)
			return r;
		if (piece.n > l->size - at)
			return damaged(st);
		memcpy(text + at, piece.n ? piece.p : "", piece.n);
		at += piece.n;
		cuts[i] = (uint32_t)at;
	}
	if (at != l->size)
		return damaged(st);
	if (attr_defs[key].type == ATTR_STRS)
		set_lines(s, key, slice_of(text, at), cuts, l->n);
	else
		span_own_pieces(s, key, slice_of(text, at), l->n > 1 ? cuts : NULL, l->n > 1 ? l->n - 1 : 0);
	return 0;
}

int value_get(struct store *st, int64_t span, enum attr_key key, struct span *s)
{
	const struct list *l = NULL;
	struct list_id id = {span, st->attributes[key]};

	if (!st->values_read)
		st->values_read = xcalloc(1, sizeof(*st->values_read));
	if (st->values_read->items > ITEMS_MAX)
		forget(st->values_read);
	int r = id.attribute ? get_list(st, id, 0, &l) : -ENOENT;
	return r ? r : put_together(st, l, key, s);
}

int values_get(struct store *st, int64_t span, struct span *s)
{
	sqlite3_stmt *q = db_stmt(st, STMT_VALUES, "SELECT attribute FROM value WHERE span=?");
	int64_t ids[ATTR_KEYS];
	size_t n = 0;
	int step, r = 0;

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_int64(q, 1, span);
	while ((step = sqlite3_step(q)) == SQLITE_ROW && n < ATTR_KEYS)
		ids[n++] = sqlite3_column_int64(q, 0);
	sqlite3_reset(q);
	if (step != SQLITE_DONE && step != SQLITE_ROW)
		return db_error(st, "cannot read the store");
	for (size_t i = 0; i < n && r == 0; i++)
		for (int key = 0; key < ATTR_KEYS; key++)
			if (st->attributes[key] == ids[i] && !attr_defs[key].local)
				r = value_get(st, span, (enum attr_key)key, s);
	return r;
}
