/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <yyjson.h>

#include "store/db.h"
#include "store/figures.h"

_Static_assert(SPAN_TURN == 1 && SPAN_CHAT == 2 && SPAN_TOOL == 3, "kinds in the SQL below");

static yyjson_val *get(yyjson_val *attributes, enum attr_key key)
{
	return yyjson_obj_get(attributes, attr_defs[key].name);
}

static struct slice text(yyjson_val *attributes, enum attr_key key)
{
	yyjson_val *v = get(attributes, key);

	return yyjson_is_str(v) ? slice_of(yyjson_get_str(v), yyjson_get_len(v)) : (struct slice){0};
}

static int64_t count(yyjson_val *attributes, enum attr_key key)
{
	yyjson_val *v = get(attributes, key);

	return yyjson_is_int(v) && yyjson_get_sint(v) >= 0 ? yyjson_get_sint(v) : LLM_NONE;
}

static double ns(yyjson_val *attributes, enum attr_key key)
{
	yyjson_val *v = get(attributes, key);

	return yyjson_is_num(v) ? yyjson_get_num(v) * 1e9 : (double)NAN;
}

/* The time that the chunks behind the first one took, shared among them. */
static double chunk_gap(const struct store_figure *f, int64_t chunks)
{
	double rest = (double)f->duration - f->first_token;

	return f->complete && chunks >= 2 && rest >= 0 ? rest / (double)(chunks - 1) : (double)NAN;
}

static void read_call(struct store_figure *f, yyjson_val *a)
{
	f->request_model = text(a, ATTR_REQUEST_MODEL);
	f->host = text(a, ATTR_SERVER_ADDRESS);
	f->operation = text(a, ATTR_OPERATION_NAME);
	f->service_tier = text(a, ATTR_OPENAI_RESPONSE_SERVICE_TIER);
	f->usage = (struct llm_usage){
	    .input = count(a, ATTR_USAGE_INPUT_TOKENS),
	    .output = count(a, ATTR_USAGE_OUTPUT_TOKENS),
	    .cache_read = count(a, ATTR_USAGE_CACHE_READ),
	    .cache_creation = count(a, ATTR_USAGE_CACHE_CREATION),
	    .reasoning = count(a, ATTR_USAGE_REASONING),
	};
	f->first_token = ns(a, ATTR_TIME_TO_FIRST_CHUNK);
	f->chunk_gap = chunk_gap(f, count(a, ATTR_CALL_CHUNKS));
}

static void read_columns(sqlite3_stmt *q, struct store_figure *f)
{
	*f = (struct store_figure){
	    .kind = (enum span_kind)sqlite3_column_int(q, 0),
	    .start_wall = (uint64_t)sqlite3_column_int64(q, 2),
	    .duration = (uint64_t)sqlite3_column_int64(q, 3),
	    .failed = sqlite3_column_int(q, 4) == SPAN_ERROR,
	    .complete = sqlite3_column_int(q, 5) != 0,
	    .agent = db_column(q, 6),
	    .provider = db_column(q, 7),
	    .model = db_column(q, 8),
	    .command = db_column(q, 9),
	    .usage = {LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE},
	    .first_token = (double)NAN,
	    .chunk_gap = (double)NAN,
	};
	if (sqlite3_column_bytes(q, 1) == sizeof(f->trace))
		memcpy(f->trace, sqlite3_column_blob(q, 1), sizeof(f->trace));
}

static int read_figure(struct store *st, sqlite3_stmt *q, struct store_figure *f, yyjson_doc **ret_doc)
{
	read_columns(q, f);
	if (f->kind == SPAN_TURN)
		return 0;
	struct slice json = db_column(q, 10);
	yyjson_doc *doc = json.n ? yyjson_read(json.p, json.n, 0) : NULL;
	yyjson_val *a = yyjson_doc_get_root(doc);

	*ret_doc = doc;
	if (!yyjson_is_obj(a))
		return db_fail(st, -EBADMSG, "the store '%s' holds a span that cannot be read", st->dir);
	if (f->kind == SPAN_CHAT)
		read_call(f, a);
	else
		f->tool = text(a, ATTR_TOOL_NAME);
	return 0;
}

static int64_t bounded(uint64_t wall_ns)
{
	return wall_ns > INT64_MAX ? INT64_MAX : (int64_t)wall_ns;
}

#define COLUMNS                                                                                              \
	"SELECT kind, trace, start_wall_ns, max(end_ns - start_ns, 0), status, coalesce(complete, 1), "      \
	"agent,"                                                                                             \
	" provider, model, (SELECT command FROM capture WHERE id = span.capture),"                           \
	" CASE WHEN kind <> 1 THEN attributes END FROM span"

static int read_figures(struct store *st, sqlite3_stmt *q,
                        void (*each)(void *ctx, const struct store_figure *f), void *ctx)
{
	int r = 0, step = SQLITE_DONE;

	while (r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
		struct store_figure f;
		yyjson_doc *doc = NULL;

		r = read_figure(st, q, &f, &doc);
		if (r == 0)
			each(ctx, &f);
		yyjson_doc_free(doc);
	}
	if (r == 0 && step != SQLITE_DONE)
		r = db_error(st, "cannot read the store");
	sqlite3_reset(q);
	return r;
}

int store_figures(struct store *st, uint64_t since, uint64_t until,
                  void (*each)(void *ctx, const struct store_figure *f), void *ctx)
{
	/* +kind: in the order of that index the rows would have to be sorted, all of them in memory. */
	sqlite3_stmt *q =
	    db_stmt(st, STMT_FIGURES,
	            COLUMNS " WHERE +kind IN (1,2,3) AND call_kind IS NOT 'relay' AND start_wall_ns >= ?1 AND start_wall_ns < ?2"
	                    " ORDER BY seq");

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_int64(q, 1, bounded(since));
	sqlite3_bind_int64(q, 2, bounded(until));
	return read_figures(st, q, each, ctx);
}

int store_figures_of(struct store *st, const uint8_t trace[16],
                     void (*each)(void *ctx, const struct store_figure *f), void *ctx)
{
	sqlite3_stmt *q =
	    db_stmt(st, STMT_FIGURES_OF, COLUMNS " WHERE trace=? AND +kind IN (1,2,3) AND call_kind IS NOT 'relay' ORDER BY seq");

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_blob(q, 1, trace, 16, SQLITE_TRANSIENT);
	return read_figures(st, q, each, ctx);
}
