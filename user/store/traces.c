/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "store/db.h"

int store_traces(struct store *st, uint8_t (**ret)[16], size_t *ret_n)
{
	uint8_t(*v)[16] = NULL;
	size_t n = 0, cap = 0;
	int step;
	sqlite3_stmt *q = db_stmt(st, STMT_TRACES, "SELECT trace FROM trace ORDER BY start_wall_ns, trace");

	if (!q)
		return db_errno(st->db);
	while ((step = sqlite3_step(q)) == SQLITE_ROW) {
		if (sqlite3_column_bytes(q, 0) != 16)
			continue;
		xgrow(&v, &cap, n + 1, sizeof(*v));
		memcpy(v[n++], sqlite3_column_blob(q, 0), 16);
	}
	int r = step == SQLITE_DONE ? 0 : db_error(st, "cannot read the store");
	sqlite3_reset(q);
	if (r) {
		free(v);
		return r;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}
