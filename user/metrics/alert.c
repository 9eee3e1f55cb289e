/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "metrics/alert.h"

#define SECOND     1000000000ull
#define DAY        (86400 * SECOND)
#define OVER_LEAST (10 * SECOND)
#define OVER_USUAL (300 * SECOND)
#define NUMBER_MAX 24 /* characters */

struct unit {
	const char *word;
	double factor;
};

static const struct unit parts[] = {{"", 1}, {"%", 0.01}, {NULL, 0}};
static const struct unit seconds[] = {{"", 1}, {"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}, {NULL, 0}};
static const struct unit durations[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {NULL, 0}};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

static const struct subject {
	const char *name;
	const struct unit *units;
	double least, most; /* of the limit */
	const char *range;
} subjects[] = {
    [ALERT_ERROR_RATE] = {"error_rate", parts, 0, 1, "a part from 0 to 1, or 0% to 100%"},
    [ALERT_P95_DURATION] = {"p95_duration", seconds, 0, 86400, "a time up to 24h, with ms, s, m or h"},
    [ALERT_P95_TTFT] = {"p95_ttft", seconds, 0, 86400, "a time up to 24h, with ms, s, m or h"},
    [ALERT_COST_PER_DAY] = {"cost_per_day", plain, 0, 1e9, "US dollars"},
    [ALERT_TOOL_LOOP] = {"tool_loop", plain, 2, 1000, "a number of calls from 2 to 1000"},
};

#define N_SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

const char *alert_subject_name(enum alert_subject s)
{
	return subjects[s].name;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '%';
}

static void skip_blanks(struct slice *s)
{
	while (s->n && (*s->p == ' ' || *s->p == '\t'))
		*s = slice_from(*s, 1);
}

static struct slice word(struct slice *s)
{
	size_t n = 0;

	skip_blanks(s);
	while (n < s->n && is_letter(s->p[n]))
		n++;
	struct slice w = slice_of(s->p, n);
	*s = slice_from(*s, n);
	return w;
}

/* Digits with a point among them, then one of `units`; false: it is not that. */
static bool quantity(struct slice *s, const struct unit *units, double *ret)
{
	char number[NUMBER_MAX + 1] = "";
	size_t n = 0, points = 0;

	skip_blanks(s);
	while (n < s->n && n < NUMBER_MAX && ((s->p[n] >= '0' && s->p[n] <= '9') || s->p[n] == '.'))
		points += s->p[n++] == '.';
	if (n == points || points > 1)
		return false;
	memcpy(number, s->p, n);
	*s = slice_from(*s, n);
	size_t letters = 0;
	while (letters < s->n && is_letter(s->p[letters]))
		letters++;
	for (; units->word; units++) {
		if (!slice_eq(slice_of(s->p, letters), slice_str(units->word)))
			continue;
		*s = slice_from(*s, letters);
		*ret = strtod(number, NULL) * units->factor;
		return true;
	}
	return false;
}

static bool subject(struct slice *s, struct alert_rule *ret)
{
	struct slice name = word(s);

	for (size_t i = 0; i < N_SUBJECTS; i++) {
		ret->subject = (enum alert_subject)i;
		if (slice_eq(name, slice_str(subjects[i].name)))
			return true;
	}
	return false;
}

static bool comparison(struct slice *s, struct alert_rule *ret)
{
	skip_blanks(s);
	if (!s->n || *s->p != '>')
		return false;
	*s = slice_from(*s, 1);
	ret->or_equal = s->n && *s->p == '=';
	if (ret->or_equal)
		*s = slice_from(*s, 1);
	return true;
}

/* "over D" and "for D", each once, in this order. NULL, or what is wrong. */
static const char *times(struct slice *s, struct alert_rule *ret)
{
	struct slice w = word(s);
	double v;

	if (slice_eq(w, SLICE("over"))) {
		if (ret->subject == ALERT_COST_PER_DAY)
			return "cost_per_day is of 24 h: it takes no 'over'";
		if (!quantity(s, durations, &v) || v * 1e9 < (double)OVER_LEAST || v * 1e9 > (double)DAY)
			return "'over' takes a time from 10s to 24h, with s, m or h";
		ret->over = (uint64_t)(v * 1e9);
		w = word(s);
	}
	if (slice_eq(w, SLICE("for"))) {
		if (!quantity(s, durations, &v) || v * 1e9 > (double)DAY)
			return "'for' takes a time up to 24h, with s, m or h";
		ret->hold = (uint64_t)(v * 1e9);
		w = word(s);
	}
	skip_blanks(s);
	return w.n || s->n ? "behind the limit may stand 'over' a time, and then 'for' a time" : NULL;
}

static void fold(char *to, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] != ' ' && s.p[i] != '\t') || (i && s.p[i - 1] != ' ' && s.p[i - 1] != '\t'))
			*to++ = s.p[i] == '\t' ? ' ' : s.p[i];
	*to = '\0';
}

int alert_parse(struct slice s, struct alert_rule *ret, struct buf *ret_error)
{
	struct alert_rule r = {.over = OVER_USUAL};
	const char *wrong = NULL;

	s = slice_trim(s);
	if (s.n > ALERT_TEXT_MAX) {
		buf_addf(ret_error, "a rule has at most %d characters", ALERT_TEXT_MAX);
		return -EINVAL;
	}
	fold(r.text, s);
	if (!subject(&s, &r))
		wrong = "it begins with error_rate, p95_duration, p95_ttft, cost_per_day or tool_loop";
	else if (!comparison(&s, &r))
		wrong = "behind its subject stands > or >=";
	else if (!quantity(&s, subjects[r.subject].units, &r.limit) || r.limit < subjects[r.subject].least ||
	         r.limit > subjects[r.subject].most)
		buf_addf(ret_error, "the limit of %s is %s", subjects[r.subject].name,
		         subjects[r.subject].range);
	else
		wrong = times(&s, &r);
	if (wrong)
		buf_adds(ret_error, wrong);
	if (ret_error->n)
		return -EINVAL;
	if (r.subject == ALERT_COST_PER_DAY)
		r.over = DAY;
	*ret = r;
	return 0;
}
