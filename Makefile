# Ballast. `make` builds build/ballastd and build/ballast; `make check` is all that a change needs.
#
#   V=1         shows the commands          CC=clang     another compiler
#   BUILD=dir   another place for output    WERROR=      warnings are no errors
#   SANITIZE=x  address,undefined or thread (what `make asan` and `make tsan` set)
#
# `make sim` runs the simulator: SEED=n, SEEDS=a..b, MUTANT=name (`make sim-mutants` lists them).
# `make incident` plays July 2013 on real servers: SEED=n, SEEDS=a..b, DESIGN=2013.
# `make chaos` runs real servers and daemons under faults: SEED=n, CHAOS_SECONDS=n.

BUILD    ?= build
PREFIX   ?= /usr/local
CC       := $(if $(filter default,$(origin CC)),gcc,$(CC))
WERROR   ?= -Werror
SANITIZE ?=
V        ?= 0

layers   := base wire model store cache core ops server
packages := libevent libevent_pthreads hiredis libpq inih openssl
gen      := $(BUILD)/gen
jobs      = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
again     = $(MAKE) --no-print-directory $(jobs)
Q        := $(if $(filter 1,$(V)),,@)
say       = @$(if $(filter 1,$(V)),true,printf '  %-5s %s\n' $(1) $(2))

# Expanded when first used: pkg-config may be among the things that `make deps` installs.
pkg       = $(or $(shell pkg-config $(1) $(packages) && echo),$(error libraries are missing: run `make deps`))
pkg_cflags = $(eval pkg_cflags := $$(call pkg,--cflags))$(pkg_cflags)
pkg_libs   = $(eval pkg_libs := $$(call pkg,--libs))$(pkg_libs)

warnings  := -Wall -Wextra $(WERROR) -Wshadow -Wstrict-prototypes -Wmissing-prototypes
hardening := -fstack-protector-strong $(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
checks    := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer,-D_FORTIFY_SOURCE=2)
CFLAGS    ?= -O2 -g
own_cflags = -std=gnu17 -D_GNU_SOURCE $(CFLAGS) $(warnings) -fno-strict-aliasing -fPIE -pthread \
             $(hardening) $(checks) -Iinclude
cflags     = $(own_cflags) -I$(gen) $(pkg_cflags)
# The simulator takes no library, and small limits, so that they are reached.
sim_cflags = $(own_cflags) -Itest/sim -Itest -I$(gen) -DBALLAST_SIM -DLOOKUPS_MAX=16 -DFILL_ACCOUNTS_MAX=8 \
             -DCHUNK_ACCOUNTS_MAX=8 -DWARMING_CHUNK_MAX=5 -DTAIL_PAGE=3
ldflags   := -pie -pthread -Wl,-z,relro,-z,now,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)

depfile    = -MMD -MP -MT $@ -MF $@.d

sql       := $(wildcard sql/*.sql sql/migrations/*.sql)
lib_src   := $(foreach layer,$(layers),$(wildcard src/$(layer)/*.c))
daemon_src := $(wildcard src/programs/ballastd.c)
cli_src   := $(filter-out $(daemon_src),$(wildcard src/programs/*.c))
unit_src  := $(wildcard test/unit/*/test_*.c)
client_src := $(wildcard test/clients/*.c)
bench_src := $(wildcard test/bench/*.c)
sim_src   := $(wildcard test/sim/*.c test/conformance/script*.c src/core/*.c src/model/*.c) \
             $(addprefix src/base/,buffer.c decimal.c histogram.c metrics.c pool.c siphash.c) \
             $(addprefix src/ops/,chunk.c compare.c known.c rebuild_era.c rebuild_marks.c rebuild_walk.c throttle.c)

object     = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(1))
lib       := $(BUILD)/libballast.a
programs  := $(if $(daemon_src),$(BUILD)/ballastd) $(if $(cli_src),$(BUILD)/ballast)
units     := $(unit_src:test/unit/%.c=$(BUILD)/test/%)
clients   := $(client_src:test/clients/%.c=$(BUILD)/test/clients/%)
benches   := $(bench_src:test/bench/%.c=$(BUILD)/test/bench/%)

.PHONY: all tests deps check check-full sim sim-mutants chaos incident run stop bench lint format \
        asan tsan install clean FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(lib) $(programs)
tests: $(units) $(clients) $(BUILD)/sim $(BUILD)/test/conformance

$(lib): $(call object,$(lib_src)) $(BUILD)/obj/sql_statements.o
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/ballastd: $(call object,$(daemon_src)) $(lib)
$(BUILD)/ballast: $(call object,$(cli_src)) $(lib)
$(BUILD)/ballastd $(BUILD)/ballast:
	$(call say,LD,$@)
	$(Q)$(CC) $(ldflags) -o $@ $^ $(pkg_libs)

$(BUILD)/obj/%.o: src/%.c $(BUILD)/flags | $(gen)/stamp
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(cflags) $(depfile) -c -o $@ $<

$(BUILD)/obj/sql_statements.o: $(gen)/sql_statements.c $(BUILD)/flags
	$(Q)mkdir -p $(@D) && $(CC) $(cflags) -c -o $@ $<

$(BUILD)/test/clients/%: test/clients/%.c $(BUILD)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(cflags) $(depfile) $(ldflags) -o $@ $< $(pkg_libs)

$(BUILD)/test/bench/%: test/bench/%.c $(lib) $(BUILD)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(cflags) $(depfile) $(ldflags) -o $@ $< $(lib) $(pkg_libs)

$(BUILD)/test/conformance: $(wildcard test/conformance/*.c) $(lib) $(BUILD)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(cflags) -Itest/conformance $(depfile) $(ldflags) -o $@ \
	    $(filter %.c,$^) $(lib) $(pkg_libs)

$(BUILD)/test/%: test/unit/%.c $(lib) $(BUILD)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(cflags) -Itest/unit $(depfile) $(ldflags) -o $@ $< $(lib) \
	    $$(pkg-config --cflags --libs check) $(pkg_libs)

# The directories stand among the prerequisites for the sake of files that come or go.
$(gen)/stamp: sql/embed.sh $(sql) sql $(wildcard sql/migrations)
	$(call say,GEN,$(gen))
	$(Q)sql/embed.sh $(gen) && touch $@
$(gen)/gen/sql.h $(gen)/sql_statements.c: $(gen)/stamp ;

# Another compiler or other flags: everything is built again.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D); printf '%s\n' '$(CC) $(cflags) $(ldflags)' >$@.$$$$; \
	    cmp -s $@.$$$$ $@ && rm $@.$$$$ || mv $@.$$$$ $@

deps:
	@test/deps/install

check: deps
	@$(again) all tests && BALLAST_BUILD=$(BUILD) test/check

check-full: deps
	@$(again) all tests && BALLAST_BUILD=$(BUILD) test/check --level full
	@$(again) lint && $(again) asan && $(again) tsan

asan tsan: deps
	@$(again) BUILD=build/$@ SANITIZE=$(if $(filter asan,$@),address$(comma)undefined,thread) all tests
	@BALLAST_BUILD=build/$@ test/check --level quick unit sim integration chaos
comma := ,

run: deps
	@$(again) all && BALLAST_BUILD=$(BUILD) test/demo start run

stop:
	@test/demo stop run

$(BUILD)/obj/sim/%.o: %.c $(BUILD)/flags | $(gen)/stamp
	$(call say,CC,$< for the simulator)
	$(Q)mkdir -p $(@D) && $(CC) $(sim_cflags) $(depfile) -c -o $@ $<

$(BUILD)/sim: $(sim_src:%.c=$(BUILD)/obj/sim/%.o) $(BUILD)/obj/sql_statements.o
	$(call say,LD,$@)
	$(Q)$(CC) $(ldflags) -o $@ $^

sim:
	@$(again) $(BUILD)/sim
	@$(BUILD)/sim $(if $(SEED),SEED=$(SEED),SEEDS=$(or $(SEEDS),1..$(if $(MUTANT),1000000,2000))) \
	    $(if $(MUTANT),MUTANT=$(MUTANT) SECONDS=60)

sim-mutants:
	@$(again) $(BUILD)/sim
	@$(BUILD)/sim MUTANTS=list

incident: deps
	@$(again) all && BALLAST_BUILD=$(BUILD) test/incident/run

chaos: deps
	@$(again) all && BALLAST_BUILD=$(BUILD) test/chaos/run

bench: deps
	@$(again) all $(benches) && BALLAST_BUILD=$(BUILD) test/bench/run

lint: deps $(gen)/stamp
	@CC='$(CC)' LINT_CFLAGS='$(cflags)' test/lint/run

format: deps
	@clang-format -i $$(git ls-files -co --exclude-standard -- 'src/*.[ch]' 'include/*.h' 'test/*.[ch]')

install: all
	install -D -m 755 $(BUILD)/ballastd $(DESTDIR)$(PREFIX)/sbin/ballastd
	install -D -m 755 $(BUILD)/ballast $(DESTDIR)$(PREFIX)/bin/ballast
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' conf/install

clean:
	rm -rf build $(BUILD)

-include $(shell find $(BUILD)/obj $(BUILD)/test -name '*.d' 2>/dev/null)
