/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "store/block.h"
#include "store/db.h"
#include "store/number.h"
#include "store/search.h"
#include "store/value.h"

#define INLINE_MAX 1024 /* longer texts are values */
#define SHORT_PIECE                                                                                          \
	48 /* shorter ones stand in the list: a block takes more than twice that besides its bytes */
#define LISTS_MAX   256       /* remembered, and */
#define ITEMS_MAX   (1 << 18) /* pieces in all of them: 8 MiB */
#define OF_ONE_KIND 4         /* remembered of one attribute of one conversation: sub-agents take turns */
#define LOOK_AROUND 64        /* pieces of the other list that are looked at for one that moved */

struct item {
	struct block_hash hash;
	int64_t num; /* 0: it stands in the list */
};

struct list {
	int64_t trace, span; /* rows; span 0: the slot is free */
	enum attr_key key;
	unsigned depth;
	uint64_t used_at;
	struct item *v;
	size_t n;
};

struct values {
	struct list lists[LISTS_MAX];
	uint64_t clock;
	size_t items;
};

struct values *values_new(void)
{
	return xcalloc(1, sizeof(struct values));
}

static void forget(struct values *v, struct list *l)
{
	v->items -= l->n;
	free(l->v);
	*l = (struct list){0};
}

void values_forget(struct values *v)
{
	for (size_t i = 0; i < LISTS_MAX; i++)
		forget(v, &v->lists[i]);
}

void values_forget_trace(struct values *v, int64_t trace)
{
	for (size_t i = 0; i < LISTS_MAX; i++)
		if (v->lists[i].trace == trace)
			forget(v, &v->lists[i]);
}

void values_free(struct values *v)
{
	if (v)
		values_forget(v);
	free(v);
}

bool value_is(const struct span *s, const struct attr *a)
{
	const struct attr_def *def = &attr_defs[a->key];

	if (def->type != ATTR_STR)
		return def->type == ATTR_STRS && def->local;
	return a->n_cuts || a->str.n > INLINE_MAX || def->local || search_wants(s, a->key);
}

static struct slice piece(const struct attr *a, size_t i, size_t n)
{
	size_t from = i ? a->cuts[i - 1] : 0, to = i + 1 < n ? a->cuts[i] : a->str.n;

	return slice_of(a->str.p + from, to - from);
}

/* Pieces that both have at the same place, counted from the front and from the end. */
static size_t alike(const struct list *a, const struct item *v, size_t n)
{
	size_t shorter = a->n < n ? a->n : n, front = 0, back = 0;

	while (front < shorter && memcmp(&a->v[front].hash, &v[front].hash, sizeof(v->hash)) == 0)
		front++;
	while (back < shorter - front &&
	       memcmp(&a->v[a->n - 1 - back].hash, &v[n - 1 - back].hash, sizeof(v->hash)) == 0)
		back++;
	return front + back;
}

/* The list of this attribute in this conversation that resembles the new one most, the newest of equals. */
static struct list *find_base(struct values *v, int64_t trace, enum attr_key key, const struct item *items,
                              size_t n)
{
	struct list *best = NULL;
	size_t best_alike = 0;

	for (struct list *l = v->lists; l < v->lists + LISTS_MAX; l++) {
		if (!l->span || l->trace != trace || l->key != key)
			continue;
		size_t same = alike(l, items, n);
		if (!best || same > best_alike || (same == best_alike && l->used_at > best->used_at)) {
			best = l;
			best_alike = same;
		}
	}
	if (best)
		best->used_at = ++v->clock;
	return best && best->depth < FULL_EVERY - 1 ? best : NULL;
}

/* A free slot: the oldest of its kind when there are enough of these, else the oldest of all. */
static struct list *slot(struct values *v, int64_t trace, enum attr_key key)
{
	struct list *oldest = v->lists, *oldest_kin = NULL, *free_one = NULL;
	size_t kin = 0;

	for (struct list *l = v->lists; l < v->lists + LISTS_MAX; l++) {
		if (!l->span)
			free_one = l;
		else if (!oldest->span || l->used_at < oldest->used_at)
			oldest = l;
		if (!l->span || l->trace != trace || l->key != key)
			continue;
		kin++;
		if (!oldest_kin || l->used_at < oldest_kin->used_at)
			oldest_kin = l;
	}
	struct list *l = kin >= OF_ONE_KIND ? oldest_kin : free_one ? free_one : oldest;
	forget(v, l);
	return l;
}

static void drop_oldest(struct values *v)
{
	struct list *oldest = NULL;

	for (struct list *l = v->lists; l < v->lists + LISTS_MAX; l++)
		if (l->span && (!oldest || l->used_at < oldest->used_at))
			oldest = l;
	if (oldest)
		forget(v, oldest);
}

static void remember(struct values *v, const struct list *l)
{
	while (v->items && v->items + l->n > ITEMS_MAX)
		drop_oldest(v);
	struct list *at = slot(v, l->trace, l->key);
	*at = *l;
	at->used_at = ++v->clock;
	v->items += l->n;
}

/* Where `item` stands in `base`, near `at`; base->n: nowhere near. */
static size_t look_around(const struct list *base, size_t at, const struct item *item)
{
	for (size_t d = 0; d < LOOK_AROUND; d++) {
		if (at + d < base->n && memcmp(&base->v[at + d].hash, &item->hash, sizeof(item->hash)) == 0)
			return at + d;
		if (d && d <= at && memcmp(&base->v[at - d].hash, &item->hash, sizeof(item->hash)) == 0)
			return at - d;
	}
	return base->n;
}

/* One text on its way into the store. */
struct writing {
	struct store *st;
	const struct span *s;
	const struct attr *a;
	int64_t span, trace;
	const struct list *base; /* NULL: a full list */
	struct list list;
	struct buf out;
	int64_t last_num;
};

/* Copies as many pieces from the base as are equal from here on; how many. */
static size_t put_copy(struct writing *w, size_t i, size_t from)
{
	size_t n = 0;

	while (i + n < w->list.n && from + n < w->base->n &&
	       memcmp(&w->base->v[from + n].hash, &w->list.v[i + n].hash, sizeof(struct block_hash)) == 0) {
		w->list.v[i + n].num = w->base->v[from + n].num;
		n++;
	}
	number_put(&w->out, (uint64_t)n << 2);
	number_put(&w->out, from);
	return n;
}

/* A block of its own, which says at once whether its text is in the index. */
static int put_new(struct writing *w, struct slice text, const struct block_hash *hash, struct block *b)
{
	struct buf words = {0};
	bool indexed = search_text(w->st, w->s, w->a->key, w->trace, text, &words);
	int r = block_add(w->st, text, hash, indexed ? SEARCH_RULES : 0, b);

	if (r == 0)
		r = block_use(w->st, b, w->trace, w->span);
	if (r >= 0 && indexed)
		r = search_add(w->st, b->num, buf_slice(&words));
	buf_release(&words);
	return r;
}

/* A block that there is: its text may be new in this conversation, and not in the index. */
static int put_known(struct writing *w, struct slice text, const struct block *b)
{
	struct buf words = {0};
	int r = block_use(w->st, b, w->trace, w->span);

	if (r == 1 && !b->indexed && search_text(w->st, w->s, w->a->key, w->trace, text, &words)) {
		r = search_add(w->st, b->num, buf_slice(&words));
		if (r == 0)
			r = search_mark(w->st, b->num);
	}
	buf_release(&words);
	return r;
}

static int put_piece(struct writing *w, size_t i)
{
	struct slice text = piece(w->a, i, w->list.n);
	struct block b;

	if (text.n <= SHORT_PIECE && !search_wants(w->s, w->a->key)) {
		number_put(&w->out, (uint64_t)text.n << 2 | 2);
		buf_addslice(&w->out, text);
		return 0;
	}
	int r = block_find(w->st, &w->list.v[i].hash, &b);
	if (r == 0)
		r = put_new(w, text, &w->list.v[i].hash, &b);
	else if (r > 0)
		r = put_known(w, text, &b);
	if (r < 0)
		return r;
	number_put(&w->out, number_zigzag(b.num - w->last_num) << 2 | 1);
	w->list.v[i].num = w->last_num = b.num;
	return 0;
}

static int put_pieces(struct writing *w)
{
	size_t near = 0;
	int r = 0;

	for (size_t i = 0; i < w->list.n && r == 0;) {
		size_t at = w->base ? look_around(w->base, near, &w->list.v[i]) : 0;

		if (w->base && at < w->base->n) {
			size_t n = put_copy(w, i, at);

			i += n;
			near = at + n;
		} else {
			r = put_piece(w, i++);
		}
	}
	return r;
}

static int insert(struct writing *w)
{
	sqlite3_stmt *q =
	    db_stmt(w->st, STMT_VALUE_INSERT,
	            "INSERT INTO value (span, attribute, base, depth, size, list) VALUES (?,?,?,?,?,?)");

	if (!q)
		return db_errno(w->st->db);
	sqlite3_bind_int64(q, 1, w->span);
	sqlite3_bind_int64(q, 2, w->st->attributes[w->a->key]);
	if (w->base)
		sqlite3_bind_int64(q, 3, w->base->span);
	sqlite3_bind_int(q, 4, (int)w->list.depth);
	sqlite3_bind_int64(q, 5, (int64_t)w->a->str.n);
	sqlite3_bind_blob64(q, 6, w->out.p ? w->out.p : "", w->out.n, SQLITE_STATIC);
	return db_run(w->st, q);
}

static int put(struct store *st, const struct span *s, const struct attr *a, int64_t span, int64_t trace)
{
	size_t n = a->n_cuts < PIECES_MAX ? a->n_cuts + 1 : PIECES_MAX;
	struct writing w = {.st = st, .s = s, .a = a, .span = span, .trace = trace};

	w.list = (struct list){.trace = trace, .span = span, .key = a->key, .n = n};
	w.list.v = xcalloc(n, sizeof(*w.list.v));
	for (size_t i = 0; i < n; i++)
		w.list.v[i].hash = block_hash(st, piece(a, i, n));
	w.base = find_base(st->values, trace, a->key, w.list.v, n);
	w.list.depth = w.base ? w.base->depth + 1 : 0;
	int r = put_pieces(&w);
	if (r == 0)
		r = insert(&w);
	if (r == 0)
		remember(st->values, &w.list);
	else
		free(w.list.v);
	buf_release(&w.out);
	return r;
}

/* Several strings as one text: a line each, and a cut behind each line. */
static int put_strs(struct store *st, const struct span *s, const struct attr *a, int64_t span, int64_t trace)
{
	struct buf text = {0};
	uint32_t *cuts = xcalloc(a->strs.n, sizeof(*cuts));
	size_t n = a->strs.n;

	for (size_t i = 0; i < n; i++) {
		buf_addslice(&text, a->strs.v[i]);
		buf_addc(&text, '\n');
		cuts[i] = (uint32_t)text.n;
	}
	struct attr lines = {.key = a->key, .str = buf_slice(&text), .cuts = cuts, .n_cuts = n ? n - 1 : 0};
	int r = put(st, s, &lines, span, trace);
	free(cuts);
	buf_release(&text);
	return r;
}

int values_put(struct store *st, const struct span *s, int64_t span, int64_t trace)
{
	int r = 0;

	for (size_t i = 0; i < s->n_attrs && r == 0; i++) {
		const struct attr *a = &s->attrs[i];

		if (value_is(s, a))
			r = (attr_defs[a->key].type == ATTR_STRS ? put_strs : put)(st, s, a, span, trace);
	}
	return r;
}
