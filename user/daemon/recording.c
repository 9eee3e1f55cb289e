/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>

#include "daemon/recording.h"

#define FLUSH_AT   (256 * 1024)
#define RECORD_MAX (1 << 20) /* of one record read back; ours stay below 64 KiB */

static const char padding[8];

int recording_begin(struct recording *r, int fd, bool fresh)
{
	*r = (struct recording){.fd = fd};
	if (fresh)
		buf_add(&r->buf, RECORDING_MAGIC, 16);
	return recording_flush(r);
}

void recording_add(struct recording *r, const struct ev_head *rec)
{
	buf_add(&r->buf, rec, rec->size);
	buf_add(&r->buf, padding, (8 - rec->size % 8) % 8);
	if (r->buf.n >= FLUSH_AT)
		recording_flush(r);
}

int recording_flush(struct recording *r)
{
	for (size_t done = 0; !r->err && done < r->buf.n;) {
		ssize_t n = write(r->fd, r->buf.p + done, r->buf.n - done);

		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno != EINTR)
			r->err = -errno;
	}
	buf_clear(&r->buf);
	return r->err;
}

/* 1 when all `n` bytes came, 0 at the very end of the file, -EBADMSG when it ends within them. */
static int read_all(int fd, void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t got = read(fd, (char *)p + done, n - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return done ? -EBADMSG : 0;
		done += (size_t)got;
	}
	return 1;
}

int recording_open(int fd)
{
	char magic[16];
	int err = read_all(fd, magic, sizeof(magic));

	if (err < 0)
		return err;
	return err == 1 && memcmp(magic, RECORDING_MAGIC, sizeof(magic)) == 0 ? 0 : -EBADMSG;
}

int recording_read(int fd, struct buf *out)
{
	struct ev_head head;
	int err = read_all(fd, &head, sizeof(head));

	if (err <= 0)
		return err;
	if (head.size < sizeof(head) || head.size > RECORD_MAX)
		return -EBADMSG;

	size_t padded = (head.size + 7u) & ~7u;
	buf_clear(out);
	buf_add(out, &head, sizeof(head));
	buf_reserve(out, padded);
	err = read_all(fd, out->p + sizeof(head), padded - sizeof(head));
	out->n = head.size;
	if (err == 0 && padded > sizeof(head))
		return -EBADMSG;
	return err < 0 ? err : 1;
}
