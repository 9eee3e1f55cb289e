/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the Markdown files of tests/golden/proto.  A case is an ```input block and the ```log
 * block behind it.  Input lines:
 *
 *   > text       bytes that the process writes, CR LF is added
 *   >| text      the same without line end      < and <| are read
 *   >gap 100     a hole                         !late, !cut (incomplete)
 *   >preface     of HTTP/2
 *   >frame HEADERS 1 5 \x83{:path: /a}          type, stream, flags (hex), payload; {name: value} in a header
 *                block is a literal field that enters the dynamic table
 *
 * Escapes: \r \n \t \\ \xHH.  Time: 10 for the first turn, 20 for the second.
 * Each case is run at once, byte by byte and at random cuts; each piece ends
 * at a page that cannot be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "proto/print.h"

#define PAGE        4096
#define ROOM        (16 * PAGE) /* bytes of one turn */
#define RANDOM_CUTS 300

static char *guarded; /* ROOM bytes, then a page without access */
static uint64_t rng = 88172645463325252u;

static unsigned rnd(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng >> 11) % n;
}

static void feed_piece(struct proto_conn *c, enum ev_dir dir, uint64_t ts, struct slice s)
{
	char *p = guarded + ROOM - s.n;

	memcpy(p, s.p, s.n);
	proto_feed(c, dir, ts, slice_of(p, s.n));
}

/* cut: 0 at once, 1 byte by byte, 2 random. */
static void feed_turn(struct proto_conn *c, enum ev_dir dir, uint64_t ts, struct buf *turn, int cut)
{
	struct slice s = buf_slice(turn);

	while (s.n) {
		size_t n = cut == 0 ? s.n : cut == 1 ? 1 : 1 + rnd(rnd(2) ? 8 : 200);

		n = n < s.n ? n : s.n;
		feed_piece(c, dir, ts, slice_of(s.p, n));
		s = slice_from(s, n);
	}
	buf_clear(turn);
}

static void unescape(struct buf *out, struct slice s)
{
	while (s.n) {
		unsigned byte;
		size_t n = 1;

		if (*s.p != '\\' || s.n < 2) {
			buf_addc(out, *s.p);
		} else if (s.p[1] == 'x' && s.n >= 4 && sscanf(s.p + 2, "%2x", &byte) == 1) {
			buf_addc(out, (char)byte);
			n = 4;
		} else {
			buf_addc(out, s.p[1] == 'r'   ? '\r'
			              : s.p[1] == 'n' ? '\n'
			              : s.p[1] == 't' ? '\t'
			                              : s.p[1]);
			n = 2;
		}
		s = slice_from(s, n);
	}
}

static void add_line(struct buf *turn, struct slice line)
{
	bool bare = line.n > 1 && line.p[1] == '|';
	size_t skip = bare ? 2 : 1;

	if (line.n > skip && line.p[skip] == ' ')
		skip++;
	unescape(turn, slice_from(line, skip));
	if (!bare)
		buf_adds(turn, "\r\n");
	assert_true(turn->n <= ROOM);
}

/* HPACK 6.2.1, without Huffman. */
static void add_field(struct buf *out, struct slice field)
{
	const char *colon = slice_find(slice_from(field, 1), SLICE(": "));
	struct slice name, value;

	assert_non_null(colon);
	name = slice_of(field.p, (size_t)(colon - field.p));
	value = slice_from(field, name.n + 2);
	assert_true(name.n < 127 && value.n < 127);
	buf_addc(out, 0x40);
	buf_addc(out, (char)name.n);
	buf_addslice(out, name);
	buf_addc(out, (char)value.n);
	buf_addslice(out, value);
}

static void add_block(struct buf *out, struct slice s)
{
	struct slice part;

	while (s.n) {
		const char *open = memchr(s.p, '{', s.n);

		unescape(out, open ? slice_of(s.p, (size_t)(open - s.p)) : s);
		if (!open)
			return;
		s = slice_from(s, (size_t)(open - s.p) + 1);
		assert_true(slice_cut(&s, '}', &part));
		add_field(out, part);
	}
}

static const char *const frame_types[] = {"DATA",          "HEADERS",      "PRIORITY", "RST_STREAM",
                                          "SETTINGS",      "PUSH_PROMISE", "PING",     "GOAWAY",
                                          "WINDOW_UPDATE", "CONTINUATION", "UNKNOWN"};

static unsigned frame_type(struct slice name)
{
	unsigned type = 0;

	while (!slice_eq(name, slice_str(frame_types[type])))
		assert_true(++type < sizeof(frame_types) / sizeof(*frame_types));
	return type;
}

/* TYPE STREAM FLAGS PAYLOAD */
static void add_frame(struct buf *turn, struct slice s)
{
	struct buf payload = {0};
	struct slice name, stream = {0}, flags = {0};
	unsigned type, bits;
	uint64_t id;

	assert_true(slice_cut(&s, ' ', &name) && slice_cut(&s, ' ', &stream));
	slice_cut(&s, ' ', &flags);
	type = frame_type(name);
	assert_true(slice_u64(stream, &id) && sscanf(flags.p, "%x", &bits) == 1);
	if (type == 1 || type == 5 || type == 9)
		add_block(&payload, s);
	else if (s.n)
		unescape(&payload, s);
	for (int shift = 16; shift >= 0; shift -= 8)
		buf_addc(turn, (char)(payload.n >> shift));
	buf_addc(turn, (char)type);
	buf_addc(turn, (char)bits);
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_addc(turn, (char)(id >> shift));
	buf_addslice(turn, buf_slice(&payload));
	buf_release(&payload);
	assert_true(turn->n <= ROOM);
}

static void run(struct buf *log, struct slice input, int cut)
{
	struct conn_info info = {.first_ts = 1, .late = slice_find(input, SLICE("!late")) != NULL};
	bool complete = !slice_find(input, SLICE("!cut"));
	struct proto_conn *c = proto_open(&proto_print_events, log, &info);
	struct buf turn = {0};
	struct slice line;
	enum ev_dir dir = EV_DIR_WRITE;
	uint64_t ts = 0, n;

	while (slice_cut(&input, '\n', &line)) {
		if (!line.n || *line.p == '!')
			continue;
		if (!ts || dir != (enum ev_dir)(*line.p == '<')) {
			feed_turn(c, dir, ts, &turn, cut);
			dir = (enum ev_dir)(*line.p == '<');
			ts += 10;
		}
		if (slice_starts(slice_from(line, 1), SLICE("gap "))) {
			feed_turn(c, dir, ts, &turn, cut);
			assert_true(slice_u64(slice_from(line, 5), &n));
			proto_gap(c, dir, ts, n, GAP_RING);
		} else if (slice_eq(slice_from(line, 1), SLICE("preface"))) {
			buf_adds(&turn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
		} else if (slice_starts(slice_from(line, 1), SLICE("frame "))) {
			add_frame(&turn, slice_from(line, 7));
		} else {
			add_line(&turn, line);
		}
	}
	feed_turn(c, dir, ts, &turn, cut);
	proto_close(c, ts + 10, complete);
	buf_release(&turn);
}

static unsigned compare(const char *file, struct slice input, struct slice expected)
{
	for (int i = 0; i < RANDOM_CUTS + 2; i++) {
		struct buf log = {0};
		bool same;

		run(&log, input, i < 2 ? i : 2);
		same = slice_eq(buf_slice(&log), expected);
		if (!same)
			fprintf(stderr, "%s, cut %d, input:\n%.*s\ngot:\n%s\n", file, i, (int)input.n,
			        input.p, buf_str(&log));
		buf_release(&log);
		if (!same)
			return 1;
	}
	return 0;
}

/* The next block fenced as ```name; false when there is none. */
static bool block(struct slice *rest, const char *fence, struct slice *ret)
{
	const char *begin = slice_find(*rest, slice_str(fence)), *end;

	if (!begin)
		return false;
	*rest = slice_from(*rest, (size_t)(begin - rest->p) + strlen(fence));
	end = slice_find(*rest, SLICE("```\n"));
	if (!end)
		return false;
	*ret = slice_of(rest->p, (size_t)(end - rest->p));
	*rest = slice_from(*rest, ret->n + 4);
	return true;
}

static unsigned run_file(const char *path, unsigned *ret_cases)
{
	struct buf text = {0};
	struct slice rest, input, log;
	unsigned failed = 0;
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	do {
		buf_reserve(&text, 65536);
		n = fread(text.p + text.n, 1, 65536, f);
		text.n += n;
	} while (n);
	fclose(f);
	rest = buf_slice(&text);
	while (block(&rest, "```input\n", &input) && block(&rest, "```log\n", &log)) {
		failed += compare(path, input, log);
		++*ret_cases;
	}
	buf_release(&text);
	return failed;
}

static void test_golden(void **state)
{
	const char *dir = getenv("GOLDEN") ? getenv("GOLDEN") : "tests/golden/proto";
	unsigned cases = 0, failed = 0;
	DIR *d = opendir(dir);
	struct dirent *e;

	(void)state;
	assert_non_null(d);
	guarded = mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(guarded != MAP_FAILED);
	assert_int_equal(mprotect(guarded + ROOM, PAGE, PROT_NONE), 0);
	while ((e = readdir(d))) {
		char path[4096];

		if (!slice_ends(slice_str(e->d_name), SLICE(".md")))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		failed += run_file(path, &cases);
	}
	closedir(d);
	print_message("%u cases\n", cases);
	assert_int_equal(failed, 0);
	assert_true(cases > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
