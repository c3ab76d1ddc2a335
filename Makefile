# Leto's build. `make help` lists the targets; `sh deps/setup TARGET` installs what a target needs.
#
#   FLAVOUR   release (default), sanitize (address and undefined behaviour), thread, or fuzz (clang's fuzzer); each
#             has its own folder under build/. Only release puts its programs into bin/.
#   CXX       g++ (default) or clang++; changing it, or CXXFLAGS, rebuilds.

FLAVOUR ?= release
PREFIX  ?= /usr/local
ifeq ($(origin CXX),default)
  CXX := g++
endif

# In parallel unless the caller said how.
ifeq ($(MAKELEVEL),0)
  ifeq ($(findstring -j,$(MAKEFLAGS)),)
    MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
  endif
endif
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

BUILD := build/$(FLAVOUR)
BIN   := $(if $(filter release,$(FLAVOUR)),bin,$(BUILD)/bin)

# --- What is there -----------------------------------------------------------------------------------

# A test is a file *_test.cc. What other files of tests/ hold (fakes, checkers, the simulator) goes into an
# archive, of which each program takes what it uses.
SOURCES      := $(shell find -H src -name '*.cc' 2>/dev/null | LC_ALL=C sort)
TEST_FILES   := $(shell find -H tests -name '*.cc' -not -path 'tests/fuzz/fuzzer.cc' -not -path 'tests/mutants/*' \
                  -not -path 'tests/faults/*' 2>/dev/null | LC_ALL=C sort)
TEST_SOURCES := tests/main.cc $(filter %_test.cc,$(TEST_FILES))
SIM_THERE    := $(wildcard tests/sim/main.cc)
CHAOS_THERE  := $(wildcard tests/chaos/main.cc)
HELPERS      := $(filter-out $(TEST_SOURCES) $(SIM_THERE) $(CHAOS_THERE),$(TEST_FILES))

LIBRARY_OBJECTS := $(patsubst %.cc,$(BUILD)/%.o,$(filter-out src/main.cc,$(SOURCES)))
HELPER_OBJECTS  := $(HELPERS:%.cc=$(BUILD)/%.o)
# A release compiles the unit tests of a folder six at a time, from files which include them: most of what each needs alone
# is for the headers that all of them include. So what a test declares for itself must have a name of its own in its folder.
# The other builds compile each alone, which holds them to include what they use.
JOINED          := $(if $(filter release,$(FLAVOUR)),$(shell printf '%s\n' $(filter %_test.cc,$(TEST_SOURCES)) | \
                     awk -F/ '{ print $$2 "-" int((n[$$2] += 1) / 6) ":" $$0 }'))
JOINED_OBJECTS  := $(addprefix $(BUILD)/joined/,$(addsuffix .o,$(sort $(foreach one,$(JOINED),$(firstword $(subst :, ,$(one)))))))
TEST_OBJECTS    := $(if $(JOINED),$(BUILD)/tests/main.o $(JOINED_OBJECTS),$(TEST_SOURCES:%.cc=$(BUILD)/%.o))
ALL_OBJECTS     := $(sort $(LIBRARY_OBJECTS) $(HELPER_OBJECTS) $(TEST_OBJECTS) $(SIM_THERE:%.cc=$(BUILD)/%.o) \
                     $(CHAOS_THERE:%.cc=$(BUILD)/%.o) \
                     $(BUILD)/src/main.o)
LIBRARY         := $(BUILD)/libleto.a
HELPER_LIBRARY  := $(BUILD)/libhelpers.a

PROGRAMS := $(if $(wildcard src/main.cc),$(BIN)/leto)
# leto-level2 is bin/leto but for one object, which has the semantics level of a later version: what upgrades are tested with.
# leto-faults is for the sanitizers to find.
TESTERS  := $(BIN)/leto-tests $(BIN)/leto-level2 $(if $(SIM_THERE),$(BIN)/leto-sim) $(if $(CHAOS_THERE),$(BIN)/leto-chaos) \
            $(if $(filter sanitize thread,$(FLAVOUR)),$(BIN)/leto-faults)
LEVEL2   := $(BUILD)/level2/semantics.o

# --- Libraries and flags -----------------------------------------------------------------------------

# Not for targets that compile nothing: they must work on a bare system.
NEEDS_LIBRARIES := $(filter-out help clean lint,$(or $(MAKECMDGOALS),all))
ifneq ($(NEEDS_LIBRARIES),)
  # deps/libraries holds lines "name floor [first version that is too new]"; pkg-config judges them and says what is wrong.
  LIBRARIES := $(shell sed -n 's/^\([a-z0-9]*\) .*/\1/p' deps/libraries)
  FLOORS    := $(shell awk '{ print $$1, ">=", $$2 } $$3 { print $$1, "<", $$3 }' deps/libraries)
  COMPLAINT := $(shell pkg-config --print-errors --errors-to-stdout --exists '$(FLOORS)' 2>&1 || echo failed)
  ifneq ($(COMPLAINT),)
    $(error A library is missing or too old; `sh deps/setup run` installs them. pkg-config says: $(COMPLAINT))
  endif
  LIBRARY_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(LIBRARIES)))
  LIBRARY_LIBS   := $(shell pkg-config --libs $(LIBRARIES))
endif

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Werror
SANITIZE_release  :=
SANITIZE_sanitize := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZE_thread   := -fsanitize=thread -fno-omit-frame-pointer
SANITIZE_fuzz     := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZE          := $(SANITIZE_$(FLAVOUR))
# For a debugger the lines and the names of functions are kept, and not the variables, without which a release takes a
# quarter less to compile and a third of the room; make CXXFLAGS=-g keeps them.
FOR_src   := $(if $(filter release,$(FLAVOUR)),-O2 -g1,-O1 -g)
# The code throws nothing, so doctest need not catch at each assertion.
FOR_tests := -O1 -g1 -Itests -I. -DDOCTEST_CONFIG_NO_TRY_CATCH_IN_ASSERTS -DLETO_SOURCE_DIR='"$(CURDIR)"'
# $(call compile,src) or tests
compile = $(CXX) -std=c++20 $(WARNINGS) $(SANITIZE) -Isrc $(FOR_$(1)) $(LIBRARY_CFLAGS) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP
# For the release alone (see below): no file may rely on it.
PRECOMPILED := algorithm array cinttypes cstddef cstdint cstdio cstdlib cstring deque functional map memory optional set string \
  string_view utility vector
LINK    = $(CXX) -g $(SANITIZE) $(LDFLAGS)

# --- Targets -----------------------------------------------------------------------------------------

.PHONY: all
all: $(PROGRAMS)  ## build bin/leto (the default)

.PHONY: run
run: all  ## build, and start a node from leto.conf
	@exec $(BIN)/leto leto.conf

.PHONY: cluster
cluster: all  ## start three local nodes; print how to talk to them and how to stop them
	@tools/cluster start

.PHONY: build-tests
build-tests: all $(TESTERS)

.PHONY: test
test: build-tests  ## run every test: unit, Tcl, simulator seeds, the README's commands
	@tools/test $(BIN)

.PHONY: unit
unit: $(BIN)/leto-tests  ## run the unit tests alone; ONLY='*election*' chooses
	@$(BIN)/leto-tests $(if $(ONLY),--test-case='$(ONLY)')

.PHONY: sim
sim: $(if $(SIM_THERE),$(BIN)/leto-sim)  ## simulate whole clusters: SEED=7 WITHOUT=3,7-12, or SEEDS=1000 FIRST=1
	@$(if $(SIM_THERE),$(BIN)/leto-sim $(if $(SEED),--seed $(SEED) $(if $(WITHOUT),--without $(WITHOUT)),--seeds $(or $(SEEDS),100) --first $(or $(FIRST),1)),\
	  echo "make sim: tests/sim is empty")

.PHONY: soak
soak: build-tests  ## seeds that nobody has run yet, of the core and of whole clusters, and the fuzzers; from 1800 s on the long tests first: HOURS=1 or T=seconds
	@tools/soak $(BIN) $(or $(T),$(shell echo $$(($(or $(HOURS),1) * 3600)))) $(FIRST)

.PHONY: chaos
chaos: all $(BIN)/leto-chaos  ## real processes and sockets under kills, stops, cuts, bad disks: T=60 SEED=7 WAY=proxies NODES=3
	@TSAN_OPTIONS="halt_on_error=1:$$TSAN_OPTIONS" $(BIN)/leto-chaos --program $(BIN)/leto --seconds $(or $(T),60) $(if $(SEED),--seed $(SEED)) $(if $(WAY),--way $(WAY)) \
	  $(if $(NODES),--nodes $(NODES)) $(if $(V),--trace)

.PHONY: bench
bench: all  ## throughput as a ratio to redis-server with appendfsync always; fails below a floor
	@tests/bench/compare

TCL_WANTED = $(if $(TCL),--tcl '$(filter-out 1,$(TCL))')

.PHONY: sanitize
sanitize:  ## ASan and UBSan build; unit tests, a range of seeds (SEEDS=50 FIRST=1), TCL=1 the Tcl tests (TCL='unit kills' some)
	@$(MAKE) --no-print-directory FLAVOUR=sanitize build-tests
	@tools/test --quick $(TCL_WANTED) build/sanitize/bin $(or $(SEEDS),50) $(or $(FIRST),1)

.PHONY: sanitize-thread
sanitize-thread:  ## the same with the thread sanitizer
	@$(MAKE) --no-print-directory FLAVOUR=thread build-tests
	@tools/test --quick $(TCL_WANTED) build/thread/bin $(or $(SEEDS),50) $(or $(FIRST),1)

.PHONY: fuzz
fuzz:  ## feed every reader of strange bytes with what clang's fuzzer makes up; T=60 seconds each, ONLY=frames chooses
	@$(MAKE) --no-print-directory FLAVOUR=fuzz CXX=clang++ build/fuzz/bin/leto-fuzz
	@tools/fuzz build/fuzz/bin/leto-fuzz $(or $(T),60) $(ONLY)

# Mutants are switches in programs of their own, which the objects of the release build are linked into.
.PHONY: mutants
mutants: $(if $(filter chaos,$(BY)),all $(BIN)/leto-chaos,build-tests)  ## show that the tests notice mistakes: ONLY='d7-*', CORE=1, BY=seeds or chaos; RANDOM=30 SEED=1 makes them up
	@python3 -c '' 2>/dev/null || { echo "make mutants needs python3: sh deps/setup mutants" >&2; exit 1; }
	@MUTANTS_COMPILE='$(subst ','\'',$(call compile,src))' MUTANTS_LINK='$(LINK)' MUTANTS_LIBRARIES='$(LIBRARY_LIBS)' \
	  MUTANTS_TESTS='$(TEST_OBJECTS) $(HELPER_LIBRARY) $(LIBRARY)' \
	  MUTANTS_SIM='$(BUILD)/tests/sim/main.o $(LEVEL2) $(HELPER_LIBRARY) $(LIBRARY)' \
	  MUTANTS_LETO='$(BUILD)/src/main.o $(LIBRARY)' \
	  tools/mutants $(if $(ONLY),--only '$(ONLY)') $(if $(CORE),--core) $(if $(BY),--by $(BY)) $(if $(SEEDS),--seeds $(SEEDS)) \
	  $(if $(T),--seconds $(T)) $(if $(NODES),--nodes $(NODES)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(RANDOM),--random $(RANDOM))

.PHONY: lint
lint:  ## count lengths, nesting and parameters; check layers, names and heads of files
	@python3 -c '' 2>/dev/null || { echo "make lint needs python3: sh deps/setup lint" >&2; exit 1; }
	@tools/lint

.PHONY: install
install: all  ## install the server below PREFIX (/usr/local); DESTDIR is honoured
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/leto"
	install -m 755 $(BIN)/leto "$(DESTDIR)$(PREFIX)/bin/leto"
	install -m 644 leto.conf "$(DESTDIR)$(PREFIX)/share/leto/leto.conf"

.PHONY: clean
clean:  ## remove build/ and bin/
	rm -rf build bin

.PHONY: help
help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1\t\2/p' Makefile | awk -F '\t' '{ printf "  make %-16s %s\n", $$1, $$2 }'

# --- Rules -------------------------------------------------------------------------------------------

# Rewritten only when its text changes, so that a new compiler, flag or list of files rebuilds.
renew = cmp -s $@.new $@ && rm $@.new || mv $@.new $@
define stamp
	@mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(1))' >$@.new; $(renew)
endef
.PHONY: FORCE
FORCE:
$(BUILD)/flags: FORCE
	$(call stamp,$(call compile,src) $(filter-out -DLETO_SOURCE_DIR=%,$(call compile,tests)) $(LINK) $(PRECOMPILED))
$(BUILD)/files: FORCE
	$(call stamp,$(ALL_OBJECTS))

.PHONY: doctest
doctest:
	@echo '#include <doctest/doctest.h>' | $(CXX) -E -x c++ - >/dev/null 2>&1 || \
	  { echo "the tests need doctest: sh deps/setup test" >&2; exit 1; }

# What most files include of the standard library, compiled as src and as tests are: 0.7 s less for each file, of one to five.
# g++ takes src.h.gch where it is told to include src.h. What it inlines of that it does not take for a system's header's any
# more, of which it says that std::string writes past its own buffer, tests too; the other builds go without, and keep that warning.
ifeq ($(FLAVOUR) $(findstring clang,$(CXX)),release )
  PRECOMPILED_src   := $(BUILD)/precompiled/src.h
  PRECOMPILED_tests := $(BUILD)/precompiled/tests.h
$(PRECOMPILED_src).gch $(PRECOMPILED_tests).gch: $(BUILD)/precompiled/%.h.gch: $(BUILD)/flags
	@mkdir -p $(@D); printf '#include <%s>\n' $(PRECOMPILED) >$(@:.gch=)
	$(if $(V),,@echo "  compile  the standard headers for $*";)$(call compile,$*) -x c++-header $(@:.gch=) -o $@
endif
WITH = $(if $(1),-include $(1) -Winvalid-pch -Wno-array-bounds -Wno-stringop-overflow -Wno-restrict)

$(BUILD)/src/%.o: src/%.cc $(BUILD)/flags $(PRECOMPILED_src:%=%.gch)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  compile  $<";)$(call compile,src) $(call WITH,$(PRECOMPILED_src)) -c $< -o $@
$(LEVEL2): src/command/semantics.cc $(BUILD)/flags
	@mkdir -p $(@D)
	$(if $(V),,@echo "  compile  $< (level 2)";)$(call compile,src) -DLETO_SEMANTICS_LEVEL_MAX=2 -c $< -o $@
$(BUILD)/tests/%.o: tests/%.cc $(BUILD)/flags $(PRECOMPILED_tests:%=%.gch) | doctest
	@mkdir -p $(@D)
	$(if $(V),,@echo "  compile  $<";)$(call compile,tests) $(call WITH,$(PRECOMPILED_tests)) -c $< -o $@
ifneq ($(JOINED),)
$(JOINED_OBJECTS:.o=.cc): $(BUILD)/joined/%.cc: FORCE
	@mkdir -p $(@D); printf '#include "%s"\n' $(patsubst $*:%,%,$(filter $*:%,$(JOINED))) >$@.new; $(renew)
$(JOINED_OBJECTS): %.o: %.cc $(BUILD)/flags $(PRECOMPILED_tests:%=%.gch) | doctest
	$(if $(V),,@echo "  compile  $<";)$(call compile,tests) $(call WITH,$(PRECOMPILED_tests)) -c $< -o $@
endif

$(LIBRARY): $(LIBRARY_OBJECTS) $(BUILD)/files
	@mkdir -p $(@D); rm -f $@
	@ar rcs $@ $(LIBRARY_OBJECTS)
$(HELPER_LIBRARY): $(HELPER_OBJECTS) $(BUILD)/files
	@mkdir -p $(@D); rm -f $@
	@ar rcs $@ $(HELPER_OBJECTS)

define link
	@mkdir -p $(@D)
	$(if $(V),,@echo "  link     $@";)$(LINK) $(filter %.o,$^) $(filter %.a,$^) $(LIBRARY_LIBS) -o $@
endef
$(BIN)/leto: $(BUILD)/src/main.o $(LIBRARY)
	$(link)
$(BIN)/leto-tests: $(TEST_OBJECTS) $(HELPER_LIBRARY) $(LIBRARY) $(BUILD)/files
	$(link)
$(BIN)/leto-faults: $(BUILD)/tests/faults/main.o
	$(link)
$(BIN)/leto-fuzz: $(BUILD)/tests/fuzz/fuzzer.o $(HELPER_LIBRARY) $(LIBRARY)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  link     $@";)$(subst fuzzer-no-link,fuzzer,$(LINK)) $(filter %.o,$^) $(filter %.a,$^) $(LIBRARY_LIBS) -o $@
$(BIN)/leto-level2: $(BUILD)/src/main.o $(LEVEL2) $(LIBRARY)
	$(link)
$(BIN)/leto-sim: $(BUILD)/tests/sim/main.o $(LEVEL2) $(HELPER_LIBRARY) $(LIBRARY)
	$(link)
$(BIN)/leto-chaos: $(BUILD)/tests/chaos/main.o $(HELPER_LIBRARY) $(LIBRARY)
	$(link)

-include $(ALL_OBJECTS:.o=.d) $(LEVEL2:.o=.d) $(BUILD)/tests/fuzz/fuzzer.d $(BUILD)/tests/faults/main.d
