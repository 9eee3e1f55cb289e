/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorded traffic of real providers against expect_tree.json: which calls are
 * one conversation, and which call each one continues.  The exchanges of a file
 * go through proto/, llm/ and span/ in their order, each on a connection of its
 * own:
 *   one process      as the client that was recorded
 *   many processes   each exchange in a process of its own: the messages alone tell
 *
 * A case is a file.  It is strong when all its edges are (the README says which
 * relations are), weak when one is not, single when no call continues another.
 * What is not equal lies in KNOWN: file, ours and what was expected, raw bytes,
 * reason, at most one of a hundred, strong ones only where the raw bytes prove
 * that the expectation is wrong; one that is equal is an error.  With many
 * processes, less is known; there only strong cases count, 99 of a hundred.
 *
 * The directory is taken from SPANTAP_CORPUS, build/corpus/open without it;
 * where there is none, the test says so and is skipped.  SPANTAP_TREE_PROCESSES=many
 * adds the second way.  TREE=TEXT shows the cases whose name contains it.
 */
#include <dirent.h>
#include <stdio.h>

#include "llm/llm.h"
#include "recorded.h"
#include "span/span.h"

#define KNOWN     "tests/golden/known_tree.tsv"
#define CALLS_MAX 256 /* exchanges of a file */
#define SECOND    1000000000ull

enum strength { STRONG, WEAK, SINGLE, STRENGTHS };

static const char *const strength_names[] = {"strong", "weak", "single"};

static const char *const strong[] = {"full",       "previous_response_id", "conversation", "calls_equal",
                                     "text_equal", "prefix_tool_ids",      "tool_ids"};

struct known {
	struct slice file;
	bool seen;
};

static struct known knowns[64];
static size_t n_knowns;

static struct {
	size_t equal, total, known;
} cases[STRENGTHS], edges[STRENGTHS], spawned;

/* What became of an exchange: the attributes as text, empty when it gave no call. */
struct got {
	char chat[17], conversation[17], continues[17];
	size_t number;
};

struct result {
	struct got v[CALLS_MAX];
	struct span tools[CALLS_MAX], turns[CALLS_MAX];
	size_t n_tools, n_turns;
};

static void hex(char ret[17], const uint8_t id[8])
{
	for (size_t i = 0; i < 8; i++)
		snprintf(ret + 2 * i, 3, "%02x", id[i]);
}

static void copy_attr(char ret[17], const struct span *s, enum attr_key key)
{
	const struct attr *a = span_get(s, key);

	if (a)
		snprintf(ret, 17, "%.*s", (int)a->str.n, a->str.p);
}

static void keep(struct span *v, size_t *n, const struct span *s)
{
	struct buf b = {0};

	span_encode(&b, s);
	if (*n < CALLS_MAX && span_decode(buf_slice(&b), &v[*n]) == 0)
		++*n;
	buf_release(&b);
}

/* An exchange begins at its number in seconds. */
static void on_span(void *ctx, const struct span *s)
{
	struct result *r = ctx;
	size_t i = s->start / SECOND;

	if (s->kind == SPAN_TOOL)
		keep(r->tools, &r->n_tools, s);
	if (s->kind == SPAN_TURN)
		keep(r->turns, &r->n_turns, s);
	if (s->kind != SPAN_CHAT || i >= CALLS_MAX)
		return;
	hex(r->v[i].chat, s->id);
	copy_attr(r->v[i].conversation, s, ATTR_CONVERSATION_ID);
	copy_attr(r->v[i].continues, s, ATTR_CALL_CONTINUES);
}

static void replay(yyjson_val *items, bool many, struct result *ret)
{
	static const struct span_events ev = {.span = on_span};
	struct span_conf conf = {.instance = "instance-0123456", .content = CONTENT_NONE};
	struct spans *sp = spans_new(&conf, &ev, ret);
	struct llm *l = llm_new(&spans_llm_events, sp);
	size_t i, n;
	yyjson_val *item;

	yyjson_arr_foreach(items, i, n, item)
	{
		uint32_t pid = many ? 100 + (uint32_t)i : 100;
		struct conn_info info = {
		    .id = {.tls = i, .gen = 1, .proc = {.start = pid, .tgid = pid, .pid = pid}}};
		struct buf rq = {0}, rs = {0};

		if (i < CALLS_MAX && write_exchange(&rq, &rs, item, &(struct transport){0})) {
			struct proto_conn *c = proto_open(&llm_proto_events, l, &info);

			proto_feed(c, EV_DIR_WRITE, i * SECOND + 1, buf_slice(&rq));
			proto_feed(c, EV_DIR_READ, i * SECOND + SECOND / 4, buf_slice(&rs));
			proto_close(c, i * SECOND + SECOND / 2, true);
		}
		buf_release(&rq);
		buf_release(&rs);
		spans_tick(sp, i * SECOND + SECOND / 2);
	}
	llm_free(l);
	spans_finish(sp, n * SECOND);
	spans_free(sp);
}

static bool is_strong(yyjson_val *edge)
{
	struct slice relation = str_of(yyjson_obj_get(edge, "relation"));

	for (size_t i = 0; i < sizeof(strong) / sizeof(*strong); i++)
		if (slice_eq(relation, slice_str(strong[i])))
			return true;
	return false;
}

static size_t index_of(yyjson_val *v)
{
	size_t i = yyjson_is_uint(v) ? yyjson_get_uint(v) : CALLS_MAX;

	return i < CALLS_MAX ? i : CALLS_MAX - 1;
}

/* The call that `child` is expected to continue; NULL: none. */
static yyjson_val *edge_of(yyjson_val *tree, size_t child)
{
	size_t i, n;
	yyjson_val *edge;

	yyjson_arr_foreach(yyjson_obj_get(tree, "edges"), i, n, edge)
	{
		if (index_of(yyjson_obj_get(edge, "child")) == child)
			return edge;
	}
	return NULL;
}

static size_t group_of(yyjson_val *tree, size_t call)
{
	size_t i, n, k, m;
	yyjson_val *group, *member;

	yyjson_arr_foreach(yyjson_obj_get(tree, "groups"), i, n, group)
	{
		yyjson_arr_foreach(group, k, m, member)
		{
			if (index_of(member) == call)
				return i;
		}
	}
	return SIZE_MAX;
}

/* Adds what differs, a line each. */
static void compare(struct buf *out, yyjson_val *tree, const struct result *r)
{
	yyjson_val *calls = yyjson_obj_get(tree, "llm_exchanges"), *v, *w;
	size_t i, n, k, m;

	yyjson_arr_foreach(calls, i, n, v)
	{
		size_t a = index_of(v);
		yyjson_val *edge = edge_of(tree, a);
		const char *want = edge ? r->v[index_of(yyjson_obj_get(edge, "parent"))].chat : "";
		enum strength strength = !edge ? SINGLE : is_strong(edge) ? STRONG : WEAK;
		bool same = r->v[a].chat[0] && strcmp(r->v[a].continues, want) == 0;

		edges[strength].total++;
		edges[strength].equal += same;
		if (!same) {
			size_t got = 0;

			while (got < CALLS_MAX &&
			       (!r->v[a].continues[0] || strcmp(r->v[got].chat, r->v[a].continues) != 0))
				got++;
			buf_addf(out, "  %zu continues %d, expected %d (%s)\n", a,
			         got < CALLS_MAX ? (int)got : -1,
			         edge ? (int)index_of(yyjson_obj_get(edge, "parent")) : -1,
			         edge ? yyjson_get_str(yyjson_obj_get(edge, "relation")) : "none");
		}
		yyjson_arr_foreach(calls, k, m, w)
		{
			size_t b = index_of(w);
			bool together = strcmp(r->v[a].conversation, r->v[b].conversation) == 0;

			if (k > i && together != (group_of(tree, a) == group_of(tree, b)))
				buf_addf(out, "  %zu and %zu are %s conversation\n", a, b,
				         together ? "one" : "not one");
		}
	}
}

/* A sub-agent: a turn of the child's conversation hangs below the tool call. */
static void count_spawned(yyjson_val *tree, const struct result *r)
{
	size_t i, n;
	yyjson_val *hint;

	yyjson_arr_foreach(yyjson_obj_get(tree, "spawn_hint"), i, n, hint)
	{
		struct slice id = str_of(yyjson_obj_get(hint, "tool_call_id"));
		const struct got *child = &r->v[index_of(yyjson_obj_get(hint, "child"))];
		bool found = false;

		for (size_t t = 0; t < r->n_tools; t++) {
			const struct attr *call_id = span_get(&r->tools[t], ATTR_TOOL_CALL_ID);

			for (size_t k = 0; call_id && slice_eq(call_id->str, id) && k < r->n_turns; k++) {
				const struct attr *c = span_get(&r->turns[k], ATTR_CONVERSATION_ID);

				found = found || (memcmp(r->turns[k].parent, r->tools[t].id, 8) == 0 &&
				                  slice_eq(c->str, slice_str(child->conversation)));
			}
		}
		spawned.total++;
		spawned.equal += found;
	}
}

static enum strength strength_of(yyjson_val *tree)
{
	yyjson_val *list = yyjson_obj_get(tree, "edges"), *edge;
	size_t i, n;

	yyjson_arr_foreach(list, i, n, edge)
	{
		if (!is_strong(edge))
			return WEAK;
	}
	return yyjson_arr_size(list) ? STRONG : SINGLE;
}

static struct known *find_known(struct slice file)
{
	for (size_t i = 0; i < n_knowns; i++)
		if (slice_eq(knowns[i].file, file))
			return &knowns[i];
	return NULL;
}

static struct buf differences(yyjson_val *items, yyjson_val *tree, bool many)
{
	struct result *r = xcalloc(1, sizeof(*r));
	struct buf out = {0};

	replay(items, many, r);
	compare(&out, tree, r);
	if (!many)
		count_spawned(tree, r);
	while (r->n_tools)
		span_release(&r->tools[--r->n_tools]);
	while (r->n_turns)
		span_release(&r->turns[--r->n_turns]);
	free(r);
	return out;
}

/* False: it differs and must not, or is equal and was known to differ. */
static bool check_case(const char *dir, struct slice name, yyjson_val *tree, bool many)
{
	enum strength s = strength_of(tree);
	struct known *k = find_known(name);
	struct buf path = {0}, diff;

	buf_addf(&path, "%s/%.*s.json", dir, (int)name.n, name.p);
	yyjson_doc *doc = yyjson_read_file(buf_str(&path), 0, NULL, NULL);
	buf_release(&path);
	if (!doc) {
		printf("MISSING %.*s\n", (int)name.n, name.p);
		return false;
	}
	diff = differences(yyjson_doc_get_root(doc), tree, many);
	yyjson_doc_free(doc);

	bool equal = diff.n == 0, right = equal != (k != NULL);
	if (k)
		k->seen = true;
	cases[s].total++;
	cases[s].equal += equal;
	cases[s].known += k && !equal;
	if (many)
		right = true;
	else if (k && equal)
		printf("KNOWN %.*s does not differ any more: remove it\n", (int)name.n, name.p);
	if (!right || (getenv("TREE") && slice_find(name, slice_str(getenv("TREE")))))
		printf("%s %.*s (%s)\n%s", right ? "CASE" : "DIFF", (int)name.n, name.p, strength_names[s],
		       buf_str(&diff));
	buf_release(&diff);
	return right;
}

static void read_known(struct buf *text)
{
	FILE *f = fopen(KNOWN, "r");
	char chunk[4096];
	struct slice rest, line, name;

	for (size_t n; f && (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
		buf_add(text, chunk, n);
	if (f)
		fclose(f);
	for (rest = buf_slice(text); slice_cut(&rest, '\n', &line);) {
		if (!line.n || line.p[0] == '#' || !slice_cut(&line, '\t', &name))
			continue;
		if (n_knowns < sizeof(knowns) / sizeof(*knowns))
			knowns[n_knowns++].file = name;
	}
}

static bool check_all(const char *dir, yyjson_val *trees, bool many)
{
	size_t i, n, total = 0, known = 0;
	yyjson_val *key, *tree;
	bool right = true;

	memset(cases, 0, sizeof(cases));
	memset(edges, 0, sizeof(edges));
	yyjson_obj_foreach(trees, i, n, key, tree) right = check_case(dir, str_of(key), tree, many) && right;
	for (int s = 0; s < STRENGTHS; s++) {
		printf("FIGURE %s processes: %s: %zu of %zu cases equal; %zu of %zu calls %s\n",
		       many ? "many" : "one", strength_names[s], cases[s].equal, cases[s].total,
		       edges[s].equal, edges[s].total,
		       s == SINGLE ? "continue none as expected" : "continue the expected call");
		total += cases[s].total;
		known += cases[s].known;
	}
	if (known * 100 > total) {
		printf("%zu of %zu cases are known to differ: more than one of a hundred\n", known, total);
		right = false;
	}
	/* Where the messages are not repeated as they were, only the process tells. */
	if ((cases[STRONG].total - cases[STRONG].equal) * 100 > cases[STRONG].total)
		right = false;
	return right && total;
}

int main(void)
{
	const char *dir = getenv("SPANTAP_CORPUS"), *processes = getenv("SPANTAP_TREE_PROCESSES");
	struct buf path = {0}, known = {0};

	dir = dir ? dir : "build/corpus/open";
	buf_addf(&path, "%s/expect_tree.json", dir);
	yyjson_doc *doc = yyjson_read_file(buf_str(&path), 0, NULL, NULL);
	buf_release(&path);
	if (!doc) {
		printf(
		    "SKIP test_tree_corpus: no recorded traffic in %s (unpack it, or set SPANTAP_CORPUS)\n",
		    dir);
		return 0;
	}
	read_known(&known);
	bool right = check_all(dir, yyjson_doc_get_root(doc), false);
	printf("FIGURE sub-agents below the call that holds their prompt: %zu of %zu\n", spawned.equal,
	       spawned.total);
	if (processes && strcmp(processes, "many") == 0)
		right = check_all(dir, yyjson_doc_get_root(doc), true) && right;
	for (size_t i = 0; i < n_knowns; i++)
		if (!knowns[i].seen) {
			printf("KNOWN %.*s is no case: remove it\n", (int)knowns[i].file.n, knowns[i].file.p);
			right = false;
		}
	yyjson_doc_free(doc);
	buf_release(&known);
	return !right;
}
