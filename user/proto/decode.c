/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "proto/codec.h"
#include "proto/decode.h"

/* The limit on what comes out moves in steps of so many bytes in, so that it does not depend on the cut. */
#define STEP 16384

static const struct coding {
	struct slice name;
	const struct codec *codec; /* NULL: changes nothing */
} codings[] = {
    {{"", 0}, NULL},
    {{"identity", 8}, NULL},
    {{"gzip", 4}, &codec_gzip},
    {{"x-gzip", 6}, &codec_gzip}, /* RFC 9110 8.4.1.3: the same */
    {{"deflate", 7}, &codec_deflate},
    {{"br", 2}, &codec_brotli},
    {{"zstd", 4}, &codec_zstd},
};

struct decoder {
	struct stage {
		struct decoder *decoder;
		const struct codec *codec;
		void *state;
		uint64_t made;        /* bytes put out */
	} stages[DECODE_CODINGS_MAX]; /* in the order in which they were applied: the last one is fed first */
	size_t n;
	bool broken;
	uint64_t in, made_max; /* bytes: fed, and what each stage may have put out */
	decoder_out out;
	void *ctx;
};

static bool stage_out(void *ctx, struct slice s)
{
	struct stage *stage = ctx;
	struct decoder *d = stage->decoder;
	uint64_t room = d->made_max - stage->made;

	if (s.n > room) {
		s.n = (size_t)room;
		d->broken = true;
	}
	stage->made += s.n;
	if (!s.n)
		return !d->broken;
	if (stage == d->stages)
		d->out(d->ctx, s);
	else if (stage[-1].codec->feed(stage[-1].state, s) < 0)
		d->broken = true;
	return !d->broken;
}

static const struct coding *coding_named(struct slice name)
{
	for (size_t i = 0; i < sizeof(codings) / sizeof(*codings); i++) {
		if (slice_caseeq(slice_trim(name), codings[i].name))
			return &codings[i];
	}
	return NULL;
}

static bool add_stage(struct decoder *d, const struct coding *coding)
{
	struct stage *stage = &d->stages[d->n];

	if (!coding || (coding->codec && d->n == DECODE_CODINGS_MAX))
		return false;
	if (!coding->codec)
		return true;
	*stage = (struct stage){.decoder = d, .codec = coding->codec};
	stage->state = coding->codec->open(stage_out, stage);
	d->n++;
	return true;
}

struct decoder *decoder_new(struct slice list, decoder_out out, void *ctx)
{
	struct decoder *d = xcalloc(1, sizeof(*d));
	struct slice name;

	d->out = out;
	d->ctx = ctx;
	while (slice_cut(&list, ',', &name)) {
		if (!add_stage(d, coding_named(name))) {
			decoder_free(d);
			return NULL;
		}
	}
	return d;
}

static int feed_step(struct decoder *d, struct slice *s)
{
	size_t room = STEP - d->in % STEP, n = s->n < room ? s->n : room;
	const struct stage *last = &d->stages[d->n - 1];

	d->made_max = DECODE_FREE + (d->in / STEP + 1) * STEP * DECODE_RATIO_MAX;
	d->in += n;
	if (last->codec->feed(last->state, slice_of(s->p, n)) < 0)
		d->broken = true;
	*s = slice_from(*s, n);
	return d->broken ? -EBADMSG : 0;
}

int decoder_feed(struct decoder *d, struct slice s)
{
	if (d->broken)
		return -EBADMSG;
	if (!d->n && s.n)
		d->out(d->ctx, s);
	while (d->n && s.n) {
		if (feed_step(d, &s) < 0)
			return -EBADMSG;
	}
	return 0;
}

int decoder_finish(struct decoder *d)
{
	for (size_t i = 0; i < d->n; i++) {
		if (!d->stages[i].codec->ended(d->stages[i].state))
			d->broken = true;
	}
	return d->broken ? -EBADMSG : 0;
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n; i++)
		d->stages[i].codec->close(d->stages[i].state);
	free(d);
}
