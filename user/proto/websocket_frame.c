/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/websocket_frame.h"

/* How many bytes a header has that begins so: 2 while only one byte is there. */
static size_t header_size(const struct ws_header *h)
{
	size_t size = 2;

	if (h->n < 2)
		return size;
	if ((h->bytes[1] & 127) == 126)
		size += 2;
	else if ((h->bytes[1] & 127) == 127)
		size += 8;
	return h->bytes[1] & 128 ? size + 4 : size;
}

static void parse(const struct ws_header *h, struct ws_frame *ret)
{
	size_t n_length = header_size(h) - 2 - (h->bytes[1] & 128 ? 4 : 0);

	*ret = (struct ws_frame){
	    .fin = h->bytes[0] >> 7,
	    .rsv = h->bytes[0] >> 4 & 7,
	    .opcode = h->bytes[0] & 15,
	    .masked = h->bytes[1] >> 7,
	    .length = n_length ? 0 : h->bytes[1] & 127,
	};
	for (size_t i = 0; i < n_length; i++)
		ret->length = ret->length << 8 | h->bytes[2 + i];
	if (ret->masked)
		memcpy(ret->mask, h->bytes + 2 + n_length, 4);
}

bool ws_header_take(struct ws_header *h, struct slice *in, struct ws_frame *ret)
{
	while (h->n < header_size(h)) {
		if (!in->n)
			return false;
		h->bytes[h->n++] = (uint8_t)*in->p;
		*in = slice_from(*in, 1);
	}
	parse(h, ret);
	return true;
}

const char *ws_frame_refusal(const struct ws_frame *f, bool rsv1_allowed)
{
	bool starts = f->opcode == WS_TEXT || f->opcode == WS_BINARY;

	if ((f->opcode > WS_BINARY && f->opcode < WS_CLOSE) || f->opcode > WS_PONG)
		return "a WebSocket frame with a reserved opcode";
	if (f->rsv && !(f->rsv == WS_RSV1 && rsv1_allowed && starts))
		return "a WebSocket frame with reserved bits";
	if (ws_is_control(f) && (!f->fin || f->length > WS_CONTROL_MAX))
		return "a WebSocket control frame in parts or too long";
	if (f->length >> 63)
		return "a WebSocket frame with an impossible length";
	return NULL;
}

void ws_mask(char *p, size_t n, const struct ws_frame *f, uint64_t at)
{
	uint8_t key[8];
	uint64_t word, keys;
	size_t i = 0;

	for (size_t k = 0; k < sizeof(key); k++)
		key[k] = f->mask[(at + k) & 3];
	memcpy(&keys, key, sizeof(keys));
	for (; i + sizeof(word) <= n; i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		word ^= keys;
		memcpy(p + i, &word, sizeof(word));
	}
	for (; i < n; i++)
		p[i] = (char)(p[i] ^ (char)key[i & 7]);
}
