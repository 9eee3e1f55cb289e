/* SPDX-License-Identifier: Apache-2.0 */
#include <yyjson.h>

#include "base/text.h"
#include "span/assembler.h"

#define NAME_MAX_SHOWN 80 /* columns of a name from traffic */

static void add_name(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *key, struct slice name)
{
	struct buf line = {0};

	text_line(&line, name, NAME_MAX_SHOWN);
	if (name.n)
		yyjson_mut_obj_add_strncpy(doc, o, key, line.p, line.n);
	else
		yyjson_mut_obj_add_null(doc, o, key);
	buf_release(&line);
}

static struct slice name_of(const struct flight *f)
{
	if (f->conversation && f->conversation->agent_name.n)
		return f->conversation->agent_name;
	return f->process ? slice_str(f->process->exe) : (struct slice){0};
}

static void add_flight(const struct spans *sp, yyjson_mut_doc *doc, yyjson_mut_val *flights,
                       const struct flight *f)
{
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, flights);
	uint64_t start = flight_start(f);

	add_name(doc, o, "agent", name_of(f));
	yyjson_mut_obj_add_uint(doc, o, "pid", f->call->conn.id.proc.tgid);
	add_name(doc, o, "model", f->call->request_model);
	yyjson_mut_obj_add_uint(doc, o, "began", sp->conf.clock ? clock_map_wall(sp->conf.clock, start) : 0);
}

void spans_live_json(const struct spans *sp, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
	yyjson_mut_val *flights = yyjson_mut_arr(doc);
	const struct flight *f;
	uint64_t n = 0;

	LIST_FOREACH(f, &sp->flights, in_all)
	if (n++ < SPANS_LIVE_MAX)
		add_flight(sp, doc, flights, f);
	yyjson_mut_obj_add_uint(doc, root, "in_flight", n);
	yyjson_mut_obj_add_val(doc, root, "flights", flights);
}
