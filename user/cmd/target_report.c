/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "cmd/target_report.h"
#include "store/json_text.h"

static const char *machine_name(const struct target *t)
{
	return t->machine == EM_X86_64 ? "x86-64" : t->machine == EM_AARCH64 ? "arm64" : "unknown processor";
}

static void add_path(struct buf *out, const char *path)
{
	text_escape(out, slice_str(path));
}

/* The library and its version; the version came from the file. */
static void add_library(struct buf *out, const struct target *t)
{
	buf_adds(out, target_lib_name(t));
	if (t->version[0])
		buf_addf(out, " %s%s", t->version, t->interface ? " or later with the same interface" : "");
	else
		buf_adds(out, ", version unknown");
}

/* The first of the functions that data passes through with this bit; TARGET_FUNCS: none. */
static int first_of(const struct target *t, uint32_t bits)
{
	for (int f = 0; f < TARGET_FLUSH; f++)
		if (t->offset[f] && bits & 1u << f)
			return f;
	return TARGET_FUNCS;
}

/* Whether each read and write costs the traced process one trap or a single step more (target/site.h). */
static void add_site(struct buf *out, const struct target *t)
{
	if (!target_has_probes(t))
		buf_addf(out, "not captured: %s", target_why_text((enum target_why)t->why_public));
	else if (t->why_public == TARGET_WHY_RET_STEPPED)
		buf_addf(out, "slow site: %s", target_why_text((enum target_why)t->why_public));
	else if (t->located)
		buf_addf(out, "found without symbols, by what its code refers to; %s site",
		         target_is_slow(t) ? "slow" : "fast");
	else if (t->internal)
		buf_adds(out, "fast site in the function that SSL_write and SSL_write_ex share");
	else if (target_is_slow(t))
		buf_addf(out, "slow site: the first instruction of %s is single-stepped (%s), %s",
		         target_func_name(t, (enum target_func)first_of(t, t->slow)),
		         t->insn[first_of(t, t->slow)], target_why_text((enum target_why)t->why_public));
	else
		buf_addf(out, "fast site at the public functions (%s)",
		         target_why_text((enum target_why)t->why_public));
}

static void add_returns(struct buf *out, const struct target *t)
{
	unsigned n = 0;

	for (int f = 0; f < TARGET_FLUSH; f++) {
		if (t->offset[f] && !t->n_ret[f] && target_returns((enum target_func)f)) {
			buf_addf(out, "no return sites in %s: %s", target_func_name(t, (enum target_func)f),
			         target_why_text((enum target_why)t->ret_why[f]));
			return;
		}
		n += t->offset[f] ? t->n_ret[f] : 0;
	}
	buf_addf(out, "%u return sites", n);
}

void target_report_line(struct buf *out, const char *path, const struct target *t)
{
	if (!t->err && !t->lib)
		return;
	buf_adds(out, t->err || !target_has_probes(t) ? "  FAIL " : "  ok   ");
	add_path(out, path);
	if (t->err) {
		buf_addf(out, ": %s\n", strerror(-t->err));
		return;
	}
	buf_adds(out, "  ");
	add_library(out, t);
	buf_adds(out, "\n         ");
	add_site(out, t);
	if (target_has_probes(t)) {
		buf_adds(out, "; ");
		add_returns(out, t);
		const char *free_name = target_func_name(t, TARGET_FREE);
		if (free_name && !t->offset[TARGET_FREE])
			buf_addf(out, "; no %s: connections end with their process", free_name);
	}
	buf_addc(out, '\n');
}

static void add_function(struct buf *out, const struct target *t, int f)
{
	/* The internal functions have no names in the file: what they share is the form of this public one.
	 */
	const char *of = t->internal && f < TARGET_FLUSH ? "inside " : "";

	buf_addf(out, "  %s%-*s at %#" PRIx64 ", %s, %s", of, 24 - (int)strlen(of),
	         target_func_name(t, (enum target_func)f), t->offset[f], t->insn[f],
	         t->why_public == TARGET_WHY_RET_STEPPED && f == TARGET_READ ? "simulated"
	         : t->slow & 1u << f                                         ? "single-stepped"
	                                                                     : "simulated");
	if (t->nested & 1u << f)
		buf_adds(out, ", calls another one");
	buf_addc(out, '\n');
	if (!target_returns((enum target_func)f))
		return;
	buf_addf(out, "  %-24s ", "");
	if (!t->n_ret[f])
		buf_adds(out, target_why_text((enum target_why)t->ret_why[f]));
	else
		buf_addf(out, "returns %s", t->ret_in_caller & 1u << f ? "to" : "at");
	for (unsigned i = 0; i < t->n_ret[f]; i++)
		buf_addf(out, " %#" PRIx64, t->ret_offset[f][i]);
	buf_addc(out, '\n');
}

/* A library that is there, and why it is not probed. */
static void add_refused(struct buf *out, const struct target *t)
{
	const char *name = target_refused_name(t);

	if (name)
		buf_addf(out, "  %s without symbols: refused, %s\n", name,
		         target_why_text((enum target_why)t->why_refused));
}

void target_report(struct buf *out, const char *path, const struct target *t)
{
	add_path(out, path);
	buf_addc(out, '\n');
	if (t->err) {
		buf_addf(out, "  %s\n", strerror(-t->err));
		return;
	}
	buf_addf(out, "  %s, build id %s\n", machine_name(t), t->build_id[0] ? t->build_id : "none");
	add_refused(out, t);
	if (!t->lib) {
		if (!target_refused_name(t))
			buf_adds(out, "  no TLS library that is known\n");
		return;
	}
	buf_adds(out, "  ");
	add_library(out, t);
	buf_adds(out, "\n  ");
	add_site(out, t);
	buf_addc(out, '\n');
	for (int f = 0; f < TARGET_FUNCS; f++)
		if (t->offset[f])
			add_function(out, t, f);
}

/* --- for programs --- */

static void add_text(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, const char *s)
{
	yyjson_mut_obj_add_val(d, o, key, s && s[0] ? json_text(d, slice_str(s)) : yyjson_mut_null(d));
}

static yyjson_mut_val *json_function(yyjson_mut_doc *d, const struct target *t, int f)
{
	yyjson_mut_val *o = yyjson_mut_obj(d), *at = yyjson_mut_arr(d);

	add_text(d, o, "name", target_func_name(t, (enum target_func)f));
	yyjson_mut_obj_add_uint(d, o, "offset", t->offset[f]);
	add_text(d, o, "instruction", t->insn[f]);
	yyjson_mut_obj_add_bool(d, o, "single_stepped", t->slow >> f & 1);
	yyjson_mut_obj_add_bool(d, o, "nested", t->nested >> f & 1);
	if (target_returns((enum target_func)f)) {
		for (unsigned i = 0; i < t->n_ret[f]; i++)
			yyjson_mut_arr_add_uint(d, at, t->ret_offset[f][i]);
		yyjson_mut_obj_add_val(d, o, "return_offsets", at);
		yyjson_mut_obj_add_bool(d, o, "returns_in_caller", t->ret_in_caller >> f & 1);
		add_text(d, o, "why_no_returns", target_why_text((enum target_why)t->ret_why[f]));
	}
	return o;
}

yyjson_mut_val *target_report_json(yyjson_mut_doc *d, const char *path, const struct target *t)
{
	yyjson_mut_val *o = yyjson_mut_obj(d), *functions = yyjson_mut_arr(d);

	add_text(d, o, "path", path);
	add_text(d, o, "error", t->err ? strerror(-t->err) : NULL);
	add_text(d, o, "machine", t->err ? NULL : machine_name(t));
	add_text(d, o, "build_id", t->build_id);
	add_text(d, o, "library", t->lib ? target_lib_name(t) : NULL);
	add_text(d, o, "version", t->version);
	yyjson_mut_obj_add_bool(d, o, "located", t->located);
	add_text(d, o, "refused", target_refused_name(t));
	add_text(d, o, "why_refused", target_why_text((enum target_why)t->why_refused));
	yyjson_mut_obj_add_bool(d, o, "version_of_interface", t->interface);
	yyjson_mut_obj_add_bool(d, o, "internal", t->internal);
	add_text(d, o, "why_public", target_why_text((enum target_why)t->why_public));
	for (int f = 0; f < TARGET_FUNCS; f++)
		if (t->offset[f])
			yyjson_mut_arr_append(functions, json_function(d, t, f));
	yyjson_mut_obj_add_val(d, o, "functions", functions);
	return o;
}
