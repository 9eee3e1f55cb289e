/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>
#include <stdio.h>
#include <string.h>

#include "../../bpf/events.h"
#include "target/eh_frame.h"
#include "target/returns.h"
#include "target/site.h"
#include "target/sweep.h"

#define SITE_MAX 6 /* instructions behind the first that a site may be */

struct chooser {
	struct decoder d;
	const struct code *code;
	const struct site_func *funcs;
	const char *const *symbols;
	struct target *t;
	uint64_t plt; /* the entry looked up last, and what it leads to */
	const char *plt_name;
};

enum site_form site_form(const struct target *t)
{
	unsigned major, minor;

	if (t->lib != EV_LIB_OPENSSL || sscanf(t->version, "%u.%u", &major, &minor) != 2)
		return SITE_FORM_UNKNOWN;
	if (major == 1 && minor == 1)
		return SITE_FORM_PLAIN;
	if (major != 3 || minor > 6)
		return SITE_FORM_UNKNOWN;
	return minor >= 3 ? SITE_FORM_FLAGS : SITE_FORM_PLAIN;
}

/* --- which function --- */

/* What the instructions before a call have done with the arguments of their function. */
struct flow {
	bool base_intact; /* the first three are where the caller put them */
	bool fourth_intact, fifth_intact;
	bool fourth_is_fifth; /* the 4th was handed on as the 5th */
};

static void follow(const struct insn *i, struct flow *f)
{
	if (i->writes & 7)
		f->base_intact = false;
	if (i->writes & 16) {
		f->fifth_intact = false;
		f->fourth_is_fifth = f->fourth_intact && i->moved[0] == 4 && i->moved[1] == 3;
	}
	if (i->writes & 8)
		f->fourth_intact = false;
}

/* The symbol that the PLT entry at `addr` leads to, NULL: none. */
static const char *plt_symbol(struct chooser *c, uint64_t addr)
{
	uint8_t bytes[32];
	const uint8_t *p = bytes;
	uint64_t page = 0;
	struct insn i;
	long n = c->code->slot && !code_in_text(c->code, addr)
	             ? c->code->read(c->code->ctx, addr, bytes, sizeof(bytes))
	             : 0;
	size_t left = n > 0 ? (size_t)n : 0;

	/* endbr64; jmp *slot, or bti c; adrp x16; ldr x17, [x16, #…]; add; br x17 */
	for (int k = 0; k < 5 && decoder_next(&c->d, &p, &left, &addr, &i); k++) {
		if (i.page)
			page = i.page;
		if (i.load >= 0 && page)
			return c->code->slot(c->code->ctx, page + (uint64_t)i.load);
		if (i.kind == INSN_JUMP_MEMORY)
			return i.to ? c->code->slot(c->code->ctx, i.to) : NULL;
		if (i.kind != INSN_OTHER && i.kind != INSN_LANDING)
			return NULL;
	}
	return NULL;
}

/* Whether a call or jump to `to` is one of public function `f`. */
static bool leads_to(struct chooser *c, uint64_t to, int f)
{
	if (!c->funcs[f].addr)
		return false;
	if (to == c->funcs[f].addr)
		return true;
	if (code_in_text(c->code, to))
		return false;
	if (c->plt != to) {
		c->plt = to;
		c->plt_name = plt_symbol(c, to);
	}
	return c->plt_name && c->symbols[f] && strcmp(c->plt_name, c->symbols[f]) == 0;
}

/*
 * Where the function at `at` first calls to before it returns (a conditional
 * jump over the error path is passed), or jumps to, and what it had done with
 * its arguments by then.  0: nowhere.
 */
static uint64_t first_call(struct chooser *c, uint64_t at, struct flow *ret, bool *ret_jump)
{
	struct insn i;
	struct walk w;

	*ret = (struct flow){true, true, true, false};
	*ret_jump = false;
	walk_init(&w, &c->d, c->code, at);
	for (int n = 0; at && n < INSN_WALK && walk_next(&w, &i); n++) {
		if (i.kind == INSN_RET || i.kind == INSN_JUMP_MEMORY || i.kind == INSN_CALL_MEMORY)
			break;
		if (i.kind == INSN_CALL || i.kind == INSN_JUMP) {
			*ret_jump = i.kind == INSN_JUMP;
			return i.to;
		}
		follow(&i, ret);
	}
	return 0;
}

/* The function of the same .text that public function `f` calls; 0: none. */
static uint64_t callee(struct chooser *c, int f, struct flow *ret)
{
	bool jump;
	uint64_t to = first_call(c, c->funcs[f].addr, ret, &jump);

	return !jump && code_in_text(c->code, to) ? to : 0;
}

/* Opens the sweep of a public function; false: its instructions are not all known. */
static bool sweep_public(struct chooser *c, int f, struct sweep *ret)
{
	const struct site_func *func = &c->funcs[f];
	uint64_t start = func->addr, end = start + func->size;

	*ret = (struct sweep){0};
	if (func->size == 0 && (!eh_frame_find(c->code, func->addr, &start, &end) || start != func->addr))
		return false;
	return sweep_init(ret, &c->d, c->code, start, end) == TARGET_WHY_NONE;
}

/*
 * Whether public function `f` does nothing else but call `inner`: a function
 * that is only the first of several that it calls is not its internal one,
 * even when it happens to be called with the arguments still in place.
 */
static bool calls_only(struct chooser *c, int f, uint64_t inner)
{
	struct sweep s;
	bool only = sweep_public(c, f, &s);

	for (size_t k = 0; k < s.n && only; k++) {
		const struct insn *i = &s.insns[k];

		if (i->kind == INSN_CALL)
			only = i->to == inner;
		else if (i->kind == INSN_JUMP || i->kind == INSN_BRANCH)
			only = i->to >= s.start && i->to < s.end;
		else
			only = i->kind != INSN_CALL_MEMORY && i->kind != INSN_JUMP_MEMORY;
	}
	sweep_release(&s);
	return only;
}

/*
 * What the internal function gets as place for the byte count: the form of
 * `ex` or `ex2`, told by how SSL_write_ex (SSL_write_ex2 where there is one:
 * SSL_write_ex then only jumps to it) hands its own on.  -1: cannot be told.
 */
static int internal_form(struct chooser *c, int ex, int ex2, uint64_t internal)
{
	struct flow f;

	if (ex2 >= 0 && c->funcs[ex2].addr) {
		bool jump;

		if (callee(c, ex2, &f) != internal || !f.base_intact || !f.fifth_intact ||
		    !calls_only(c, ex2, internal))
			return -1;
		uint64_t to = first_call(c, c->funcs[ex].addr, &f, &jump);
		return to == internal || leads_to(c, to, ex2) ? ex2 : -1;
	}
	if (callee(c, ex, &f) != internal || !f.base_intact || !calls_only(c, ex, internal))
		return -1;
	return f.fourth_intact ? ex : f.fourth_is_fifth ? ex2 : -1;
}

/* --- which instruction of it --- */

/*
 * Whether the probe may sit at `at`, some instructions behind the start of its
 * function: no jump leads back to it. Where the function ends is known for
 * every one that can be unwound; if not, only landing pads may be passed.
 */
static bool once_a_call(struct chooser *c, uint64_t start, uint64_t size, uint64_t at, bool only_landing)
{
	uint64_t from = start, end = start + size;
	struct sweep s;

	if (size == 0 && (!eh_frame_find(c->code, start, &from, &end) || from != start))
		return only_landing;
	bool once = sweep_init(&s, &c->d, c->code, start, end) == TARGET_WHY_NONE;
	for (size_t k = 0; k < s.n && once; k++) {
		const struct insn *i = &s.insns[k];

		once = (i->kind != INSN_JUMP && i->kind != INSN_BRANCH) || i->to < start || i->to > at;
	}
	sweep_release(&s);
	return once;
}

/* The instruction for a probe on the function at `at` that wants its first `args` arguments; ret_name: of it.
 */
static uint64_t site(struct chooser *c, uint64_t at, uint64_t size, unsigned args, bool *ret_fast,
                     char ret_name[8])
{
	bool only_landing = true;
	struct walk w;
	struct insn i;

	*ret_fast = false;
	walk_init(&w, &c->d, c->code, at);
	for (int n = 0; n <= SITE_MAX && walk_next(&w, &i); n++) {
		if (n == 0)
			memcpy(ret_name, i.name, sizeof(i.name));
		if (i.simulated && (i.at == at || once_a_call(c, at, size, i.at, only_landing))) {
			*ret_fast = true;
			memcpy(ret_name, i.name, sizeof(i.name));
			return i.at;
		}
		if ((i.kind != INSN_OTHER && i.kind != INSN_LANDING) || i.frame ||
		    i.writes & ((1u << args) - 1))
			break;
		only_landing &= i.kind == INSN_LANDING;
	}
	return at;
}

static unsigned arguments(int f)
{
	switch (f) {
	case TARGET_WRITE_EX2:
		return 5;
	case TARGET_WRITE_EX:
	case TARGET_READ_EX:
	case TARGET_READ_FLAGS:
	case TARGET_CTRL:
		return 4;
	case TARGET_SNI:
	case TARGET_RUSTLS_SEND:
	case TARGET_RUSTLS_CONSUME:
		return 2;
	case TARGET_RUSTLS_ENCRYPT:
		return 3;
	default:
		return f < TARGET_FLUSH ? 3 : 1;
	}
}

/* --- choosing --- */

/* Puts the probes of all forms on the function that they call, when that is provably right. */
static enum target_why use_internal(struct chooser *c, struct target *t, int plain, int ex, int ex2)
{
	struct flow ignored;
	bool fast;

	uint64_t internal = callee(c, plain, &ignored);
	if (!internal || !c->funcs[ex].addr)
		return TARGET_WHY_NO_COMMON;
	int form = internal_form(c, ex, ex2, internal);
	if (form < 0)
		return calls_only(c, ex, internal) ? TARGET_WHY_ARGUMENTS : TARGET_WHY_NO_COMMON;
	enum site_form said = site_form(t);
	if (said == SITE_FORM_UNKNOWN)
		return TARGET_WHY_VERSION_UNKNOWN;
	if (ex2 >= 0 && (form == ex2) != (said == SITE_FORM_FLAGS))
		return TARGET_WHY_VERSION_DISAGREES;
	uint64_t at = site(c, internal, 0, arguments(form), &fast, t->insn[form]);
	if (!fast)
		return TARGET_WHY_COMMON_STEPPED;

	struct returns r = {.n = 0};
	t->offset[plain] = t->offset[ex] = 0;
	if (ex2 >= 0)
		t->offset[ex2] = 0;
	t->offset[form] = at;
	t->ret_why[form] = (uint8_t)returns_behind_calls(&c->d, c->code, internal, &r);
	t->n_ret[form] = (uint8_t)r.n;
	memcpy(t->ret_offset[form], r.at, sizeof(r.at));
	t->ret_in_caller |= 1u << form;
	return TARGET_WHY_NONE;
}

static bool same_direction(int f, int g)
{
	return (target_writes(f) && target_writes(g)) || (target_reads(f) && target_reads(g));
}

/* The probed function of the same direction that a call or jump of `f` leads to; -1: none. */
static int inner_of(struct chooser *c, int f, uint64_t to)
{
	for (int g = 0; g < TARGET_FLUSH; g++)
		if (g != f && same_direction(f, g) && leads_to(c, to, g))
			return g;
	return -1;
}

/*
 * Whether `f` calls another probed function (nested), and whether it does
 * nothing else (wrapper).  What cannot be looked through counts as nested: the
 * kernel side then takes care.
 */
static void look_through(struct chooser *c, int f, bool *ret_nested, bool *ret_wrapper)
{
	unsigned inner = 0, others = 0;
	struct sweep s;

	if (!sweep_public(c, f, &s))
		inner = others = 1;
	for (size_t k = 0; k < s.n; k++) {
		const struct insn *i = &s.insns[k];
		bool leaves = i->kind == INSN_CALL || ((i->kind == INSN_JUMP || i->kind == INSN_BRANCH) &&
		                                       (i->to < s.start || i->to >= s.end));

		if (leaves && inner_of(c, f, i->to) >= 0)
			inner++;
		else if (leaves || i->kind == INSN_CALL_MEMORY || i->kind == INSN_JUMP_MEMORY ||
		         i->kind == INSN_BRANCH)
			others++;
	}
	sweep_release(&s);
	*ret_nested = inner > 0;
	*ret_wrapper = inner == 1 && !others;
}

/* Before any offset is moved. */
static void resolve_nesting(struct chooser *c)
{
	for (int f = 0; f < TARGET_FLUSH; f++) {
		bool nested, wrapper;

		if (!c->t->offset[f])
			continue;
		look_through(c, f, &nested, &wrapper);
		if (wrapper)
			c->t->offset[f] = 0;
		else if (nested)
			c->t->nested |= 1u << f;
	}
}

static void place_public(struct chooser *c, int f)
{
	const struct site_func *func = &c->funcs[f];
	struct target *t = c->t;
	struct returns r = {.n = 0};
	bool fast;

	t->offset[f] = site(c, func->addr, func->size, arguments(f), &fast, t->insn[f]);
	if (!fast)
		t->slow |= 1u << f;
	if (!target_returns((enum target_func)f))
		return;
	t->ret_why[f] = (uint8_t)returns_within(&c->d, c->code, func->addr, func->size, &r);
	t->n_ret[f] = (uint8_t)r.n;
	memcpy(t->ret_offset[f], r.at, sizeof(r.at));
}

static void choose_internal(struct chooser *c)
{
	struct target moved = *c->t;
	enum target_why why = use_internal(c, &moved, TARGET_WRITE, TARGET_WRITE_EX, TARGET_WRITE_EX2);

	if (!why)
		why = use_internal(c, &moved, TARGET_READ, TARGET_READ_EX, -1);
	if (!why) {
		*c->t = moved;
		c->t->internal = 1;
	}
	c->t->why_public = why;
}

void site_choose(const struct code *code, const struct site_func funcs[TARGET_FUNCS],
                 const char *const symbols[TARGET_FUNCS], struct target *t)
{
	struct chooser c = {.code = code, .funcs = funcs, .symbols = symbols, .t = t};

	for (int f = 0; f < TARGET_FUNCS; f++) {
		t->offset[f] = funcs[f].addr;
		t->ret_why[f] = TARGET_WHY_NONE;
	}
	if (!decoder_init(&c.d, code->machine)) {
		t->why_public = TARGET_WHY_MACHINE;
		t->slow = ~0u;
		memset(t->ret_why, TARGET_WHY_MACHINE, sizeof(t->ret_why));
		return;
	}
	if (funcs[TARGET_WRITE_EX].addr || t->lib == EV_LIB_OPENSSL || t->lib == EV_LIB_BORINGSSL)
		choose_internal(&c);
	else
		t->why_public = TARGET_WHY_ONE_FORM;
	if (!t->internal)
		resolve_nesting(&c);
	for (int f = 0; f < TARGET_FUNCS; f++)
		if (t->offset[f] && !(t->internal && f < TARGET_FLUSH))
			place_public(&c, f);
	decoder_release(&c.d);
}
