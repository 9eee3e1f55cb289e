/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is found in libraries as they ship: Debian's, of several releases and
 * both processors, as `tests/fixtures/fetch-libraries` brings them, and the
 * one that is installed here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <glob.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../bpf/events.h"
#include "target/eh_frame.h"
#include "target/image.h"
#include "target/target.h"
#include "target/version.h"

struct expected {
	const char *path; /* below the cache; a pattern */
	uint32_t lib, machine;
	const char *version;
	bool internal;
	enum target_why why_public;
	uint32_t probed; /* bit 1 << enum target_func */
	enum target_why why_new;
	const char *write_insn, *read_insn;
};

#define BIT(f)   (1u << TARGET_##f)
#define ALWAYS   (BIT(NEW) | BIT(FREE))
#define PUBLIC   (ALWAYS | BIT(WRITE) | BIT(WRITE_EX) | BIT(READ) | BIT(READ_EX) | BIT(CTRL))
#define COMMON   (ALWAYS | BIT(WRITE_EX) | BIT(READ_EX) | BIT(CTRL))
#define BORING   (ALWAYS | BIT(WRITE) | BIT(READ) | BIT(SNI))
#define STEPPED  TARGET_WHY_COMMON_STEPPED
#define INDIRECT TARGET_WHY_INDIRECT

static const struct expected table[] = {
    {"bullseye-amd64/*/usr/lib/*/libssl.so.1.1", EV_LIB_OPENSSL, EM_X86_64, "1.1.1w", true, 0, COMMON, 0,
     "push", "push"},
    {"bookworm-amd64/*/usr/lib/*/libssl.so.3", EV_LIB_OPENSSL, EM_X86_64, "3.0", true, 0, COMMON, 0, "push",
     "push"},
    {"trixie-amd64/*/usr/lib/*/libssl.so.3", EV_LIB_OPENSSL, EM_X86_64, "3.5", true, 0,
     ALWAYS | BIT(WRITE_EX2) | BIT(READ_EX) | BIT(CTRL), INDIRECT, "push", "push"},
    {"bullseye-arm64/*/usr/lib/*/libssl.so.1.1", EV_LIB_OPENSSL, EM_AARCH64, "1.1.1w", false, STEPPED, PUBLIC,
     0, "stp", "stp"},
    {"bookworm-arm64/*/usr/lib/*/libssl.so.3", EV_LIB_OPENSSL, EM_AARCH64, "3.0", false, STEPPED, PUBLIC, 0,
     "sub", "sub"},
    /* SSL_write_ex is a wrapper of SSL_write_ex2; paciasp comes first */
    {"trixie-arm64/*/usr/lib/*/libssl.so.3", EV_LIB_OPENSSL, EM_AARCH64, "3.5", false, STEPPED,
     (PUBLIC & ~BIT(WRITE_EX)) | BIT(WRITE_EX2), INDIRECT, "hint", "hint"},
    {"bookworm-amd64/*/usr/lib/*/android/libssl.so.0", EV_LIB_BORINGSSL, EM_X86_64, "", false,
     TARGET_WHY_NO_COMMON, BORING, 0, "push", "push"},
    {"trixie-amd64/*/usr/lib/*/android/libssl.so.0", EV_LIB_BORINGSSL, EM_X86_64, "", false,
     TARGET_WHY_NO_COMMON, BORING, 0, "push", "push"},
    {"bookworm-arm64/*/usr/lib/*/android/libssl.so.0", EV_LIB_BORINGSSL, EM_AARCH64, "", false,
     TARGET_WHY_NO_COMMON, BORING, 0, "sub", "stp"},
    {"trixie-arm64/*/usr/lib/*/android/libssl.so.0", EV_LIB_BORINGSSL, EM_AARCH64, "", false,
     TARGET_WHY_NO_COMMON, BORING, 0, "hint", "hint"},
};

/* The file that the pattern below the cache means; false: it was not fetched. */
static bool cached(const char *pattern, char *ret, size_t size)
{
	const char *cache = getenv("SPANTAP_CACHE"), *home = getenv("HOME");
	char full[512];
	glob_t g;

	snprintf(full, sizeof(full), "%s%s/libraries/%s",
	         cache  ? cache
	         : home ? home
	                : "",
	         cache ? "" : "/.cache/spantap", pattern);
	bool found = glob(full, 0, NULL, &g) == 0;
	if (found)
		snprintf(ret, size, "%s", g.gl_pathv[0]);
	globfree(&g);
	return found;
}

static void inspect(const char *path, struct target *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	target_inspect(fd, ret);
	close(fd);
}

/* The two bytes of code at each site are what the site is said to be. */
static void check_sites(const char *path, const struct target *t)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	for (int f = 0; f < TARGET_FUNCS; f++) {
		for (unsigned i = 0; i < t->n_ret[f]; i++) {
			uint8_t b[5];
			bool caller = t->ret_in_caller >> f & 1;
			uint64_t at = t->ret_offset[f][i] - (caller ? 5 : 0);

			assert_int_equal(pread(fd, b, 5, (off_t)at), 5);
			if (t->machine == EM_X86_64)
				assert_true(caller ? b[0] == 0xe8
				                   : b[0] == 0xc3 || (b[0] == 0xf3 && b[1] == 0xc3));
			else
				assert_memory_equal(b, "\xc0\x03\x5f\xd6", 4);
		}
	}
	close(fd);
}

static void check(const struct expected *e, const char *path)
{
	struct target t;

	inspect(path, &t);
	assert_int_equal(t.err, 0);
	assert_int_equal(t.lib, e->lib);
	assert_int_equal(t.machine, e->machine);
	assert_string_equal(t.version, e->version);
	assert_int_equal(t.internal, e->internal);
	assert_int_equal(t.why_public, e->why_public);
	assert_int_equal(t.nested, 0);
	assert_int_equal(t.ret_why[TARGET_NEW], e->why_new);
	assert_true(target_has_returns(&t));
	for (int f = 0; f < TARGET_FUNCS; f++)
		assert_int_equal(t.offset[f] != 0, (e->probed | 1u << TARGET_CLEAR) >> f & 1);
	int write = t.offset[TARGET_WRITE]      ? TARGET_WRITE
	            : t.offset[TARGET_WRITE_EX] ? TARGET_WRITE_EX
	                                        : TARGET_WRITE_EX2;
	int read = t.offset[TARGET_READ] ? TARGET_READ : TARGET_READ_EX;
	assert_string_equal(t.insn[write], e->write_insn);
	assert_string_equal(t.insn[read], e->read_insn);
	assert_int_equal(target_is_slow(&t), strcmp(e->write_insn, "push") != 0);
	/* SSL_write, SSL_write_ex and the SSL BIO call it */
	if (e->internal)
		assert_int_equal(t.n_ret[write], 3);
	check_sites(path, &t);
}

/* Libraries other than OpenSSL, and a Go program: what is probed, and that everything returns somewhere. */
static const struct {
	const char *path;
	uint32_t lib;
	const char *version;
	uint32_t probed;
	enum target_why why; /* why nothing is, else 0 */
	bool no_returns;     /* return probes are needed */
} others[] = {
#define GNUTLS   (BIT(WRITE2) | BIT(READ) | BIT(READ2) | BIT(FLUSH) | BIT(INIT) | BIT(FREE))
#define NSS      (BIT(WRITE2) | BIT(READ_FLAGS) | BIT(FREE))
#define MBEDTLS  (BIT(WRITE) | BIT(READ) | BIT(FREE) | BIT(SNI) | BIT(CLEAR) | BIT(BEGIN))
#define WOLFSSL  (BIT(WRITE) | BIT(READ) | BIT(NEW) | BIT(FREE) | BIT(CLEAR))
#define GO       (BIT(WRITE_RECORD) | BIT(READ) | BIT(FREE) | BIT(BEGIN))
#define ON_STACK TARGET_WHY_STACK_ARGUMENTS
    {"bullseye-amd64/*/usr/lib/*/libgnutls.so.30", EV_LIB_GNUTLS, "3.7", GNUTLS, 0, true},
    {"bullseye-arm64/*/usr/lib/*/libgnutls.so.30", EV_LIB_GNUTLS, "3.7", GNUTLS, 0, false},
    {"bookworm-amd64/*/usr/lib/*/libgnutls.so.30", EV_LIB_GNUTLS, "3.7", GNUTLS, 0, true},
    {"bookworm-arm64/*/usr/lib/*/libgnutls.so.30", EV_LIB_GNUTLS, "3.7", GNUTLS, 0, false},
    {"trixie-amd64/*/usr/lib/*/libgnutls.so.30", EV_LIB_GNUTLS, "3.8", GNUTLS, 0, true},
    {"trixie-arm64/*/usr/lib/*/libgnutls.so.30", EV_LIB_GNUTLS, "3.8", GNUTLS, 0, true},
    {"bullseye-amd64/*/usr/lib/*/libssl3.so", EV_LIB_NSS, "3.33", NSS, 0, false},
    {"bullseye-arm64/*/usr/lib/*/libssl3.so", EV_LIB_NSS, "3.33", NSS, 0, false},
    {"bookworm-amd64/*/usr/lib/*/libssl3.so", EV_LIB_NSS, "3.80", NSS, 0, false},
    {"bookworm-arm64/*/usr/lib/*/libssl3.so", EV_LIB_NSS, "3.80", NSS, 0, false},
    {"trixie-amd64/*/usr/lib/*/libssl3.so", EV_LIB_NSS, "3.80", NSS, 0, false},
    {"trixie-arm64/*/usr/lib/*/libssl3.so", EV_LIB_NSS, "3.80", NSS, 0, false},
    {"bullseye-amd64/*/usr/lib/*/libmbedtls.so.12", EV_LIB_MBEDTLS, "", MBEDTLS, 0, false},
    {"bookworm-arm64/*/usr/lib/*/libmbedtls.so.14", EV_LIB_MBEDTLS, "", MBEDTLS, 0, false},
    {"trixie-amd64/*/usr/lib/*/libmbedtls.so.21", EV_LIB_MBEDTLS, "", MBEDTLS, 0, false},
    {"bullseye-amd64/*/usr/lib/*/libwolfssl.so.24", EV_LIB_WOLFSSL, "", WOLFSSL, 0, false},
    {"bookworm-arm64/*/usr/lib/*/libwolfssl.so.35", EV_LIB_WOLFSSL, "", WOLFSSL, 0, false},
    {"trixie-amd64/*/usr/lib/*/libwolfssl.so.42", EV_LIB_WOLFSSL, "", WOLFSSL, 0, false},
    {"bullseye-amd64/hey/usr/bin/hey", EV_LIB_GO, "", 0, ON_STACK, false},
    {"bullseye-arm64/hey/usr/bin/hey", EV_LIB_GO, "", 0, ON_STACK, false},
    {"bookworm-amd64/hey/usr/bin/hey", EV_LIB_GO, "1.19.8", GO, 0, false},
    {"bookworm-arm64/hey/usr/bin/hey", EV_LIB_GO, "1.19.8", GO, 0, false},
    {"trixie-amd64/hey/usr/bin/hey", EV_LIB_GO, "1.24.4", GO, 0, false},
    {"trixie-arm64/hey/usr/bin/hey", EV_LIB_GO, "1.24.4", GO, 0, false},
};

static void other_libraries_as_they_ship(void **state)
{
	unsigned looked = 0;
	char path[512];

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct target t;

		if (!cached(others[i].path, path, sizeof(path))) {
			printf("SKIP %s is not here: tests/fixtures/fetch-libraries\n", others[i].path);
			continue;
		}
		inspect(path, &t);
		assert_int_equal(t.err, 0);
		assert_int_equal(t.lib, others[i].lib);
		assert_string_equal(t.version, others[i].version);
		assert_int_equal(target_has_probes(&t), others[i].probed != 0);
		if (others[i].why)
			assert_int_equal(t.why_public, others[i].why);
		for (int f = 0; f < TARGET_FUNCS; f++)
			assert_int_equal(t.offset[f] != 0, others[i].probed >> f & 1);
		assert_int_equal(target_has_returns(&t), !others[i].no_returns);
		check_sites(path, &t);
		looked++;
	}
	if (!looked)
		skip();
}

static void libraries_as_they_ship(void **state)
{
	unsigned looked = 0;
	char path[512];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!cached(table[i].path, path, sizeof(path))) {
			printf("SKIP %s is not here: tests/fixtures/fetch-libraries\n", table[i].path);
			continue;
		}
		check(&table[i], path);
		looked++;
	}
	if (!looked)
		skip();
}

/* Every function of a library that is in its symbol table, by .eh_frame. */
static void eh_frame_knows_all_functions(void **state)
{
	char path[512];
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct image image;
		Elf_Scn *scn = NULL;
		GElf_Shdr sh;

		if (!cached(table[i].path, path, sizeof(path)))
			continue;
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(image_init(&image, fd), 0);
		while ((scn = elf_nextscn(image.elf, scn)) && gelf_getshdr(scn, &sh)) {
			Elf_Data *data = sh.sh_type == SHT_DYNSYM ? elf_getdata(scn, NULL) : NULL;
			GElf_Sym sym;

			for (int k = 0; data && gelf_getsym(data, k, &sym); k++) {
				uint64_t start, end;

				if (GELF_ST_TYPE(sym.st_info) != STT_FUNC || !sym.st_value || !sym.st_size)
					continue;
				assert_true(eh_frame_find(&image.code, sym.st_value, &start, &end));
				assert_int_equal(start, sym.st_value);
				assert_int_equal(end, sym.st_value + sym.st_size);
				assert_true(eh_frame_find(&image.code, end - 1, &start, &end));
				assert_int_equal(start, sym.st_value);
				n++;
			}
		}
		uint64_t start, end;
		assert_false(eh_frame_find(&image.code, 0, &start, &end));
		assert_false(eh_frame_find(&image.code, image.code.text_end + 0x1000000, &start, &end));
		image_release(&image);
		close(fd);
	}
	if (!n)
		skip();
}

static void a_version_is_told_with_its_day(void **state)
{
	static const struct {
		const char *text, *version; /* NULL: none */
	} cases[] = {
	    {"OpenSSL 1.1.1w  11 Sep 2023", "1.1.1w"},
	    {"xx\0OpenSSL 3.5.8 25 Aug 2026\0yy", "3.5.8"},
	    {"OpenSSL 3.6.0-beta1 16 Sep 2025", "3.6.0-beta1"},
	    {"OpenSSL 1.1.1 (compatible; BoringSSL)", NULL},
	    {"needs OpenSSL 1.1.1 or newer", NULL},
	    {"OpenSSL 3", NULL},
	    {"OpenSSL 3.5.8 25 Au", NULL},
	    {"OpenSSL ", NULL},
	    {"OpenSSL OpenSSL 3.0.1 14 Dec 2021", "3.0.1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* the first case with a NUL in it is found behind the NUL */
		size_t n = i == 1 ? 31 : strlen(cases[i].text);
		char version[VERSION_SIZE] = "", *exact = malloc(n);

		memcpy(exact, cases[i].text, n);
		assert_int_equal(version_in_text(exact, n, version), cases[i].version != NULL);
		assert_string_equal(version, cases[i].version ? cases[i].version : "");
		free(exact);
	}

	char io[VERSION_SIZE] = "";
	version_of_interface("OPENSSL_", "OPENSSL_3.0.0", io);
	version_of_interface("OPENSSL_", "OPENSSL_3.10.0", io);
	version_of_interface("OPENSSL_", "OPENSSL_3.5.0", io);
	version_of_interface("OPENSSL_", "GLIBC_2.34", io);
	assert_string_equal(io, "3.10");
	io[0] = '\0';
	version_of_interface("OPENSSL_", "OPENSSL_1_1_1a", io);
	assert_string_equal(io, "1.1");
}

/* What is cut off, at any place, is not found or refused; nothing is read beyond it. */
static void a_cut_file_is_survived(void **state)
{
	char path[512];

	(void)state;
	if (!cached(table[1].path, path, sizeof(path)))
		skip();
	int from = open(path, O_RDONLY | O_CLOEXEC);
	static char bytes[2 << 20];
	ssize_t n = read(from, bytes, sizeof(bytes));
	close(from);
	for (ssize_t cut = 0; cut < n; cut += n / 40) {
		int fd = memfd_create("cut", MFD_CLOEXEC);
		struct target t;

		assert_int_equal(write(fd, bytes, (size_t)cut), cut);
		target_inspect(fd, &t);
		close(fd);
		assert_true(t.err || !t.lib || t.offset[TARGET_FREE]);
	}
}

static void every_reason_has_words(void **state)
{
	(void)state;
	for (int why = 1; why < TARGET_WHYS; why++)
		assert_true(strlen(target_why_text((enum target_why)why)) > 10);
	assert_non_null(target_why_text((enum target_why)1000));
	/* It crosses a socket in one message. */
	assert_true(sizeof(struct target) < 8192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(libraries_as_they_ship),         cmocka_unit_test(eh_frame_knows_all_functions),
	    cmocka_unit_test(a_version_is_told_with_its_day), cmocka_unit_test(a_cut_file_is_survived),
	    cmocka_unit_test(every_reason_has_words),         cmocka_unit_test(other_libraries_as_they_ship),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
