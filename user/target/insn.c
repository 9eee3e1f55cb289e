/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "target/insn.h"

static const struct insn_machine *const machines[] = {&insn_x86_64, &insn_arm64};

const struct insn_machine *insn_machine(uint16_t machine)
{
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (machines[i]->machine == machine)
			return machines[i];
	return NULL;
}

bool insn_wants(const struct insn_wanted *wanted, uint64_t addr)
{
	size_t low = 0, high = wanted->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (wanted->v[middle] == addr)
			return true;
		if (wanted->v[middle] < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool decoder_init(struct decoder *d, uint16_t machine)
{
	*d = (struct decoder){.m = insn_machine(machine), .left = INSN_TOTAL};
	if (!d->m || cs_open(d->m->arch, d->m->mode, &d->cs))
		return false;
	cs_option(d->cs, CS_OPT_DETAIL, CS_OPT_ON);
	d->insn = cs_malloc(d->cs);
	if (d->insn)
		return true;
	cs_close(&d->cs);
	return false;
}

void decoder_release(struct decoder *d)
{
	cs_free(d->insn, 1);
	cs_close(&d->cs);
}

static bool pass_unknown(struct decoder *d, const uint8_t **p, size_t *left, uint64_t *at, struct insn *ret)
{
	if (!d->m->unknown || *left < d->m->insn_max || !d->m->unknown(*p, ret))
		return false;
	ret->size = d->m->insn_max;
	*p += ret->size;
	*left -= ret->size;
	*at += ret->size;
	return true;
}

bool decoder_next(struct decoder *d, const uint8_t **p, size_t *left, uint64_t *at, struct insn *ret)
{
	*ret = (struct insn){.at = *at, .moved = {-1, -1}, .load = -1, .constant = -1, .added = -1, .field = -1};
	if (d->left == 0 || *left == 0)
		return false;
	d->left--;
	/* Capstone 4 leaves parts of it, the operands' access among them, as malloc gave them. */
	memset(d->insn->detail, 0, sizeof(*d->insn->detail));
	if (!cs_disasm_iter(d->cs, p, left, at, d->insn))
		return pass_unknown(d, p, left, at, ret);
	ret->size = (uint8_t)d->insn->size;
	snprintf(ret->name, sizeof(ret->name), "%.7s", d->insn->mnemonic);
	return d->m->describe(d->cs, d->insn, ret);
}

void walk_init(struct walk *w, struct decoder *d, const struct code *code, uint64_t at)
{
	long n = code_in_text(code, at) ? code->read(code->ctx, at, w->bytes, sizeof(w->bytes)) : 0;

	w->d = d;
	w->p = w->bytes;
	w->left = n > 0 ? (size_t)n : 0;
	w->at = at;
}

bool walk_next(struct walk *w, struct insn *ret)
{
	return decoder_next(w->d, &w->p, &w->left, &w->at, ret);
}
