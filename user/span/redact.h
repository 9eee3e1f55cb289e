/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redact.h - secrets out of text, before anything is written.
 *
 * Two kinds of evidence.  A credential is known by where it stands: after
 * --api-key, behind Authorization:, in a URL's user info or query, under a
 * JSON key "password".  A secret is known by its shape: sk-ant-…, a JWT, a
 * PEM block.  Credentials are masked at every content level, shapes at
 * "redacted" and below, there also e-mail addresses and card numbers if asked for.
 *
 * A mask is visible and says what stood there: [masked:api_key].  Prose that
 * only talks about tokens and passwords stays as it is: a key word alone is
 * no evidence, it needs a separator and a value that can be a secret.
 *
 * One pass, linear time: what is read ahead is bounded (LOOK_AHEAD in
 * redact.c) or skipped.  Bytes that are no text pass unchanged.  Key names,
 * shapes and command flags are the tables of secrets.c.
 *
 * JSON within text is looked at as what it means: sk\u002dant is sk-ant, and \n
 * ends a word (escapes.h).
 *
 * Not found: secrets without context and without a known shape, and secrets
 * that the client encoded otherwise or split.
 */
#ifndef SPANTAP_REDACT_H
#define SPANTAP_REDACT_H

#include "base/arena.h"
#include "base/buf.h"

#define REDACT_RULES 2 /* raised with every change of what is masked or how: the store keeps texts of different rules apart */

/* What is masked besides credentials, which always are: bits. */
enum redact_mode {
	REDACT_CREDENTIALS = 0,
	REDACT_SECRETS = 1 << 0, /* also by shape */
	REDACT_EMAIL = 1 << 1,   /* e-mail addresses (personal.h) */
	REDACT_CARD = 1 << 2,    /* numbers of payment cards */
	REDACT_SLOWLY = 1 << 3,  /* the same masks without skip.h, for tests of it */
};

/* The bits of a list of words, "email,card"; false: one is none of them, and *ret_wrong is it. */
bool redact_words(struct slice list, unsigned *ret, struct slice *ret_wrong);

/* Appends `in` with masks; returns how many. */
size_t redact_text(struct buf *out, struct slice in, unsigned mode);
/* The same, but nothing is appended when there is nothing to mask (0): most texts need no copy. */
size_t redact_changes(struct buf *out, struct slice in, unsigned mode);

/* Fills ret[n] with the arguments of a process, masked ones copied into `a`; returns how many masks. */
size_t redact_argv(struct arena *a, const struct slice *argv, size_t n, struct slice *ret, unsigned mode);

/* What a string under this key (JSON, environment, header; any spelling) is: "password" …; NULL: no
 * credential. */
const char *redact_key(struct slice key);

#endif
