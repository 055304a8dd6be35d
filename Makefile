# The commands a newcomer types. Meson does the work; this file only names it.
BUILD  ?= build
PREFIX ?= /usr/local
CC     ?= cc

.PHONY: all build demo check check-long mutate bench bench-docs install deb container clean help

all: build

help:
	@echo 'make             build Turnstile into $(BUILD)/'
	@echo 'make demo        boot Debian inside, load KVM there, run virtual machines in it'
	@echo 'make check       run the tests; ends with "N passed, N failed, N skipped"'
	@echo 'make check-long  the long campaigns and the full matrices: about an hour; FUZZ_SECONDS=3600 for hours of fuzzing'
	@echo 'make mutate      random mutants of the sources against the tests that reach them (ARGS="--count 300 --seed 2 --files src/vmx")'
	@echo 'make bench       speed ratios against Bochs and QEMU/TCG where they are installed (make deps-bench installs QEMU); ARGS="--only sh --rounds 1"'
	@echo 'make bench-docs  the loads alone, their table and picture written into docs/BENCHMARKS.md'
	@echo 'make install     DESTDIR= PREFIX=$(PREFIX)'
	@echo 'make deb         a Debian source package and its packages, in $(BUILD)/deb; checked by lintian'
	@echo 'make container   an image of Debian with Turnstile in it, for CI: $(BUILD)/container/turnstile.tar (as root)'
	@echo 'make clean       remove $(BUILD)/'

deps-%:
	@tools/deps $*

$(BUILD)/build.ninja: | deps-build
	@meson setup $(BUILD) --prefix=$(PREFIX) >$(BUILD)-setup.log 2>&1 || { cat $(BUILD)-setup.log; exit 2; }
	@rm -f $(BUILD)-setup.log

# Meson lists folders when it configures: files that came or went since then make it look again.
build: $(BUILD)/build.ninja
	@find src tests -name '*.c' | sort >$(BUILD)/files.now; \
	cmp -s $(BUILD)/files.now $(BUILD)/files || { [ ! -e $(BUILD)/files ] || ninja -C $(BUILD) --quiet reconfigure >/dev/null; }; \
	mv $(BUILD)/files.now $(BUILD)/files
	@ninja -C $(BUILD) --quiet

demo: deps-demo build
	@tools/demo $(BUILD)

check: deps-check build
	@python3 tests/run.py --build $(BUILD)

check-long: deps-check build
	@python3 tests/run.py --build $(BUILD) --long

mutate: deps-check build
	@tools/mutate --build $(BUILD) $(ARGS)

bench: deps-demo build
	@python3 bench/run.py --build $(BUILD) $(ARGS)

bench-docs: deps-bench build
	@python3 bench/run.py --build $(BUILD) --only loads --write $(ARGS)

install: build
	@meson configure $(BUILD) -Dprefix=$(PREFIX) && DESTDIR='$(DESTDIR)' meson install -C $(BUILD) --quiet

deb: deps-deb
	@tools/deb $(BUILD)

container: deps-container deb
	@tools/container $(BUILD)

clean:
	@rm -rf $(BUILD)
