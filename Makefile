# Thin: the build is CMake's, the set-up is .ci/setup's.
LUA ?= lua5.4
JOBS ?= $(shell nproc)
WITH = LUA_PATH="$(CURDIR)/lua/?.lua;;" \
  LUA_CPATH="$(CURDIR)/build/$(1)/?.so;;"
BUSTED = $(LUA) "$$(command -v busted)"

.PHONY: all build demo test spec ctest rock bench bench-count growth lint matrix asan tsan soak \
  aarch64 clean

all: build

build: build/release
build/%: FORCE
	cmake --preset $* >/dev/null
	cmake --build build/$* -j $(JOBS) -- -s
FORCE:

# Counts the words of the system's C headers with goroutines, and beside that
# with a plain script.
demo:
	.ci/setup build
	$(MAKE) -s build
	$(call WITH,release) $(LUA) examples/demo.lua

# All tests: the C layers, the specs, and the specs of the installed rock.
test:
	.ci/setup build test
	$(MAKE) -s ctest spec rock

spec: build
	$(call WITH,release) $(BUSTED)

ctest: build
	cd build/release && ctest --output-on-failure -j $(JOBS)

rock:
	.ci/rock

bench-count:
	.ci/setup build count
	$(MAKE) -s build
	$(call WITH,release) $(LUA) bench/count.lua --check

bench:
	.ci/setup build bench
	$(MAKE) -s build
	$(call WITH,release) $(LUA) bench/run.lua $(BENCH)

# Measures how costs grow, and draws docs/growth.svg.
growth:
	.ci/setup build
	$(MAKE) -s build
	$(call WITH,release) $(LUA) bench/growth.lua $(GROWTH)

lint:
	.ci/setup build lint
	.ci/lint

matrix: build
	.ci/matrix

asan tsan:
	.ci/setup build test
	.ci/sanitize $@

soak:
	.ci/setup build test
	$(MAKE) -s build
	.ci/soak

# The stack switch for aarch64, and what else runs there without Lua.
aarch64:
	.ci/setup build aarch64
	.ci/aarch64

clean:
	rm -rf build build.luarocks
