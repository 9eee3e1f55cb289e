/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/map.h"
#include "base/text.h"
#include "store/block.h"
#include "store/db.h"
#include "store/search.h"

#define TEXT_MAX  (1 << 20) /* bytes of one piece that are indexed: 50 ms of work */
#define DEPTH_MAX 32        /* of strings within arguments and results */
#define TEXTS_MAX 65536     /* texts remembered as indexed: 4 MiB */

/* Arguments and results of tools stand in the messages as well; those of MCP requests may not. */
bool search_wants(const struct span *s, enum attr_key key)
{
	if (key == ATTR_TOOL_CALL_ARGUMENTS || key == ATTR_TOOL_CALL_RESULT)
		return s->kind == SPAN_MCP;
	return s->kind == SPAN_CHAT && (key == ATTR_INPUT_MESSAGES || key == ATTR_OUTPUT_MESSAGES);
}

static void add_string(struct buf *out, yyjson_val *v)
{
	size_t n = yyjson_get_len(v), room = out->n < TEXT_MAX ? TEXT_MAX - out->n : 0;

	buf_add(out, yyjson_get_str(v), n < room ? n : room);
	buf_addc(out, '\n');
}

/* Every string in `v`; keys are not text. */
static void add_strings(struct buf *out, yyjson_val *v, unsigned depth)
{
	size_t i, n;
	yyjson_val *key, *e;

	if (yyjson_is_str(v))
		add_string(out, v);
	if (depth == DEPTH_MAX)
		return;
	yyjson_arr_foreach(v, i, n, e) add_strings(out, e, depth + 1);
	yyjson_obj_foreach(v, i, n, key, e) add_strings(out, e, depth + 1);
}

/* The parts of a message that are said: "content", "arguments", "response". */
static void add_part(struct buf *out, yyjson_val *part)
{
	static const char *const said[] = {"content", "arguments", "response"};

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		yyjson_val *v = yyjson_obj_get(part, said[i]);

		if (v)
			add_strings(out, v, 0);
	}
}

static bool add_messages(struct buf *out, yyjson_val *messages)
{
	size_t i, n, k, m;
	yyjson_val *message, *part;
	bool any = false;

	yyjson_arr_foreach(messages, i, n, message)
	{
		yyjson_val *parts = yyjson_obj_get(message, "parts");

		any |= yyjson_is_arr(parts);
		yyjson_arr_foreach(parts, k, m, part) add_part(out, part);
	}
	return any;
}

/* The messages of a piece, which is some elements of an array, perhaps with a bracket or comma at its ends.
 */
static yyjson_doc *parse(struct slice piece)
{
	struct buf json = {0};

	while (piece.n && strchr(" \t\r\n,[", piece.p[0]))
		piece = slice_from(piece, 1);
	while (piece.n && strchr(" \t\r\n,]", piece.p[piece.n - 1]))
		piece.n--;
	buf_addc(&json, '[');
	buf_addslice(&json, piece);
	buf_addc(&json, ']');
	yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
	buf_release(&json);
	return doc;
}

/* What is indexed of a piece (SEARCH_RULES 1): the strings of its messages, else the piece as it is. */
static void text_of(struct buf *out, struct slice piece)
{
	struct buf text = {0};
	yyjson_doc *doc = parse(piece);

	if (!add_messages(&text, yyjson_doc_get_root(doc)))
		buf_addslice(&text, slice_of(piece.p, piece.n < TEXT_MAX ? piece.n : TEXT_MAX));
	text_utf8(out, buf_slice(&text));
	yyjson_doc_free(doc);
	buf_release(&text);
}

/* One piece says what another one of this conversation said, as history repeats an answer: once is enough. */
static bool said_before(struct store *st, int64_t trace, struct slice text)
{
	struct {
		int64_t trace;
		struct block_hash hash;
	} key = {trace, block_hash(st, text)};

	if (map_get(st->texts, &key, sizeof(key)))
		return true;
	if (st->texts->n >= TEXTS_MAX)
		map_release(st->texts);
	map_put(st->texts, &key, sizeof(key), st);
	return false;
}

static int run_on(struct store *st, sqlite3_stmt *q, int64_t num, struct slice text)
{
	if (!q)
		return db_errno(st->db);
	sqlite3_bind_int64(q, 1, num);
	if (text.p)
		sqlite3_bind_text64(q, 2, text.p, text.n, SQLITE_STATIC, SQLITE_UTF8);
	return db_run(st, q);
}

int search_add(struct store *st, int64_t num, struct slice text)
{
	return run_on(st, db_stmt(st, STMT_SEARCH_ADD, "INSERT INTO words (rowid, text) VALUES (?,?)"), num,
	              text);
}

int search_mark(struct store *st, int64_t num)
{
	return run_on(st, db_stmt(st, STMT_SEARCH_MARK, "UPDATE block SET indexed=1 WHERE num=?"), num,
	              (struct slice){0});
}

_Static_assert(SEARCH_RULES == 1, "the mark above");

bool search_text(struct store *st, const struct span *s, enum attr_key key, int64_t trace, struct slice piece,
                 struct buf *out)
{
	if (!search_wants(s, key))
		return false;
	text_of(out, piece);
	return out->n && !said_before(st, trace, buf_slice(out));
}

int search_erase(struct store *st, int64_t num)
{
	struct buf text = {0};
	struct slice piece;
	int r = block_get(st, num, &piece);

	if (r)
		return r;
	text_of(&text, piece);
	/* The index holds no text: it has to be told what was in it. */
	r = run_on(
	    st,
	    db_stmt(st, STMT_SEARCH_ERASE, "INSERT INTO words (words, rowid, text) VALUES ('delete',?,?)"),
	    num, buf_slice(&text));
	buf_release(&text);
	return r;
}

/* Searching */

/*
 * A table of one text, in memory.  It tells which words the tokenizer of the
 * index makes of the query, whether a text has its phrases, and where.
 */
#define SCRATCH                                                                                              \
	"CREATE VIRTUAL TABLE IF NOT EXISTS temp.one USING fts5(text);"                                      \
	"CREATE VIRTUAL TABLE IF NOT EXISTS temp.one_word USING fts5vocab(temp, one, row);"

struct searching {
	struct store *st;
	struct arena *a;
	size_t limit;
	struct buf match; /* the query as FTS5 wants it */
	bool phrases;     /* words in a row: each text is looked at */
	sqlite3_stmt *put, *snippet, *candidates;
	struct map found; /* conversation and text: two pieces may say the same */
	struct store_hit *v;
	size_t n;
};

static int prepare(struct searching *s, sqlite3_stmt **ret, const char *sql)
{
	return sqlite3_prepare_v2(s->st->db, sql, -1, ret, NULL) == SQLITE_OK
	           ? 0
	           : db_error(s->st, "cannot search the store");
}

static int put_one(struct searching *s, struct slice text)
{
	sqlite3_bind_text64(s->put, 1, text.p ? text.p : "", text.n, SQLITE_STATIC, SQLITE_UTF8);
	return db_run(s->st, s->put);
}

/* One word or "several in a row" of the query; false at its end. */
static bool next_term(struct slice *rest, struct slice *term)
{
	*rest = slice_trim(*rest);
	if (!rest->n)
		return false;
	bool quoted = rest->p[0] == '"';
	if (quoted)
		*rest = slice_from(*rest, 1);
	size_t n = 0;
	while (n < rest->n && (quoted ? rest->p[n] != '"' : !strchr(" \t\r\n\"", rest->p[n])))
		n++;
	*term = slice_of(rest->p, n);
	*rest = slice_from(*rest, n + (quoted && n < rest->n));
	return true;
}

static void add_quoted(struct buf *out, struct slice text)
{
	buf_adds(out, out->n ? " AND \"" : "\"");
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '"')
			buf_addc(out, '"');
		if (text.p[i])
			buf_addc(out, text.p[i]);
	}
	buf_addc(out, '"');
}

/* The words that the tokenizer makes of `term`, each added to `words`; their number in *ret. */
static int add_words(struct searching *s, struct slice term, struct buf *words, size_t *ret)
{
	sqlite3_stmt *q = NULL;
	int r = put_one(s, term);

	*ret = 0;
	if (r == 0)
		r = prepare(s, &q, "SELECT term FROM temp.one_word");
	while (r == 0 && sqlite3_step(q) == SQLITE_ROW) {
		add_quoted(words, db_column(q, 0));
		++*ret;
	}
	sqlite3_finalize(q);
	return r;
}

/* Fills s->match with the terms and `words` with the single words of the query. */
static int read_query(struct searching *s, struct slice query, struct buf *words)
{
	struct buf valid = {0};
	struct slice rest, term;
	int r = 0;

	text_utf8(&valid, query);
	rest = buf_slice(&valid);
	while (r == 0 && next_term(&rest, &term)) {
		size_t n;

		r = add_words(s, term, words, &n);
		if (r == 0 && n)
			add_quoted(&s->match, term);
		s->phrases |= n > 1;
	}
	buf_release(&valid);
	if (r == 0 && !words->n)
		r = db_fail(s->st, -EINVAL, "nothing to search for: give a word");
	return r;
}

/* The place in the text where the query matches; *ret absent when it does not. */
static int look_at(struct searching *s, int64_t num, struct slice *ret, struct block_hash *ret_text)
{
	struct buf text = {0};
	struct slice piece;
	int r = block_get(s->st, num, &piece);

	*ret = (struct slice){0};
	if (r == 0) {
		text_of(&text, piece);
		r = put_one(s, buf_slice(&text));
		*ret_text = block_hash(s->st, buf_slice(&text));
	}
	if (r == 0) {
		sqlite3_bind_text64(s->snippet, 1, s->match.p, s->match.n, SQLITE_STATIC, SQLITE_UTF8);
		if (sqlite3_step(s->snippet) == SQLITE_ROW)
			*ret = arena_dup(s->a, db_column(s->snippet, 0));
		sqlite3_reset(s->snippet);
	}
	buf_release(&text);
	return r;
}

static bool is_known(struct searching *s, const void *trace, struct block_hash text)
{
	uint8_t key[16 + sizeof(text)];

	memcpy(key, trace, 16);
	memcpy(key + 16, &text, sizeof(text));
	return map_put(&s->found, key, sizeof(key), s) != NULL;
}

/* A hit for each conversation that has the piece. */
static int add_hits(struct searching *s, int64_t num, struct slice snippet, struct block_hash text)
{
	sqlite3_stmt *q =
	    db_stmt(s->st, STMT_SEARCH_USERS,
	            "SELECT span.trace, span.id, span.start_wall_ns, span.kind,"
	            " CASE WHEN span.kind=2 THEN (SELECT count(*) FROM span AS c WHERE c.trace=span.trace AND"
	            " c.kind=2 AND (c.start_ns, c.id) <= (span.start_ns, span.id)) END FROM used"
	            " JOIN span ON span.seq=used.span WHERE used.block=? ORDER BY used.trace DESC");

	if (!q)
		return db_errno(s->st->db);
	sqlite3_bind_int64(q, 1, num);
	while (s->n < s->limit && sqlite3_step(q) == SQLITE_ROW) {
		if (sqlite3_column_bytes(q, 0) != 16 || sqlite3_column_bytes(q, 1) != 8 ||
		    is_known(s, sqlite3_column_blob(q, 0), text))
			continue;
		struct store_hit *h = arena_push(s->a, &s->v, &s->n, sizeof(*h));
		memcpy(h->trace, sqlite3_column_blob(q, 0), 16);
		memcpy(h->span, sqlite3_column_blob(q, 1), 8);
		h->start_wall = (uint64_t)sqlite3_column_int64(q, 2);
		h->kind = (enum span_kind)sqlite3_column_int(q, 3);
		h->call = (uint64_t)sqlite3_column_int64(q, 4);
		h->snippet = snippet;
	}
	sqlite3_reset(q);
	return 0;
}

static int collect(struct searching *s, struct slice words)
{
	int r = 0, step = SQLITE_DONE;

	sqlite3_bind_text64(s->candidates, 1, words.p, words.n, SQLITE_STATIC, SQLITE_UTF8);
	while (r == 0 && s->n < s->limit && (step = sqlite3_step(s->candidates)) == SQLITE_ROW) {
		int64_t num = sqlite3_column_int64(s->candidates, 0);
		struct slice snippet;
		struct block_hash text;

		r = look_at(s, num, &snippet, &text);
		if (r == 0 && (snippet.p || !s->phrases))
			r = add_hits(s, num, snippet, text);
	}
	return r                                           ? r
	       : step == SQLITE_DONE || step == SQLITE_ROW ? 0
	                                                   : db_error(s->st, "cannot search the store");
}

int store_search(struct store *st, struct slice query, size_t limit, struct arena *a, struct store_hit **ret,
                 size_t *ret_n)
{
	struct searching s = {.st = st, .a = a, .limit = limit};
	struct buf words = {0};
	int r = db_exec(st, SCRATCH);

	if (r == 0)
		r = prepare(&s, &s.put, "REPLACE INTO temp.one (rowid, text) VALUES (1, ?)");
	if (r == 0)
		r = prepare(&s, &s.snippet,
		            "SELECT snippet(one, 0, '', '', '…', 24) FROM temp.one WHERE one MATCH ?");
	if (r == 0)
		r = prepare(&s, &s.candidates,
		            "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC");
	if (r == 0)
		r = read_query(&s, query, &words);
	if (r == 0)
		r = collect(&s, buf_slice(&words));
	sqlite3_finalize(s.put);
	sqlite3_finalize(s.snippet);
	sqlite3_finalize(s.candidates);
	map_release(&s.found);
	buf_release(&words);
	buf_release(&s.match);
	if (r == 0) {
		*ret = s.v;
		*ret_n = s.n;
	}
	return r;
}
