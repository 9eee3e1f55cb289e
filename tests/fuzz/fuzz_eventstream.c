/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a program: each step is a byte that says what to write (a
 * message with right checksums around the bytes that follow, those bytes as
 * they are, a byte changed in what was written), a length, and the bytes.  Any
 * cut must give the same messages, with a gap too.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include "llm/json.h"
#include "proto/eventstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_message(void *ctx, uint64_t ts, const struct eventstream_message *m)
{
	const struct slice fields[] = {m->message_type,  m->event_type,   m->exception_type, m->error_code,
	                               m->error_message, m->content_type, m->payload};
	struct buf *log = ctx;

	(void)ts;
	yyjson_doc_free(json_read(m->payload)); /* as its reader does */
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		buf_addf(log, "%zu:", fields[i].n);
		buf_addslice(log, fields[i]);
	}
}

static void be32(struct buf *out, uint32_t v)
{
	for (int i = 24; i >= 0; i -= 8)
		buf_addc(out, (char)(v >> i));
}

static void crc(struct buf *out, size_t from)
{
	be32(out, (uint32_t)crc32(0, (const Bytef *)out->p + from, (uInt)(out->n - from)));
}

static void message(struct buf *out, struct slice body, size_t n_headers)
{
	size_t from = out->n;

	be32(out, (uint32_t)(12 + body.n + 4));
	be32(out, (uint32_t)(n_headers < body.n ? n_headers : body.n));
	crc(out, from);
	buf_addslice(out, body);
	crc(out, from);
}

static void write_all(struct buf *out, struct slice program)
{
	while (program.n >= 2) {
		unsigned char what = (unsigned char)program.p[0], n = (unsigned char)program.p[1];
		struct slice body;

		program = slice_from(program, 2);
		body = slice_of(program.p, n < program.n ? n : program.n);
		program = slice_from(program, body.n);
		if (what & 1)
			message(out, body, what >> 1);
		else if (what & 2)
			buf_addslice(out, body);
		else if (out->n)
			out->p[(what >> 2) % out->n] ^= 1;
	}
}

static void run(struct buf *log, struct slice s, size_t piece, size_t gap)
{
	struct eventstream es;
	size_t at = 0;

	eventstream_init(&es, on_message, log);
	while (at < s.n) {
		size_t n = s.n - at < piece ? s.n - at : piece;

		if (at < gap && at + n > gap)
			n = gap - at;
		eventstream_feed(&es, 1, slice_of(s.p + at, n));
		at += n;
		if (at == gap)
			eventstream_gap(&es);
	}
	buf_addf(log, "%d %llu", eventstream_finish(&es), (unsigned long long)es.dropped);
	eventstream_release(&es);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf in = {0}, whole = {0}, cut = {0};

	if (size < 2)
		return 0;
	write_all(&in, slice_of(data + 2, size - 2));
	run(&whole, buf_slice(&in), SIZE_MAX, data[1]);
	run(&cut, buf_slice(&in), 1u + data[0] % 40, data[1]);
	if (!slice_eq(buf_slice(&whole), buf_slice(&cut)))
		abort();
	buf_release(&in);
	buf_release(&whole);
	buf_release(&cut);
	return 0;
}
