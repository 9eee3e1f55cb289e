/* SPDX-License-Identifier: Apache-2.0 */
/* Which calls are two ends of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "span/far_end.h"

/* The client's end, port 40000 to 11434, or the server's of the same. */
static struct llm_call call_at(bool server, uint16_t port, uint64_t start, uint64_t end)
{
	static char sha[] = "0123456789012345678901234567890123456789012345678901234567890123";
	struct llm_call c = {
	    .is_server = server, .request_start = start, .end = end, .request_sha256 = slice_str(sha)};
	struct conn_info *i = &c.conn;

	i->lib = EV_LIB_SOCKET;
	i->family = AF_INET;
	i->id.tls = server ? 2 : 1;
	i->local_port = server ? 11434 : port;
	i->port = server ? port : 11434;
	i->local_address[0] = server ? 10 : 127;
	i->address[0] = server ? 127 : 10;
	return c;
}

static void test_pairs(void **state)
{
	struct far_ends *f = xcalloc(1, sizeof(*f));
	struct llm_call client = call_at(false, 40000, 100, 200), other = call_at(false, 40001, 100, 200);
	struct llm_call server = call_at(true, 40000, 110, 190), later = call_at(true, 40000, 300, 400);
	struct span_id id = {{1}};

	(void)state;
	assert_false(far_is_followed(f, &server.conn));
	far_conn(f, &server.conn);
	assert_false(far_is_followed(f, &server.conn)); /* it is not its own far end */
	far_conn(f, &client.conn);
	assert_true(far_is_followed(f, &server.conn));
	far_note(f, &other, id, 7);
	assert_null(far_find(f, &server));
	far_note(f, &client, id, 8);
	assert_non_null(far_find(f, &server));
	assert_int_equal(far_find(f, &server)->conversation, 8);
	assert_null(far_find(f, &later)); /* another call on the same connection */
	server.request_sha256 = slice_of(NULL, 0);
	assert_null(far_find(f, &server));
	free(f);
}

static void test_limits(void **state)
{
	struct far_ends *f = xcalloc(1, sizeof(*f));
	struct span_id id = {{1}};

	(void)state;
	for (uint16_t i = 0; i < FAR_CALLS_MAX + 5; i++) {
		struct llm_call c = call_at(false, (uint16_t)(1000 + i), 100, 200);

		far_conn(f, &c.conn);
		far_note(f, &c, id, i + 1u);
	}
	struct llm_call first = call_at(true, 1000, 100, 200),
	                last = call_at(true, 1000 + FAR_CALLS_MAX + 4, 100, 200);
	assert_null(far_find(f, &first));
	assert_false(far_is_followed(f, &first.conn));
	assert_non_null(far_find(f, &last));
	assert_true(far_is_followed(f, &last.conn));
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_pairs), cmocka_unit_test(test_limits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
