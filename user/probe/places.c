/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/map.h"
#include "probe/places.h"
#include "probe/procfs.h"

#define SCRIPT_DEPTH 4 /* BINPRM_MAX_RECURSION of the kernel */

/* Where the dynamic linker looks, by the layout of each distribution family. */
static const char *const library_dirs[] = {"/lib/*", "/usr/lib/*", "/usr/lib64", "/usr/lib", "/usr/local/lib*"};

/* TLS libraries as their packages name them. */
static const char *const library_names[] = {"libssl.so.[13]*",    "libgnutls.so.30",  "libssl3.so",
                                            "libmbedtls.so.[12]*", "libwolfssl.so.[0-9]*", "libs2n.so*"};

static void each_match(const char *pattern, void (*fn)(void *ctx, const char *path), void *ctx)
{
	glob_t g;

	if (glob(pattern, 0, NULL, &g) == 0)
		for (size_t i = 0; i < g.gl_pathc; i++)
			fn(ctx, g.gl_pathv[i]);
	globfree(&g);
}

/* In the places where programs find them. */
static void each_library(void (*fn)(void *ctx, const char *path), void *ctx)
{
	char pattern[128];

	for (size_t d = 0; d < sizeof(library_dirs) / sizeof(library_dirs[0]); d++)
		for (size_t n = 0; n < sizeof(library_names) / sizeof(library_names[0]); n++) {
			snprintf(pattern, sizeof(pattern), "%s/%s", library_dirs[d], library_names[n]);
			each_match(pattern, fn, ctx);
		}
}

static void attach_match(void *ctx, const char *path)
{
	attacher_path(ctx, path, 0);
}

/* The interpreter that a script names in its first line, "env" looked through; false when it is no script. */
static bool script_interpreter(const char *path, char *ret, size_t size)
{
	char line[512];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';

	char *save = NULL, *word = strtok_r(line + 2, " \t", &save);
	if (!word)
		return false;
	const char *base = strrchr(word, '/');
	if (strcmp(base ? base + 1 : word, "env") == 0) {
		do
			word = strtok_r(NULL, " \t", &save);
		while (word && (word[0] == '-' || strchr(word, '=')));
		return word && procfs_find_program(word, ret, size) == 0;
	}
	snprintf(ret, size, "%s", word);
	return true;
}

/* What env(1) executes, NULL: this is not env, or not in a form that is understood. */
static char *const *behind_env(char *const *argv)
{
	const char *base = strrchr(argv[0], '/');

	if (strcmp(base ? base + 1 : argv[0], "env") != 0)
		return NULL;
	for (argv++; *argv; argv++) {
		if (strcmp(*argv, "-u") == 0 || strcmp(*argv, "-C") == 0)
			argv += argv[1] != NULL;
		else if (**argv != '-' && !strchr(*argv, '='))
			return argv;
		else if (strncmp(*argv, "-S", 2) == 0 || strncmp(*argv, "--split-string", 14) == 0)
			return NULL;
	}
	return NULL;
}

void places_attach(struct attacher *a, const char *exe, char *const *argv)
{
	char path[PATH_MAX], next[PATH_MAX], pattern[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s", exe);
	for (int depth = 0; depth < SCRIPT_DEPTH && (argv = behind_env(argv)); depth++)
		if (procfs_find_program(*argv, next, sizeof(next)) == 0)
			memcpy(path, next, sizeof(path));
	for (int depth = 0; depth < SCRIPT_DEPTH && script_interpreter(path, next, sizeof(next)); depth++)
		memcpy(path, next, sizeof(path));
	attacher_path(a, path, 0);

	/* A program that brings its own libraries (conda, a private prefix) has them beside its bin directory. */
	char real[PATH_MAX];
	if (realpath(path, real)) {
		char *slash = strrchr(real, '/');

		if (slash) {
			*slash = '\0';
			snprintf(pattern, sizeof(pattern), "%s/../lib/libssl.so.[13]*", real);
			each_match(pattern, attach_match, a);
		}
	}
	each_library(attach_match, a);
}

struct report {
	void (*fn)(void *ctx, const char *path, const struct target *t);
	void *ctx;
	struct attacher *attacher;
	struct map seen; /* real paths: /lib is /usr/lib */
};

static void report_match(void *ctx, const char *path)
{
	struct report *r = ctx;
	char real[PATH_MAX];
	struct target t;

	if (!realpath(path, real) || map_get(&r->seen, real, strlen(real)))
		return;
	map_put(&r->seen, real, strlen(real), r);
	attacher_inspect(r->attacher, real, &t);
	r->fn(r->ctx, real, &t);
}

void places_report(void (*report)(void *ctx, const char *path, const struct target *t), void *ctx)
{
	struct report r = {.fn = report, .ctx = ctx, .attacher = attacher_new(NULL)};

	each_library(report_match, &r);
	map_release(&r.seen);
	attacher_free(r.attacher);
}

static void warm_match(void *ctx, const char *path)
{
	attacher_warm(ctx, path);
}

void places_warm(struct attacher *a)
{
	each_library(warm_match, a);
}
