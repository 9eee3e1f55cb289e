/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "store/block.h"
#include "store/db.h"
#include "store/similar.h"

#define LEVEL     3
#define SMALL     64          /* shorter pieces stay as they are */
#define BASE_MIN  256         /* shorter pieces gain nothing from a base */
#define BASE_MAX  (8u << 20)  /* of a base, which every reader of the block has to read too */
#define KEPT_MAX  (32u << 20) /* of pieces kept in memory */
#define SALT_SIZE 16
#define PIECE_MAX (256u << 20) /* of one that is read: the largest span (sink.c) */

enum form { FORM_PLAIN, FORM_ZSTD, FORM_ZSTD_BASE };

struct blocks {
	ZSTD_CCtx *compressor;
	ZSTD_DCtx *decompressor;
	struct similar *similar;
	struct map kept; /* num -> struct buf */
	size_t kept_bytes;
	struct buf packed, large; /* large: the piece read last that is not kept */
};

struct blocks *blocks_new(void)
{
	struct blocks *b = xcalloc(1, sizeof(*b));

	b->compressor = ZSTD_createCCtx();
	b->decompressor = ZSTD_createDCtx();
	b->similar = similar_new();
	if (!b->compressor || !b->decompressor)
		die(EXIT_SPANTAP, "out of memory");
	return b;
}

static void drop_kept(struct blocks *b)
{
	struct map_entry *e;

	map_foreach (&b->kept, e) {
		buf_release(e->value);
		free(e->value);
	}
	map_release(&b->kept);
	b->kept_bytes = 0;
}

void blocks_forget(struct blocks *b)
{
	drop_kept(b);
}

void blocks_free(struct blocks *b)
{
	if (!b)
		return;
	drop_kept(b);
	ZSTD_freeCCtx(b->compressor);
	ZSTD_freeDCtx(b->decompressor);
	similar_free(b->similar);
	buf_release(&b->packed);
	buf_release(&b->large);
	free(b);
}

static struct slice keep(struct blocks *b, int64_t num, struct slice piece)
{
	if (piece.n > BASE_MAX) {
		buf_clear(&b->large);
		buf_addslice(&b->large, piece);
		return buf_slice(&b->large);
	}
	if (b->kept_bytes + piece.n > KEPT_MAX)
		drop_kept(b);
	struct buf *copy = xcalloc(1, sizeof(*copy));
	buf_addslice(copy, piece);
	map_put(&b->kept, &num, sizeof(num), copy);
	b->kept_bytes += piece.n;
	return buf_slice(copy);
}

struct block_hash block_hash(const struct store *st, struct slice piece)
{
	struct block_hash h;

	crypto_generichash(h.b, sizeof(h.b), (const uint8_t *)(piece.p ? piece.p : ""), piece.n,
	                   st->block_key, sizeof(st->block_key));
	return h;
}

/* Compresses into b->packed; false when that does not pay. */
static bool compress(struct blocks *b, struct slice piece, struct slice base)
{
	int window = 10;

	while (window < 27 && (size_t)1 << window < piece.n + base.n)
		window++;
	buf_clear(&b->packed);
	buf_reserve(&b->packed, ZSTD_compressBound(piece.n));
	ZSTD_CCtx_reset(b->compressor, ZSTD_reset_session_and_parameters);
	ZSTD_CCtx_setParameter(b->compressor, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(b->compressor, ZSTD_c_contentSizeFlag, 0);
	ZSTD_CCtx_setParameter(b->compressor, ZSTD_c_windowLog, window);
	if (base.n)
		ZSTD_CCtx_refPrefix(b->compressor, base.p, base.n);
	size_t n = ZSTD_compress2(b->compressor, b->packed.p, b->packed.cap, piece.p, piece.n);
	if (ZSTD_isError(n) || n > piece.n - piece.n / (base.n ? 2 : 8))
		return false;
	b->packed.n = n;
	return true;
}

static struct slice pack(struct store *st, struct slice piece, int64_t base, enum form *ret_form)
{
	struct blocks *b = st->blocks;
	struct slice against;

	if (base && block_get(st, base, &against) == 0 && compress(b, piece, against)) {
		*ret_form = FORM_ZSTD_BASE;
		return buf_slice(&b->packed);
	}
	*ret_form = piece.n >= SMALL && compress(b, piece, (struct slice){0}) ? FORM_ZSTD : FORM_PLAIN;
	return *ret_form == FORM_ZSTD ? buf_slice(&b->packed) : piece;
}

/* The base of block `num`, itself when it has none; 0 when it is no good as a base. */
static int64_t base_of(struct store *st, int64_t num)
{
	sqlite3_stmt *q =
	    db_stmt(st, STMT_BLOCK_BASE,
	            "SELECT coalesce(base, num) FROM block WHERE num=?1 AND"
	            " (SELECT size FROM block AS b WHERE b.num=coalesce(block.base, block.num))<=?2");
	int64_t base = 0;

	if (!q || !num)
		return 0;
	sqlite3_bind_int64(q, 1, num);
	sqlite3_bind_int64(q, 2, BASE_MAX);
	if (sqlite3_step(q) == SQLITE_ROW)
		base = sqlite3_column_int64(q, 0);
	sqlite3_reset(q);
	return base;
}

int block_add(struct store *st, struct slice piece, const struct block_hash *hash, int64_t indexed,
              struct block *ret)
{
	sqlite3_stmt *q = db_stmt(
	    st, STMT_BLOCK_INSERT,
	    "INSERT INTO block (hash, id, salt, size, form, base, indexed, bytes) VALUES (?1,?2,?3,?4,?5,?6,?8,?7)");
	uint8_t salt[SALT_SIZE];
	enum form form;
	int64_t base = piece.n >= BASE_MIN ? base_of(st, similar_find(st->blocks->similar, piece)) : 0;

	if (!q)
		return db_errno(st->db);
	randombytes_buf(salt, sizeof(salt));
	struct hash id = hash_pair(slice_of(salt, sizeof(salt)), piece);
	struct slice packed = pack(st, piece, base, &form);
	base = form == FORM_ZSTD_BASE ? base : 0;
	sqlite3_bind_blob(q, 1, hash->b, sizeof(hash->b), SQLITE_STATIC);
	sqlite3_bind_blob(q, 2, id.b, sizeof(id.b), SQLITE_STATIC);
	sqlite3_bind_blob(q, 3, salt, sizeof(salt), SQLITE_STATIC);
	sqlite3_bind_int64(q, 4, (int64_t)piece.n);
	sqlite3_bind_int(q, 5, (int)form);
	if (base)
		sqlite3_bind_int64(q, 6, base);
	sqlite3_bind_blob64(q, 7, packed.p ? packed.p : "", packed.n, SQLITE_STATIC);
	sqlite3_bind_int64(q, 8, indexed);
	int r = db_run(st, q);
	if (r)
		return r;
	*ret = (struct block){.num = sqlite3_last_insert_rowid(st->db), .base = base, .indexed = indexed};
	if (piece.n >= BASE_MIN && piece.n <= BASE_MAX)
		similar_add(st->blocks->similar, piece, ret->num);
	return 0;
}

int block_find(struct store *st, const struct block_hash *hash, struct block *ret)
{
	sqlite3_stmt *q = db_stmt(st, STMT_BLOCK_FIND, "SELECT num, base, indexed FROM block WHERE hash=?");

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_blob(q, 1, hash->b, sizeof(hash->b), SQLITE_STATIC);
	int step = sqlite3_step(q);
	if (step == SQLITE_ROW)
		*ret = (struct block){sqlite3_column_int64(q, 0), sqlite3_column_int64(q, 1),
		                      sqlite3_column_int64(q, 2)};
	sqlite3_reset(q);
	if (step == SQLITE_ROW)
		return 1;
	return step == SQLITE_DONE ? 0 : db_error(st, "cannot read the store");
}

static int use(struct store *st, int64_t num, int64_t trace, int64_t span)
{
	sqlite3_stmt *q = db_stmt(st, STMT_BLOCK_USE,
	                          "INSERT INTO used (block, trace, span) VALUES (?,?,?)"
	                          " ON CONFLICT DO NOTHING");

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_int64(q, 1, num);
	sqlite3_bind_int64(q, 2, trace);
	sqlite3_bind_int64(q, 3, span);
	int r = db_run(st, q);
	return r ? r : sqlite3_changes(st->db) > 0;
}

int block_use(struct store *st, const struct block *b, int64_t trace, int64_t span)
{
	int r = use(st, b->num, trace, span);
	int base = r == 1 && b->base ? use(st, b->base, trace, span) : 0;

	return base < 0 ? base : r;
}

struct row {
	int64_t base;
	enum form form;
	size_t size;
	struct slice id, salt, bytes;
};

static int unpack(struct store *st, const struct row *row, struct slice base, struct buf *out)
{
	ZSTD_DCtx *d = st->blocks->decompressor;

	if (row->form == FORM_PLAIN) {
		buf_addslice(out, row->bytes);
	} else {
		buf_reserve(out, row->size + 1);
		ZSTD_DCtx_reset(d, ZSTD_reset_session_and_parameters);
		if (row->form == FORM_ZSTD_BASE)
			ZSTD_DCtx_refPrefix(d, base.p, base.n);
		size_t n = ZSTD_decompressDCtx(d, out->p, row->size + 1, row->bytes.p, row->bytes.n);
		if (ZSTD_isError(n))
			return -EBADMSG;
		out->n = n;
	}
	struct hash id = hash_pair(row->salt, buf_slice(out));
	return out->n == row->size && slice_eq(row->id, slice_of(id.b, sizeof(id.b))) ? 0 : -EBADMSG;
}

static struct slice column_blob(sqlite3_stmt *q, int i)
{
	const void *p = sqlite3_column_blob(q, i);

	return slice_of(p ? p : "", (size_t)sqlite3_column_bytes(q, i));
}

/* `may_have_base`: false while a base is read, which has none. */
static int load(struct store *st, int64_t num, bool may_have_base, struct buf *out)
{
	sqlite3_stmt *q = db_stmt(st, may_have_base ? STMT_BLOCK_GET : STMT_BLOCK_GET_BASE,
	                          "SELECT size, form, base, id, salt, bytes FROM block WHERE num=?");
	struct slice base = {0};
	int r = -EBADMSG;

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_int64(q, 1, num);
	int step = sqlite3_step(q);
	if (step == SQLITE_ROW) {
		struct row row = {.size = (size_t)sqlite3_column_int64(q, 0),
		                  .form = (enum form)sqlite3_column_int(q, 1),
		                  .base = sqlite3_column_int64(q, 2),
		                  .id = column_blob(q, 3),
		                  .salt = column_blob(q, 4),
		                  .bytes = column_blob(q, 5)};
		struct buf *kept = map_get(&st->blocks->kept, &row.base, sizeof(row.base));
		struct buf own = {0};

		r = row.size > PIECE_MAX || (row.base && !may_have_base) ? -EBADMSG : 0;
		if (r == 0 && row.base && !kept) {
			r = load(st, row.base, false, &own);
			if (r == 0)
				base = keep(st->blocks, row.base, buf_slice(&own));
		} else if (kept) {
			base = buf_slice(kept);
		}
		if (r == 0)
			r = unpack(st, &row, base, out);
		buf_release(&own);
	} else if (step != SQLITE_DONE) {
		r = db_error(st, "cannot read the store");
	}
	sqlite3_reset(q);
	return r;
}

int block_get(struct store *st, int64_t num, struct slice *ret)
{
	struct buf *kept = map_get(&st->blocks->kept, &num, sizeof(num)), piece = {0};

	if (kept) {
		*ret = buf_slice(kept);
		return 0;
	}
	int r = load(st, num, true, &piece);
	if (r == 0)
		*ret = keep(st->blocks, num, buf_slice(&piece));
	else if (r == -EBADMSG)
		db_fail(st, r, "the store '%s' is damaged: block %lld is not what was stored", st->dir,
		        (long long)num);
	buf_release(&piece);
	return r;
}
