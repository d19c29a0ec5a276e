# SPDX-License-Identifier: Apache-2.0
# A thin front: meson builds, the scripts do the rest. `make` leaves the program at build/plyfs.
BUILD ?= build
ASAN ?= build-asan
PREFIX ?= /usr/local
PLYFS_IMAGES ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/plyfs/images
export PLYFS_IMAGES

all: deps-build build

deps-%:
	@scripts/install-deps $*

# meson leaves a half-made directory when it fails: the file tells that it is whole.
$(BUILD)/build.ninja:
	meson setup $(BUILD) --prefix=$(PREFIX)
$(ASAN)/build.ninja:
	meson setup $(ASAN) --buildtype=debugoptimized -Db_sanitize=address,undefined -Dtests=true

build: $(BUILD)/build.ninja
	ninja -C $(BUILD) --quiet
build-tests: deps-check $(BUILD)/build.ninja $(ASAN)/build.ninja
	meson configure $(BUILD) -Dtests=true
	ninja -C $(BUILD) --quiet
	ninja -C $(ASAN) --quiet

demo: deps-demo build
	tests/images/build.sh demo
	scripts/demo

check: build-tests
	tests/images/build.sh demo
	BUILD=$(BUILD) ASAN=$(ASAN) tests/run

# docs/reliability.md: half an hour, and figures.
crash: deps-check $(BUILD)/build.ninja
	meson configure $(BUILD) -Dtests=true
	ninja -C $(BUILD) --quiet
	tests/fault/all $(BUILD)

# More of what the cases real-work-* do: packages, compilers, databases, git on a writable mount, also
# with servers killed. Half an hour.
real-work: build
	tests/images/build.sh demo big node
	REAL_WORK=large BUILD=$(BUILD) tests/run -j 1 real-work

# Many processes on one store; tests/stress/run says what they do. SEED=N repeats a choice.
SECONDS ?= 120
PROCESSES ?= 8
stress: build
	unshare -m -p --fork --kill-child --mount-proc tests/stress/run $(BUILD)/plyfs \
		--seconds $(SECONDS) --processes $(PROCESSES) $(if $(SEED),--seed $(SEED))

# Random operations on a mount and on a plain directory (tests/oracle/run), for MINUTES.
MINUTES ?= 10
TARGET ?= plyfs-cow
oracle: deps-check $(BUILD)/build.ninja
	meson configure $(BUILD) -Dtests=true
	ninja -C $(BUILD) --quiet
	BUILD=$(BUILD) tests/oracle/run --target $(TARGET) --minutes $(MINUTES) --seed $(if $(SEED),$(SEED),1)

bench: deps-bench $(BUILD)/build.ninja
	meson setup --reconfigure $(BUILD) -Dbench=true
	ninja -C $(BUILD) --quiet
	bench/all.sh

fuzz: deps-fuzz
	fuzz/run

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

install: all
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) $(ASAN)

.PHONY: all build build-tests demo check crash real-work stress bench fuzz format install clean
