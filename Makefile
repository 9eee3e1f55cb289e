# SPDX-License-Identifier: Apache-2.0
#
# make            build/spantap                 make demo      run the main job on a small agent (root)
# make check      the test tiers TIERS          make bench     what capture costs, as ratios
# make corpus     recorded traffic of real providers, with more holes
# make fuzz       each fuzzer for FUZZ_SECONDS  make install   into $(DESTDIR)$(PREFIX)
#
# V=1 shows the commands. CC=clang works. SANITIZE=address,undefined builds the
# program itself with sanitizers (the unit tests always are).
#
# For another machine: make B=build/arm64 ARCH=arm64 CROSS=aarch64-linux-gnu SYSROOT=DIR, DIR being a root of
# that machine with the libraries' -dev packages (tests/kernels/fetch sysroot makes one).

PREFIX       ?= /usr/local
CROSS        ?=
SYSROOT      ?=
CLANG        ?= clang
BPFTOOL      ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
FUZZ_SECONDS ?= 60
TIERS        ?= fast service
B            := build
ARCH         := $(subst x86_64,x86,$(subst aarch64,arm64,$(shell uname -m)))
TRIPLET      := $(or $(CROSS),$(shell uname -m)-linux-gnu)
PKG_CONFIG   := pkg-config
ifneq ($(CROSS),)
CC           := $(CROSS)-gcc --sysroot=$(SYSROOT)
AR           := $(CROSS)-ar
PKG_CONFIG   := PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) PKG_CONFIG_LIBDIR=$(SYSROOT)/usr/lib/$(TRIPLET)/pkgconfig:$(SYSROOT)/usr/share/pkgconfig pkg-config
endif

# yyjson and llhttp carry no .pc file in some releases: plain -l then.
PKG     := $(shell for l in libbpf libelf zlib libbrotlidec libzstd libnghttp2 yyjson sqlite3 libseccomp libsodium libcrypto capstone libprotobuf-c libcurl; do $(PKG_CONFIG) --exists $$l && echo $$l; done)
LDLIBS  := -lbpf -lelf -lz -lbrotlidec -lzstd -lnghttp2 -lllhttp -lyyjson -lsqlite3 -lseccomp -lsodium -lcrypto -lcapstone -lprotobuf-c -lcurl -lpthread -lm
WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings
CFLAGS  ?= -O2 -g
ALL_CFLAGS = -std=gnu17 $(WARN) $(CFLAGS) -fstack-protector-strong -fno-strict-aliasing -D_GNU_SOURCE -Iuser -I$(B) \
	     $(if $(PKG),$(shell $(PKG_CONFIG) --cflags $(PKG)))
SAN_FLAGS  := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_FLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ifneq ($(SANITIZE),)
CFLAGS += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS += -fsanitize=$(SANITIZE)
endif

BPF_CFLAGS := -target bpf -mcpu=v2 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -Wno-gnu-variable-sized-type-not-at-end -D__TARGET_ARCH_$(ARCH) -D__VMLINUX_H__ -Ivmlinux \
	      -I$(SYSROOT)/usr/include/$(TRIPLET)

Q := $(if $(V),,@)
msg = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

SRC   := $(filter-out user/main.c,$(wildcard user/*/*.c))
PROTO := $(patsubst user/sink/%.proto,$(B)/%.pb-c,$(wildcard user/sink/*.proto))
BPF   := $(wildcard bpf/*.bpf.c)
BPFO  := $(patsubst bpf/%.bpf.c,$(B)/bpf/%.o,$(BPF))
SKEL  := $(B)/spantap.skel.h
UNIT  := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
FUZZ  := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH := $(patsubst tests/bench/%.c,$(B)/bench/%,$(filter-out %.bpf.c,$(wildcard tests/bench/*.c)))
BENCH_HARNESS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/bench/harness/*.c))
GUEST := $(patsubst tests/kernels/%.c,$(B)/kernels/%,$(wildcard tests/kernels/*.c))

.PHONY: all check check-fast corpus demo bench fuzz install clean unit fuzzers guest
.DELETE_ON_ERROR:
.SECONDARY:

all: $(B)/spantap

# One set of objects a variant: obj (the program), hook (the program with the test-only
# crash record), san (unit tests), fuzz.
define variant
$(B)/$(1)/user/%.o: user/%.c | $(SKEL) $(PROTO:=.h)
	$$(call msg,CC,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$(2) $$(ALL_CFLAGS) $(3) -MMD -MP -c -o $$@ $$<
$(B)/$(1)/%.pb-c.o: $(B)/%.pb-c.c
	$$(call msg,CC,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$(2) $$(ALL_CFLAGS) -Wno-missing-braces $(3) -c -o $$@ $$<
$(B)/$(1)/tests/%.o: tests/%.c | $(SKEL) $(PROTO:=.h)
	$$(call msg,CC,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$(2) $$(ALL_CFLAGS) $(3) -Itests -MMD -MP -c -o $$@ $$<
$(B)/$(1)/libspantap.a: $$(patsubst %.c,$(B)/$(1)/%.o,$(SRC)) $(PROTO:$(B)/%=$(B)/$(1)/%.o)
	$$(call msg,AR,$$@)
	$$(Q)rm -f $$@ && $(AR) qcs $$@ $$^
-include $$(patsubst %.c,$(B)/$(1)/%.d,$(SRC) user/main.c $(wildcard tests/*/*.c))
endef
$(eval $(call variant,obj,$$(CC),))
$(eval $(call variant,hook,$$(CC),-DSPANTAP_TEST_HOOKS))
$(eval $(call variant,san,$$(CC),$$(SAN_FLAGS)))
$(eval $(call variant,fuzz,$$(CLANG),$$(FUZZ_FLAGS)))

$(B)/spantap: $(B)/obj/user/main.o $(B)/obj/libspantap.a
	$(call msg,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/spantap-hooks: $(B)/hook/user/main.o $(B)/hook/libspantap.a
	$(call msg,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/%.pb-c.c $(B)/%.pb-c.h: user/sink/%.proto
	$(call msg,PROTO,$@)
	$(Q)mkdir -p $(@D)
	$(Q)protoc-c --c_out=$(B) -I $(<D) $<

$(B)/bpf/%.o: bpf/%.bpf.c
	$(call msg,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<
-include $(BPFO:.o=.d)

$(B)/spantap.bpf.o: $(BPFO)
	$(call msg,LINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(SKEL): $(B)/spantap.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name spantap_bpf > $@

$(B)/unit/%: $(B)/san/tests/unit/%.o $(B)/san/libspantap.a
	$(call msg,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SAN_FLAGS) -o $@ $^ -lcmocka -lbrotlienc $(LDLIBS)

$(B)/fuzz/%: $(B)/fuzz/tests/fuzz/%.o $(B)/fuzz/libspantap.a
	$(call msg,LD,$@)
	$(Q)$(CLANG) $(CFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS)

$(B)/bench/%.bpf.o: tests/bench/%.bpf.c
	$(call msg,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<
-include $(wildcard $(B)/bench/*.d)

$(B)/bench/%.skel.h: $(B)/bench/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(BENCH_HARNESS): | $(B)/bench/reference.skel.h
-include $(BENCH_HARNESS:.o=.d)

$(B)/bench/%: $(B)/obj/tests/bench/%.o $(BENCH_HARNESS) $(B)/obj/libspantap.a
	$(call msg,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lssl -lbrotlienc

$(B)/kernels/%: $(B)/obj/tests/kernels/%.o
	$(call msg,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(or $(LIBS),-lbpf -lelf -lz)
$(B)/kernels/client: LIBS := -rdynamic -Wl,-Bstatic -lssl -lcrypto -Wl,-Bdynamic

unit: $(UNIT)
fuzzers: $(FUZZ)
guest: all $(GUEST)

check check-fast: all $(B)/spantap-hooks unit fuzzers $(if $(filter kernels,$(TIERS)),guest)
	$(Q)tests/run $(TIERS)

corpus: all $(B)/unit/test_llm_corpus $(B)/unit/test_llm_socket $(B)/unit/test_http2_corpus $(B)/unit/test_tree_corpus
	$(Q)tests/run corpus

demo: all
	$(Q)tools/demo.sh

bench: all $(BENCH)
	$(Q)tests/bench/run

fuzz: fuzzers
	$(Q)tests/fuzz/run $(FUZZ_SECONDS)

install: all
	install -D -m 0755 $(B)/spantap $(DESTDIR)$(PREFIX)/bin/spantap

clean:
	$(Q)rm -rf $(B)
