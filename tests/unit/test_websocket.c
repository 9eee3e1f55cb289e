/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random sessions, fixed seeds: messages of any size, in fragments, masked, compressed by zlib, with control
 * frames between, in any cut.  What is reported is what was sent, whole and in order; a hole costs what
 * websocket.h says, and never gives a message that was not sent.
 *
 * The recorded sessions of SPANTAP_WEBSOCKETS (default build/corpus/websocket/open) are framed in the same
 * way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <dirent.h>
#include <cmocka.h>
#include <yyjson.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "proto/websocket.h"

static uint64_t rng;

static unsigned rnd(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng >> 11) % n;
}

/* --- what is sent ------------------------------------------------------------------ */

enum { CLIENT, SERVER }; /* EV_DIR_WRITE, EV_DIR_READ: the process is the client */

struct sent {
	struct buf bytes;
	bool text, compressed;
	size_t begin, end; /* offsets in its direction */
	bool hit;          /* a hole overlaps it */
	bool seen;
};

struct session {
	bool deflate, no_takeover[2];
	int window_bits[2];
	z_stream z[2];
	struct sent *sent[2];
	size_t n_sent[2], cap_sent[2];
	struct buf wire[2];
	struct buf kind[2]; /* by byte: 1 of a header, 2 of the payload of a control frame */
	size_t next[2];     /* messages reported so far */
	unsigned gaps[2];   /* body_gaps */
	struct exchange x;
};

static void add_frame(struct session *s, int side, unsigned first, struct slice payload)
{
	struct buf *out = &s->wire[side], *kind = &s->kind[side];
	size_t before = out->n;
	unsigned masked = side == CLIENT ? 128 : 0;
	char mask[4];

	buf_addc(out, (char)first);
	if (payload.n <= 125) {
		buf_addc(out, (char)(masked | payload.n));
	} else if (payload.n <= 65535) {
		buf_addc(out, (char)(masked | 126));
		buf_addc(out, (char)(payload.n >> 8));
		buf_addc(out, (char)payload.n);
	} else {
		buf_addc(out, (char)(masked | 127));
		for (int shift = 56; shift >= 0; shift -= 8)
			buf_addc(out, (char)((uint64_t)payload.n >> shift));
	}
	for (int i = 0; masked && i < 4; i++) {
		mask[i] = (char)rnd(256);
		buf_addc(out, mask[i]);
	}
	for (; before < out->n; before++)
		buf_addc(kind, 1);
	for (size_t i = 0; i < payload.n; i++) {
		buf_addc(out, masked ? (char)(payload.p[i] ^ mask[i & 3]) : payload.p[i]);
		buf_addc(kind, first & 8 ? 2 : 0);
	}
}

static void compress_message(struct session *s, int side, struct slice plain, struct buf *out)
{
	z_stream *z = &s->z[side];

	buf_reserve(out, deflateBound(z, plain.n) + 64);
	z->next_in = (unsigned char *)plain.p;
	z->avail_in = (unsigned)plain.n;
	z->next_out = (unsigned char *)out->p;
	z->avail_out = (unsigned)out->cap;
	assert_int_equal(deflate(z, rnd(4) ? Z_SYNC_FLUSH : Z_FULL_FLUSH), Z_OK);
	assert_true(z->avail_out);
	out->n = out->cap - z->avail_out;
	/* Where zlib has nothing to flush, the message is one empty block (RFC 7692 7.2.3.6). */
	if (out->n < 4) {
		out->n = 0;
		buf_addc(out, 0);
	} else {
		out->n -= 4;
	}
	if (s->no_takeover[side])
		deflateReset(z);
}

/* In fragments, some of them empty, pings and pongs between them. */
static void add_fragments(struct session *s, int side, unsigned first, struct slice payload)
{
	unsigned n = rnd(3) ? 1 : 1 + rnd(5);

	while (n--) {
		size_t size = n ? rnd((unsigned)payload.n + 1) : payload.n;

		add_frame(s, side, first | (n ? 0 : 128), slice_of(payload.p, size));
		payload = slice_from(payload, size);
		first = 0;
		if (n && !rnd(6))
			add_frame(s, side, 0x89 + rnd(2), slice_of("0123456789", rnd(11)));
	}
}

static void add_message(struct session *s, int side, struct slice bytes, bool text)
{
	struct sent *m;
	struct buf packed = {0};

	xgrow(&s->sent[side], &s->cap_sent[side], s->n_sent[side] + 1, sizeof(*m));
	m = &s->sent[side][s->n_sent[side]++];
	*m = (struct sent){.text = text, .begin = s->wire[side].n};
	buf_addslice(&m->bytes, bytes);
	m->compressed = s->deflate && rnd(8);
	if (m->compressed)
		compress_message(s, side, bytes, &packed);
	else
		buf_addslice(&packed, bytes);
	add_fragments(s, side, (text ? 1 : 2) | (m->compressed ? 64 : 0), buf_slice(&packed));
	m->end = s->wire[side].n;
	buf_release(&packed);
}

static void random_message(struct buf *b, unsigned serial, bool text)
{
	static const char *const words[] = {"{\"type\": \"response.delta\", ", "\"audio\": ", "あいう", "x",
	                                    "\"é\"}"};
	unsigned n = rnd(6) ? rnd(20) : rnd(3000);

	buf_addf(b, "%u:", serial);
	while (n--) {
		if (text)
			buf_adds(b, words[rnd(5)]);
		else
			buf_addc(b, rnd(3) ? (char)rnd(256) : 0);
	}
}

/* --- what is reported ---------------------------------------------------------------- */

static void on_message(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, struct slice bytes,
                       bool text)
{
	struct session *s = ctx;
	size_t i = s->next[dir];

	assert_ptr_equal(x, &s->x);
	while (i < s->n_sent[dir] && !slice_eq(buf_slice(&s->sent[dir][i].bytes), bytes))
		i++;
	if (i == s->n_sent[dir])
		fail_msg("a message of %zu bytes that was not sent", bytes.n);
	assert_int_equal(s->sent[dir][i].text, text);
	assert_false(s->sent[dir][i].hit);
	/* Time is the offset in the direction, of the end of what was fed. */
	assert_true(ts >= s->sent[dir][i].end);
	s->sent[dir][i].seen = true;
	s->next[dir] = i + 1;
}

static void on_gap(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, uint64_t n)
{
	(void)x, (void)ts, (void)n;
	((struct session *)ctx)->gaps[dir]++;
}

static const struct proto_events events = {.message = on_message, .body_gap = on_gap};

static void agree(struct session *s, struct buf *header)
{
	static const char *const names[] = {"client", "server"};

	if (!s->deflate)
		return;
	buf_adds(header, "permessage-deflate");
	for (int side = 0; side < 2; side++) {
		if (s->no_takeover[side])
			buf_addf(header, "; %s_no_context_takeover", names[side]);
		if (s->window_bits[side] < 15)
			buf_addf(header, "; %s_max_window_bits=%d", names[side], s->window_bits[side]);
	}
}

static void session_init(struct session *s)
{
	memset(s, 0, sizeof(*s));
	s->deflate = rnd(4);
	for (int side = 0; side < 2; side++) {
		s->no_takeover[side] = rnd(2);
		s->window_bits[side] = rnd(2) ? 15 : 9 + (int)rnd(7);
		assert_int_equal(deflateInit2(&s->z[side], 1 + (int)rnd(9), Z_DEFLATED, -s->window_bits[side],
		                              8, Z_DEFAULT_STRATEGY),
		                 Z_OK);
	}
}

static void session_release(struct session *s)
{
	for (int side = 0; side < 2; side++) {
		for (size_t i = 0; i < s->n_sent[side]; i++)
			buf_release(&s->sent[side][i].bytes);
		free(s->sent[side]);
		buf_release(&s->wire[side]);
		buf_release(&s->kind[side]);
		deflateEnd(&s->z[side]);
	}
}

/* `missing[side]`: 1 for each byte that is in a hole, or empty. */
static void play(struct session *s, struct buf *missing, bool by_bytes)
{
	struct buf extensions = {0};
	struct http_header header = {.name = SLICE("Sec-WebSocket-Extensions")};
	size_t at[2] = {0, 0};
	struct websocket *w;

	agree(s, &extensions);
	header.value = buf_slice(&extensions);
	s->x.request_dir = EV_DIR_WRITE;
	s->x.response_headers = (struct http_headers){&header, 1};
	w = websocket_new(&events, s, &s->x);
	while (at[0] < s->wire[0].n || at[1] < s->wire[1].n) {
		int d = at[0] == s->wire[0].n ? 1 : at[1] == s->wire[1].n ? 0 : (int)rnd(2);
		size_t left = s->wire[d].n - at[d], n = 0, max = by_bytes ? 1 : 1 + rnd(rnd(2) ? 12 : 3000);
		bool hole = missing && missing[d].p[at[d]];
		char *exact;

		while (n < left && n < (hole ? left : max) && (!missing || missing[d].p[at[d] + n] == hole))
			n++;
		at[d] += n;
		if (hole) {
			websocket_gap(w, (enum ev_dir)d, at[d], n, GAP_RING);
			continue;
		}
		exact = xmalloc(n);
		memcpy(exact, s->wire[d].p + at[d] - n, n);
		websocket_feed(w, (enum ev_dir)d, at[d], slice_of(exact, n));
		free(exact);
	}
	websocket_finish(w, true);
	websocket_free(w);
	buf_release(&extensions);
}

static void random_session(struct session *s, unsigned messages)
{
	session_init(s);
	for (unsigned i = 0; i < messages; i++) {
		int side = (int)rnd(2);
		bool text = rnd(2);
		struct buf b = {0};

		random_message(&b, i, text);
		add_message(s, side, buf_slice(&b), text);
		buf_release(&b);
	}
}

/* --- tests ------------------------------------------------------------------------------- */

static void test_no_hole(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct session s;

		rng = seed * 0x9e3779b97f4a7c15u;
		random_session(&s, 40);
		play(&s, NULL, seed % 4 == 0);
		for (int side = 0; side < 2; side++) {
			assert_int_equal(s.next[side], s.n_sent[side]);
			for (size_t i = 0; i < s.n_sent[side]; i++)
				assert_true(s.sent[side][i].seen);
			assert_int_equal(s.gaps[side], 0);
		}
		assert_int_equal(s.x.damage, 0);
		assert_null(s.x.why);
		session_release(&s);
	}
}

static void hide(struct session *s, struct buf *missing, int side, size_t at, size_t end)
{
	for (; at < end && at < s->wire[side].n; at++)
		missing[side].p[at] = 1;
}

static void mark_hit(struct session *s, const struct buf *missing)
{
	for (int side = 0; side < 2; side++) {
		for (size_t i = 0; i < s->n_sent[side]; i++) {
			struct sent *m = &s->sent[side][i];

			for (size_t at = m->begin; at < m->end; at++)
				m->hit |= missing[side].p[at] && s->kind[side].p[at] != 2;
		}
	}
}

static void missing_init(const struct session *s, struct buf *missing)
{
	for (int side = 0; side < 2; side++) {
		missing[side] = (struct buf){0};
		buf_reserve(&missing[side], s->wire[side].n + 1);
		memset(missing[side].p, 0, s->wire[side].n + 1);
	}
}

/* Holes that leave every header whole cost the messages they touch, and what refers to these. */
static void test_holes_in_payloads(void **state)
{
	unsigned delivered = 0, hit = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 500; seed++) {
		struct buf missing[2];
		struct session s;

		rng = seed * 0x9e3779b97f4a7c15u;
		random_session(&s, 40);
		missing_init(&s, missing);
		for (unsigned k = 0; k < 3; k++) {
			int side = (int)rnd(2);
			size_t at = s.wire[side].n ? rnd((unsigned)s.wire[side].n) : 0, end = at;

			while (end < s.wire[side].n && s.kind[side].p[end] != 1 && end < at + 1 + rnd(400))
				end++;
			hide(&s, missing, side, at, end);
		}
		mark_hit(&s, missing);
		play(&s, missing, false);
		for (int side = 0; side < 2; side++) {
			bool context = true;
			unsigned lost = 0;

			for (size_t i = 0; i < s.n_sent[side]; i++) {
				const struct sent *m = &s.sent[side][i];

				context &= !m->hit || !m->compressed || s.no_takeover[side];
				assert_int_equal(m->seen, !m->hit && (context || !m->compressed));
				lost += !m->seen;
				delivered += m->seen;
				hit += m->hit;
			}
			assert_int_equal(s.gaps[side], lost);
			buf_release(&missing[side]);
		}
		session_release(&s);
	}
	assert_true(hit > 300 && delivered > 10000);
}

/* Any holes: on_message() checks that nothing is reported that was not sent. */
static void test_any_holes(void **state)
{
	unsigned whole = 0, delivered = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct buf missing[2];
		struct session s;

		rng = seed * 0x9e3779b97f4a7c15u;
		random_session(&s, 150);
		missing_init(&s, missing);
		for (unsigned k = 0; k < 1 + seed % 4; k++) {
			int side = (int)rnd(2);
			size_t at = s.wire[side].n ? rnd((unsigned)s.wire[side].n) : 0;

			hide(&s, missing, side, at, at + 1 + rnd(rnd(2) ? 20 : 2000));
		}
		mark_hit(&s, missing);
		play(&s, missing, seed % 4 == 0);
		for (int side = 0; side < 2; side++) {
			bool before = true, all = true;

			for (size_t i = 0; i < s.n_sent[side]; i++) {
				before &= !s.sent[side][i].hit;
				all &= s.sent[side][i].seen;
				if (before)
					assert_true(s.sent[side][i].seen);
				whole += !s.sent[side][i].hit;
				delivered += s.sent[side][i].seen;
			}
			if (!all)
				assert_true(s.gaps[side]);
			buf_release(&missing[side]);
		}
		session_release(&s);
	}
	print_message("%u messages that no hole touches, %u of them reported\n", whole, delivered);
	assert_true(delivered > whole / 2);
}

static void test_too_long(void **state)
{
	size_t size = WEBSOCKET_MESSAGE_MAX + 1;
	char *big = xcalloc(size, 1);

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct session s;

		rng = 7;
		session_init(&s);
		while (s.deflate != (i & 1) || s.no_takeover[SERVER] != (i >> 1)) {
			session_release(&s);
			session_init(&s);
		}
		add_message(&s, SERVER, slice_of(big, size - 1), false);
		add_message(&s, SERVER, slice_of(big, size), false);
		add_message(&s, SERVER, SLICE("fine"), true);
		play(&s, NULL, false);
		assert_true(s.sent[SERVER][0].seen);
		assert_false(s.sent[SERVER][1].seen);
		assert_true(s.sent[SERVER][2].seen);
		assert_int_equal(s.gaps[SERVER], 1);
		assert_int_equal(s.x.damage, DAMAGE_RESPONSE_BODY);
		session_release(&s);
	}
	free(big);
}

/* billion_zeros: what is inflated only to keep the context has an end; then it is lost, and that is said. */
static void test_bomb(void **state)
{
	size_t size = 80u << 20;
	char *zeros = xcalloc(size, 1);
	struct session s;
	struct buf packed = {0};

	(void)state;
	rng = 7;
	session_init(&s);
	while (!s.deflate || s.no_takeover[SERVER]) {
		session_release(&s);
		session_init(&s);
	}
	/* One message of 320 MiB. */
	for (int i = 0; i < 4; i++) {
		struct buf part = {0};

		compress_message(&s, SERVER, slice_of(zeros, size), &part);
		buf_addslice(&packed, buf_slice(&part));
		if (i < 3)
			buf_add(&packed, "\x00\x00\xff\xff", 4);
		buf_release(&part);
	}
	free(zeros);
	assert_true(packed.n < 1 << 20);
	add_frame(&s, SERVER, 0xc2, buf_slice(&packed));
	buf_clear(&packed);
	compress_message(&s, SERVER, SLICE("compressed"), &packed);
	add_frame(&s, SERVER, 0xc1, buf_slice(&packed));
	buf_release(&packed);
	s.deflate = false;
	add_message(&s, SERVER, SLICE("plain"), true);
	s.deflate = true;
	play(&s, NULL, false);
	assert_int_equal(s.next[SERVER], 1);
	assert_int_equal(s.gaps[SERVER], 2);
	assert_int_equal(s.x.damage, DAMAGE_RESPONSE_BODY);
	session_release(&s);
}

/* What searching may cost must stay linear, and no flood may fill memory. */
static void test_floods(void **state)
{
	static const struct slice seeds[] = {{"", 1},
	                                     {"\x81", 1},
	                                     {"\x82\x00", 2},
	                                     {"\x01\x00", 2},
	                                     {"\x89\x00", 2},
	                                     {"\x81\xfe\xff\xff", 4},
	                                     {"\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", 10},
	                                     {"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 10},
	                                     {"\xc1\x01\x00", 3},
	                                     {"\xff", 1}};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(seeds) / sizeof(*seeds); i++) {
		struct session s;
		struct websocket *w;
		struct buf flood = {0};

		rng = i + 1;
		session_init(&s);
		s.x.request_dir = EV_DIR_WRITE;
		while (flood.n < 1 << 19)
			buf_addslice(&flood, seeds[i / 2]);
		w = websocket_new(&(struct proto_events){.body_gap = on_gap}, &s, &s.x);
		for (int d = 0; d < 2; d++) {
			if (i & 1)
				websocket_gap(w, (enum ev_dir)d, 1, 1, GAP_RING);
			websocket_feed(w, (enum ev_dir)d, 2, buf_slice(&flood));
		}
		websocket_finish(w, false);
		websocket_free(w);
		buf_release(&flood);
		session_release(&s);
	}
}

/* --- recorded sessions ---------------------------------------------------------------------- */

static unsigned one_recording(const char *path)
{
	yyjson_doc *doc = yyjson_read_file(path, 0, NULL, NULL);
	yyjson_val *root = yyjson_doc_get_root(doc), *item;
	struct session s;
	unsigned n_messages = 0;
	size_t i, n;

	session_init(&s);
	yyjson_arr_foreach(root, i, n, item)
	{
		const char *direction = yyjson_get_str(yyjson_obj_get(item, "direction"));
		size_t len = 0;
		char *data = yyjson_val_write(yyjson_obj_get(item, "data"), 0, &len);

		add_message(&s, strcmp(direction, "sent") == 0 ? CLIENT : SERVER, slice_of(data, len), true);
		free(data);
		n_messages++;
	}
	play(&s, NULL, false);
	for (int side = 0; side < 2; side++)
		assert_int_equal(s.next[side], s.n_sent[side]);
	assert_int_equal(s.x.damage, 0);
	session_release(&s);
	yyjson_doc_free(doc);
	return n_messages;
}

static void test_recordings(void **state)
{
	const char *dir =
	    getenv("SPANTAP_WEBSOCKETS") ? getenv("SPANTAP_WEBSOCKETS") : "build/corpus/websocket/open";
	DIR *d = opendir(dir);
	unsigned files = 0, messages = 0;
	struct dirent *e;

	(void)state;
	if (!d) {
		print_message("SKIP recordings: none in %s\n", dir);
		skip();
	}
	rng = 1;
	while ((e = readdir(d))) {
		char path[4096];

		if (!slice_ends(slice_str(e->d_name), SLICE(".json")))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		for (int round = 0; round < 8; round++)
			messages += one_recording(path);
		files++;
	}
	closedir(d);
	print_message("%u recordings, 8 times each: %u messages equal\n", files, messages);
	assert_true(files > 0 && messages > files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_no_hole),    cmocka_unit_test(test_holes_in_payloads),
	    cmocka_unit_test(test_any_holes),  cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_bomb),       cmocka_unit_test(test_floods),
	    cmocka_unit_test(test_recordings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
