/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "target/eh_frame.h"

/* Encodings of pointers: the form in the low half, what it is relative to in the high one. */
#define PE_UDATA4  0x03
#define PE_SDATA4  0x0b
#define PE_PCREL   0x10
#define PE_DATAREL 0x30

#define CIE_MAX 64 /* bytes of it that are looked at: what we need stands in the first 20 */

struct header {
	uint8_t version, eh_frame_enc, count_enc, table_enc;
	int32_t eh_frame;
	uint32_t count;
};

struct row {
	int32_t start, fde; /* from the address of .eh_frame_hdr */
};

static bool get(const struct code *code, uint64_t addr, void *ret, size_t n)
{
	return code->read(code->ctx, addr, ret, n) == (long)n;
}

static bool skip_leb128(const uint8_t **p, const uint8_t *end)
{
	while (*p < end)
		if (!(*(*p)++ & 0x80))
			return true;
	return false;
}

/* How the CIE at `addr` says that addresses are written in its FDEs; -1: cannot be told. */
static int address_encoding(const struct code *code, uint64_t addr)
{
	uint8_t cie[CIE_MAX];
	uint32_t length, id;

	if (!get(code, addr, &length, 4) || length < 8 || length == UINT32_MAX ||
	    !get(code, addr + 4, &id, 4) || id != 0)
		return -1;
	length -= 4;
	size_t n = length < sizeof(cie) ? length : sizeof(cie);
	if (!get(code, addr + 8, cie, n))
		return -1;
	const uint8_t *p = cie + 1, *end = cie + n, *augmentation = p;
	const uint8_t *nul = memchr(p, 0, (size_t)(end - p));
	if ((cie[0] != 1 && cie[0] != 3) || !nul || *augmentation != 'z')
		return -1;
	p = nul + 1;
	/* code and data alignment, return address register, length of the augmentation */
	for (int i = 0; i < 4; i++) {
		if (cie[0] == 1 && i == 2)
			p++;
		else if (!skip_leb128(&p, end))
			return -1;
	}
	for (const uint8_t *a = augmentation + 1; *a && p < end; a++) {
		if (*a == 'R')
			return *p;
		if (*a == 'L')
			p++;
		else if (*a == 'P')
			p += (*p & 7) == (PE_UDATA4 & 7) ? 5 : 9; /* 4-byte forms end in 3 */
		else if (*a != 'S' && *a != 'B')
			return -1;
	}
	return -1;
}

/* The FDE at `addr`. */
static bool read_fde(const struct code *code, uint64_t addr, uint64_t *ret_start, uint64_t *ret_end)
{
	uint32_t head[2];
	int32_t begin;
	uint32_t range;

	if (!get(code, addr, head, sizeof(head)) || head[0] < 12 || head[0] == UINT32_MAX || head[1] == 0)
		return false;
	if (address_encoding(code, addr + 4 - head[1]) != (PE_PCREL | PE_SDATA4))
		return false;
	if (!get(code, addr + 8, &begin, 4) || !get(code, addr + 12, &range, 4))
		return false;
	*ret_start = addr + 8 + (uint64_t)(int64_t)begin;
	*ret_end = *ret_start + range;
	return *ret_end > *ret_start;
}

/* The last row whose function begins at or before `addr`. */
static bool find_row(const struct code *code, uint32_t count, uint64_t addr, struct row *ret)
{
	uint64_t table = code->eh_hdr + sizeof(struct header);
	uint32_t low = 0,
	         high = count; /* before `low` all begin at or before addr, from `high` on none does */

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		struct row row;

		if (!get(code, table + (uint64_t)middle * sizeof(row), &row, sizeof(row)))
			return false;
		if (code->eh_hdr + (uint64_t)(int64_t)row.start <= addr) {
			*ret = row;
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low > 0;
}

bool eh_frame_find(const struct code *code, uint64_t addr, uint64_t *ret_start, uint64_t *ret_end)
{
	struct header h;
	struct row row;
	uint64_t start, end;

	if (!code->eh_hdr || !get(code, code->eh_hdr, &h, sizeof(h)) || h.version != 1 ||
	    h.eh_frame_enc != (PE_PCREL | PE_SDATA4) || h.count_enc != PE_UDATA4 ||
	    h.table_enc != (PE_DATAREL | PE_SDATA4))
		return false;
	if (!find_row(code, h.count, addr, &row))
		return false;
	if (!read_fde(code, code->eh_hdr + (uint64_t)(int64_t)row.fde, &start, &end) || addr < start ||
	    addr >= end)
		return false;
	*ret_start = start;
	*ret_end = end;
	return true;
}
