# StreamHouse.  One command tests everything: scripts/test.  Its parts:
#
#	make					the production build
#	make STH_CHECKS=1		warnings are errors, assertions, failpoints
#	make unit				tests of src/codec, which need no server
#	make check-layers		includes against src/LAYERS
#	make check-indent		the format; "make indent" mends it
#	make installcheck-sql, installcheck-isolation, installcheck-tap
#							against a running server that preloads us

MODULE_big = streamhouse
EXTENSION = streamhouse
DATA = $(sort $(wildcard extension/streamhouse--*.sql))
OBJS = src/streamhouse.o $(patsubst %.c,%.o,$(sort $(wildcard src/*/*.c)))

# In the order in which they run, in one database.
REGRESS = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
ISOLATION = $(patsubst test/isolation/specs/%.spec,%,$(sort $(wildcard test/isolation/specs/*.spec)))
PROVE_TESTS = $(sort $(wildcard test/t/*.pl))
UNIT = $(patsubst test/unit/%.c,%,$(sort $(wildcard test/unit/*_test.c)))

REGRESS_OPTS = --load-extension=streamhouse --outputdir=build/regress
ISOLATION_OPTS = --load-extension=streamhouse \
	--inputdir=test/isolation --outputdir=build/isolation
TAP_TESTS = 1

# The server's headers become system headers, so that warnings are about ours.
PG_CPPFLAGS = -Isrc -isystem $(includedir_server)
# Leaves beside each object a .d file that names the headers it was built from.
PG_CFLAGS = -MD -MP
SHLIB_LINK = -llz4 -lzstd
EXTRA_CLEAN = build $(OBJS:.o=.d)

WARNINGS = -Wall -Wextra -Wshadow=compatible-local -Wmissing-prototypes \
	-Wstrict-prototypes -Wold-style-definition -Wformat=2 -Wvla \
	-Wwrite-strings -Wno-unused-parameter

# With USE_ASSERT_CHECKING our own assertions work on a server without.
ifdef STH_CHECKS
PG_CPPFLAGS += -DUSE_ASSERT_CHECKING=1 -DSTH_FAILPOINTS=1
PG_CFLAGS += $(WARNINGS) -Werror
override with_llvm = no
endif

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Objects depend on the headers that they include and on how they were
# compiled, bitcode on its object.
-include $(OBJS:.o=.d)
$(OBJS): build/flags
$(foreach o,$(OBJS),$(eval $(o:.o=.bc): $(o)))

build:
	@mkdir $@
build/flags: FORCE | build
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS)' | cmp -s - $@ || echo '$(CC) $(CPPFLAGS) $(CFLAGS)' >$@

# The codec is plain C: its tests know neither server nor server headers.
# SANITIZE=1 builds them with AddressSanitizer and UBSan.
unit_dir = build/unit$(if $(SANITIZE),-sanitized)
UNIT_CFLAGS = -std=gnu99 -g -O2 -MMD -MP -Isrc $(WARNINGS) $(if $(STH_CHECKS),-Werror)
ifdef SANITIZE
UNIT_CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
endif
unit_codec = $(patsubst src/%.c,$(unit_dir)/%.o,$(wildcard src/codec/*.c))

$(unit_dir)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<
$(unit_dir)/%_test.o: test/unit/%_test.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<
$(unit_dir)/%_test: $(unit_dir)/%_test.o $(unit_codec)
	$(CC) $(UNIT_CFLAGS) -o $@ $^ -llz4 -lzstd
-include $(wildcard $(unit_dir)/*.d $(unit_dir)/codec/*.d)

# Runs all of them; a test fails by its exit status or by a "not ok" line.
unit: $(addprefix $(unit_dir)/,$(UNIT))
	@failed=0; for t in $^; do \
		if $$t >$$t.out 2>&1 && grep -q '^ok' $$t.out && ! grep -q '^not ok' $$t.out; then \
			echo "$${t##*/}: ok ($$(grep -c '^ok' $$t.out))"; \
		else \
			echo "$${t##*/}: FAILED"; grep -v '^ok' $$t.out; failed=1; \
		fi; \
	done; exit $$failed

check-layers:
	@awk -f scripts/check-layers.awk src/LAYERS $(wildcard src/*/*.[ch])

indent:
	@scripts/indent
check-indent:
	@scripts/indent --check

installcheck installcheck-sql installcheck-isolation: | build
installcheck-sql:
	$(pg_regress_installcheck) $(REGRESS_OPTS) $(REGRESS)
installcheck-isolation:
	$(pg_isolation_regress_installcheck) $(ISOLATION_OPTS) $(ISOLATION)
installcheck-tap:
	$(prove_installcheck)

# What a variable holds, for scripts/test: "make list-REGRESS".
list-%:
	@echo $($*)

.PHONY: FORCE unit check-layers indent check-indent installcheck-sql \
	installcheck-isolation installcheck-tap
