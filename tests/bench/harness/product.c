/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "bench/harness/product.h"

#define ARGS_MAX 64

static void self_path(char *ret, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", ret, size - 1);

	ret[n > 0 ? n : 0] = '\0';
}

const char *product_path(void)
{
	static char path[PATH_MAX + 16];

	if (getenv("SPANTAP"))
		return getenv("SPANTAP");
	self_path(path, PATH_MAX);
	for (int i = 0; i < 2 && strrchr(path, '/'); i++)
		*strrchr(path, '/') = '\0';
	return strcat(path, "/spantap");
}

pid_t product_start(const struct ends *e, const char *const *options, const char *const *end, int *ret_out)
{
	const char *argv[ARGS_MAX] = {"spantap"};
	char self[PATH_MAX];
	size_t n = 1;
	int out[2];

	self_path(self, sizeof(self));
	while (*options && n < ARGS_MAX - 8)
		argv[n++] = *options++;
	if (end) {
		argv[n++] = "--";
		argv[n++] = self;
		argv[n++] = "--end";
	}
	while (end && *end && n < ARGS_MAX - 1)
		argv[n++] = *end++;
	if (pipe2(out, O_CLOEXEC))
		die(1, "cannot create a pipe");
	unsetenv("SUDO_UID"); /* the client needs no user of its own */
	pid_t pid = end_fork(e->traced, -1);
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		execv(product_path(), (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(out[1]);
	*ret_out = out[0];
	return pid;
}

void product_wait(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		die(1, "%s failed (status %#x)", product_path(), (unsigned)status);
}

uint64_t product_query(const char *store, const char *sql)
{
	char path[PATH_MAX];
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	uint64_t n = 0;

	snprintf(path, sizeof(path), "%s/spantap.db", store);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		n = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

uint64_t product_counter(const char *store, const char *name)
{
	char sql[160];

	snprintf(sql, sizeof(sql),
	         "SELECT json_extract(counters, '$.%s') FROM capture ORDER BY id DESC LIMIT 1", name);
	return product_query(store, sql);
}

void product_remove_store(const char *store)
{
	static const char *const files[] = {"spantap.db", "spantap.db-wal", "spantap.db-shm", "spantap.lock",
	                                    "lock"};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", store, files[i]);
		unlink(path);
	}
	rmdir(store);
}
