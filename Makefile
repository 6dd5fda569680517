# StreamHouse.  One command tests everything: scripts/test.  Its parts:
#
#	make					the production build
#	make STH_CHECKS=1		warnings are errors, assertions, failpoints
#	make unit				tests of src/codec, shcat and what of src/s3 is plain C,
#							which need no server
#	make fuzz				fuzzes what reads bytes that others wrote, FUZZ_SECONDS=10
#							each; "make fuzz-short" replays and mutates the corpus,
#							without clang
#	make bench-codec		speed of src/codec, without a server
#	make check-layers		includes against src/LAYERS
#	make check-indent		the format; "make indent" mends it
#	make installcheck-sql, installcheck-isolation, installcheck-tap
#							against a running server that preloads us

MODULE_big = streamhouse
EXTENSION = streamhouse
DATA = $(sort $(wildcard extension/streamhouse--*.sql))
SCRIPTS_built = build/shcat
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
# Calls among ours are direct, not by the table of what could be interposed.
# (From PostgreSQL 16 on PGXS hides what PostgreSQL does not look up, with the
# same effect.)
PG_CFLAGS += -fno-semantic-interposition
SHLIB_LINK = -Wl,-Bsymbolic
# Calls of PostgreSQL's functions are by their address in a table, not by a
# jump in another table to it.
PG_CFLAGS += -fno-plt
# Small variables of all files stand together: what a transaction needs of
# them is in a few cache lines.
PG_CFLAGS += -fdata-sections
SHLIB_LINK += -Wl,--sort-section=alignment
SHLIB_LINK += -llz4 -lzstd -lcurl
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

# shcat prints the rows of an object without a server: it is plain C over the
# codec, and goes to where PostgreSQL has its programs.
shcat = $(sort $(wildcard tools/shcat/*.c))
PLAIN_CFLAGS = -std=gnu99 -g -O2 -MMD -MP -Isrc $(WARNINGS) $(if $(STH_CHECKS),-Werror)
LIBS_CODEC = -llz4 -lzstd

build/plain/%.o: src/%.c | build
	@mkdir -p $(@D)
	$(CC) $(PLAIN_CFLAGS) -c -o $@ $<
build/plain/shcat/%.o: tools/shcat/%.c | build
	@mkdir -p $(@D)
	$(CC) $(PLAIN_CFLAGS) -c -o $@ $<
build/shcat: $(patsubst tools/%.c,build/plain/%.o,$(shcat)) \
		$(patsubst src/%.c,build/plain/%.o,$(sort $(wildcard src/codec/*.c)))
	$(CC) -o $@ $^ $(LIBS_CODEC)
-include $(wildcard build/plain/*/*.d)

# The tests of the codec know neither server nor server headers.
# SANITIZE=1 builds them with AddressSanitizer and UBSan.
unit_dir = build/unit$(if $(SANITIZE),-sanitized)
SANITIZERS = -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
UNIT_CFLAGS = $(PLAIN_CFLAGS) $(if $(SANITIZE),$(SANITIZERS))
unit_codec = $(patsubst src/%.c,$(unit_dir)/%.o,$(wildcard src/codec/*.c))

$(unit_dir)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<
$(unit_dir)/shcat/%.o: tools/shcat/%.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<
$(unit_dir)/shcat/shcat: $(patsubst tools/%.c,$(unit_dir)/%.o,$(shcat)) $(unit_codec)
	$(CC) $(UNIT_CFLAGS) -o $@ $^ $(LIBS_CODEC)
$(unit_dir)/%_test.o: test/unit/%_test.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<
$(unit_dir)/%_test: $(unit_dir)/%_test.o $(unit_codec)
	$(CC) $(UNIT_CFLAGS) -o $@ $^ $(LIBS_CODEC)

# What of src/s3 is plain C.  Its SHA-256 is PostgreSQL's, as programs have it.
UNIT_S3 = sigv4_test xml_test answer_test profile_test
unit_s3 = $(patsubst %,$(unit_dir)/s3/%.o,sha256 sigv4 xml answer profile)
$(unit_dir)/s3/%.o: UNIT_CFLAGS += -DFRONTEND -isystem $(includedir_server)
$(UNIT_S3:%=$(unit_dir)/%): $(unit_s3)
$(UNIT_S3:%=$(unit_dir)/%): LIBS_CODEC += -L$(pkglibdir) -L$(libdir) -lpgcommon -lpgport \
	$(filter -lssl -lcrypto,$(LIBS))
-include $(wildcard $(unit_dir)/*.d $(unit_dir)/*/*.d)

# Runs all of them; a test fails by its exit status or by a "not ok" line.
unit: $(addprefix $(unit_dir)/,$(UNIT)) $(unit_dir)/shcat/shcat
	@failed=0; export SHCAT=$(unit_dir)/shcat/shcat; for t in $(filter %_test,$^); do \
		if $$t >$$t.out 2>&1 && grep -q '^ok' $$t.out && ! grep -q '^not ok' $$t.out; then \
			echo "$${t##*/}: ok ($$(grep -c '^ok' $$t.out))"; \
		else \
			echo "$${t##*/}: FAILED"; grep -v '^ok' $$t.out; failed=1; \
		fi; \
	done; exit $$failed

# Fuzzing of what reads bytes that others wrote.  fuzz runs libFuzzer for
# FUZZ_SECONDS on each and keeps what it finds in build/fuzz; fuzz-merge takes
# over from there what adds to the corpus in the tree.  fuzz-short needs no
# clang: it replays that corpus and FUZZ_RUNS mutations of it, always the same.
FUZZ = row frame block footer pattern answer profile
FUZZ_SECONDS = 10
FUZZ_RUNS = 10000
CLANG = clang-14
FUZZ_CFLAGS = -std=gnu99 -g -MMD -MP -Isrc $(SANITIZERS)
fuzz_codec = $(patsubst src/%.c,build/fuzz/%.o,$(wildcard src/codec/*.c) $(patsubst %,src/s3/%.c,xml answer profile))

build/fuzz/%.o: src/%.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -c -o $@ $<
build/fuzz/%_fuzz: test/fuzz/%_fuzz.c $(fuzz_codec)
	$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $(filter %.c %.o,$^) $(LIBS_CODEC)
build/fuzz/seeds: test/fuzz/seeds.c $(fuzz_codec)
	$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -o $@ $(filter %.c %.o,$^) $(LIBS_CODEC)
build/fuzz-short/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(FUZZ_CFLAGS) -c -o $@ $<
build/fuzz-short/%_fuzz: test/fuzz/%_fuzz.c test/fuzz/driver.c $(fuzz_codec:build/fuzz/%=build/fuzz-short/%)
	$(CC) $(FUZZ_CFLAGS) -o $@ $(filter %.c %.o,$^) $(LIBS_CODEC)
-include $(wildcard build/fuzz*/*.d build/fuzz*/*/*.d)

fuzz: $(FUZZ:%=fuzz-%)
$(FUZZ:%=fuzz-%): fuzz-%: build/fuzz/%_fuzz build/fuzz/seeds
	@mkdir -p $(FUZZ:%=build/fuzz/corpus/%)
	@build/fuzz/seeds build/fuzz/corpus >build/fuzz/seeds.out
	@$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -max_len=16384 \
		-artifact_prefix=build/fuzz/$*- build/fuzz/corpus/$* test/fuzz/corpus/$* >build/fuzz/$*.out 2>&1 || \
		{ tail -n 40 build/fuzz/$*.out; echo "fuzz $*: FAILED"; exit 1; }
	@echo "fuzz $*: ok ($$(grep '^Done' build/fuzz/$*.out))"
fuzz-merge: $(FUZZ:%=build/fuzz/%_fuzz)
	for f in $(FUZZ); do build/fuzz/$${f}_fuzz -merge=1 -use_counters=0 -max_len=4096 test/fuzz/corpus/$$f build/fuzz/corpus/$$f || exit 1; done

fuzz-short: $(FUZZ:%=build/fuzz-short/%_fuzz)
	@failed=0; for f in $(FUZZ); do \
		if build/fuzz-short/$${f}_fuzz build/fuzz-short/$$f.crash $(FUZZ_RUNS) test/fuzz/corpus/$$f/* >build/fuzz-short/$$f.out 2>&1; then \
			echo "fuzz $$f: ok ($$(tail -n 1 build/fuzz-short/$$f.out))"; \
		else \
			echo "fuzz $$f: FAILED"; cat build/fuzz-short/$$f.out; failed=1; \
		fi; \
	done; exit $$failed

# Speed and size of the codec alone, in the records of bench/genrec.c.
BENCH_ROWS = 1000000
build/bench-codec: bench/codec.c $(patsubst src/%.c,build/plain/%.o,$(sort $(wildcard src/codec/*.c)))
	$(CC) $(PLAIN_CFLAGS) -o $@ $(filter %.c %.o,$^) $(LIBS_CODEC)
build/genrec: bench/genrec.c | build
	$(CC) -O2 -o $@ $<
bench-codec: build/bench-codec build/genrec
	@build/genrec build/records 100 $(BENCH_ROWS) && build/bench-codec build/records 100 $(BENCH_ROWS); rm -f build/records

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

.PHONY: FORCE unit bench-codec fuzz $(FUZZ:%=fuzz-%) fuzz-merge fuzz-short \
	check-layers indent check-indent installcheck-sql \
	installcheck-isolation installcheck-tap
