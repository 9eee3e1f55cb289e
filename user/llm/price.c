/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <fnmatch.h>
#include <regex.h>
#include <stdio.h>
#include <time.h>

#include "llm/price_table.h"

const char *price_state_name(enum price_state s)
{
	static const char *const names[PRICE_STATES] = {"known", "no_model", "no_rate", "no_usage",
	                                                "bad_usage"};

	return names[s];
}

/* Matches */

static bool matches_regex(const char *name, struct slice pattern)
{
	char text[PRICE_NAME_MAX];
	regex_t re;

	snprintf(text, sizeof(text), "%.*s", (int)pattern.n, pattern.p);
	if (regcomp(&re, text, REG_EXTENDED | REG_NOSUB))
		return false;
	bool found = regexec(&re, name, 0, NULL, 0) == 0;
	regfree(&re);
	return found;
}

static bool holds(struct slice term, const char *name)
{
	struct slice s = slice_str(name), text = slice_from(term, 1);

	switch (term.p[0]) {
	case '=':
		return slice_eq(s, text);
	case '^':
		return slice_starts(s, text);
	case '$':
		return slice_ends(s, text);
	case '*':
		return slice_find(s, text) != NULL;
	case '~':
		return matches_regex(name, text);
	default:
		return !matches_regex(name, text);
	}
}

static bool matches(const char *match, const char *name)
{
	struct slice rest = slice_str(match), terms, term;

	while (rest.n && slice_cut(&rest, '\n', &terms)) {
		bool all = true;

		while (all && slice_cut(&terms, ' ', &term))
			all = term.n && holds(term, name);
		if (all)
			return true;
	}
	return false;
}

/* Finding the row */

/* Lower case, trimmed; false for a name that is none. */
static bool normalise(struct slice s, char name[PRICE_NAME_MAX])
{
	s = slice_trim(s);
	if (s.n == 0 || s.n >= PRICE_NAME_MAX || memchr(s.p, '\0', s.n))
		return false;
	for (size_t i = 0; i < s.n; i++)
		name[i] = (char)tolower((unsigned char)s.p[i]);
	name[s.n] = '\0';
	return true;
}

static const struct price_provider *provider_by_id(struct slice id)
{
	for (size_t i = 0; i < price_providers_n; i++)
		if (slice_eq(id, slice_str(price_providers[i].id)))
			return &price_providers[i];
	return NULL;
}

/* Names of the conventions that neither are an id of the table nor match one, or match a wrong one. */
static const struct {
	const char *name, *id;
} aliases[] = {
    {"azure.ai.openai", "azure"},
    {"azure.ai.inference", "azure"},
    {"gcp.gen_ai", "google"},
    {"x_ai", "x-ai"},
};

static const struct price_provider *find_provider(const char *name)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (strcmp(name, aliases[i].name) == 0)
			name = aliases[i].id;
	const struct price_provider *p = provider_by_id(slice_str(name));
	for (size_t i = 0; !p && i < price_providers_n; i++)
		if (matches(price_providers[i].match, name))
			p = &price_providers[i];
	return p;
}

static const struct price_model *find_model(const struct price_provider *p, const char *name)
{
	for (size_t i = 0; i < p->n_models; i++)
		if (matches(price_models[p->model + i].match, name))
			return &price_models[p->model + i];
	return NULL;
}

static const struct price_model *find_anywhere(const struct price_provider *p, const char *name)
{
	const struct price_model *m = find_model(p, name);
	struct slice rest = slice_str(p->fallbacks), id;

	while (!m && rest.n && slice_cut(&rest, ' ', &id)) {
		const struct price_provider *other = provider_by_id(id);

		m = other ? find_model(other, name) : NULL;
	}
	return m;
}

/* Whether "-20250807" and then an end stands here: a date of the calendar, written without hyphens. */
static bool is_compact_date(const char *s)
{
	static const char *const shape = "-20[0-9][0-9][01][0-9][0-3][0-9]";
	char date[10];

	snprintf(date, sizeof(date), "%.9s", s);
	if (fnmatch(shape, date, 0) || (s[9] != '\0' && s[9] != '-' && s[9] != ':'))
		return false;
	struct tm tm = {.tm_hour = 12}, want;
	sscanf(date + 1, "%4d%2d%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	want = tm;
	return timegm(&tm) != -1 && tm.tm_mon == want.tm_mon && tm.tm_mday == want.tm_mday;
}

/* The name with such dates as -2025-08-07; false when there are none, or it becomes too long. */
static bool spell_dates(const char *name, char out[PRICE_NAME_MAX])
{
	size_t n = 0;
	bool found = false;

	while (*name && n + 12 < PRICE_NAME_MAX) {
		if (*name == '-' && is_compact_date(name)) {
			n += (size_t)snprintf(out + n, 12, "%.5s-%.2s-%.2s", name, name + 5, name + 7);
			name += 9;
			found = true;
		} else {
			out[n++] = *name++;
		}
	}
	out[n] = '\0';
	return found && *name == '\0';
}

const struct price_model *price_find(struct slice provider, struct slice model)
{
	char who[PRICE_NAME_MAX], name[PRICE_NAME_MAX], dated[PRICE_NAME_MAX];

	if (!normalise(provider, who) || !normalise(model, name))
		return NULL;
	const struct price_provider *p = find_provider(who);
	const struct price_model *m = p ? find_anywhere(p, name) : NULL;
	if (p && !m && spell_dates(name, dated))
		m = find_anywhere(p, dated);
	return m;
}

/* Prices */

static bool fits(const struct price_period *p, uint64_t wall_ns)
{
	int64_t now = (int64_t)(wall_ns / 1000000000), second = now % 86400;

	switch (p->kind) {
	case PRICE_SINCE:
		return now >= p->from;
	case PRICE_DAILY:
		return p->to < p->from ? second >= p->from || second < p->to
		                       : second >= p->from && second < p->to;
	case PRICE_ALWAYS:
		break;
	}
	return true;
}

static const struct price_rates *rates_at(const struct price_model *m, uint64_t wall_ns)
{
	const struct price_period *v = &price_periods[m->period];
	size_t i = m->n_periods - 1u;

	while (i > 0 && !fits(&v[i], wall_ns))
		i--;
	return &price_rates[v[i].rates];
}

static double usd(const struct price_rate *r, int64_t tokens, int64_t context)
{
	if (!r->given || tokens <= 0)
		return 0;
	return (r->above && context > r->above ? r->tiered : r->usd) * (double)tokens / 1e6;
}

/* Takes from *rest what is paid at a rate of its own. */
static int64_t apart(const struct price_rate *r, int64_t tokens, int64_t *rest)
{
	int64_t n = r->given && tokens > 0 ? tokens : 0;

	*rest -= n;
	return n;
}

enum price_state price_calc(const struct price_model *m, uint64_t wall_ns, const struct llm_usage *u,
                            struct price *ret)
{
	if (!m)
		return PRICE_NO_MODEL;
	const struct price_rates *r = rates_at(m, wall_ns);
	int64_t input = u->input > 0 ? u->input : 0, output = u->output > 0 ? u->output : 0;
	if (!r->input.given && !r->output.given)
		return PRICE_NO_RATE;
	if ((r->input.given && u->input < 0) || (r->output.given && u->output < 0))
		return PRICE_NO_USAGE;

	int64_t cached = apart(&r->cache_read, u->cache_read, &input);
	int64_t written = input < 0 ? 0 : apart(&r->cache_write, u->cache_creation, &input);
	int64_t reasoning = apart(&r->output_reasoning, u->reasoning, &output);
	if (input < 0 || output < 0)
		return PRICE_BAD_USAGE;

	struct price p = {
	    .input = usd(&r->input, input, u->input),
	    .cache_read = usd(&r->cache_read, cached, u->input),
	    .cache_write = usd(&r->cache_write, written, u->input),
	    .output = usd(&r->output, output, u->input) + usd(&r->output_reasoning, reasoning, u->input),
	};
	p.total = p.input + p.cache_read + p.cache_write + p.output + r->request;
	if (r->cache_write_1h.given)
		p.hour_extra = usd(&r->cache_write_1h, written, u->input) - p.cache_write;
	*ret = p;
	return PRICE_KNOWN;
}

bool price_usual_tier(struct slice tier)
{
	static const char *const usual[] = {"default", "standard", "auto", "on_demand"};

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (slice_caseeq(tier, slice_str(usual[i])))
			return true;
	return tier.n == 0;
}
