# leaktap: two commands to begin with, `make demo` and `make test`.
CARGO ?= cargo
APT   := apt-get -o DPkg::Lock::Timeout=300 -y -q
# Capture filters need libpcap; without it everything else works.
PCAP   = $(shell printf 'int main(void){return 0;}' | cc -x c - -lpcap -o /dev/null 2>/dev/null && echo yes)
# Programs for the kernel (eBPF) need clang and libelf to be built; without them processes are looked up.
HASH  := \#
EBPF   = $(shell command -v clang >/dev/null 2>&1 && printf '$(HASH)include <gelf.h>\nint main(void){return 0;}' | cc -x c - -lelf -lz -o /dev/null 2>/dev/null && echo yes)
FEATURES = $(if $(PCAP),,--no-default-features) $(if $(EBPF),--features ebpf)

# What `make dist` makes.
DIST   = target/dist
MUSL   = x86_64-unknown-linux-musl

.PHONY: help dist dist-check dist-files dist-deb dist-static demo test soak lint deny deps build bench bench-baseline bench-compare bench-live bench-screen bench-stages quality captures pictures fuzz fuzz-deps fuzz-corpus clean

help:
	@echo 'make demo      install what is missing, build, scan the captures that come with the project'
	@echo 'make test      the whole test suite'
	@echo 'make soak      attacks of ten million segments and of gigabytes (minutes)'
	@echo 'make lint      format, clippy, and make deny where cargo-deny is installed'
	@echo 'make deny      licences, bans and sources of the dependencies'
	@echo 'make bench     speed beside tcpdump, memory, and whether all is found; BENCH="--full bulk" for real sizes'
	@echo 'make bench-stages | bench-baseline | bench-compare | bench-live | bench-screen   see docs/PERFORMANCE.md'
	@echo 'make quality   false alarms per MB on the files of installed packages'
	@echo 'make fuzz      every fuzz target (or TARGETS=) for TIME seconds each (default 60)'
	@echo 'make captures  remake the captures from real clients and servers (root, tcpdump, nginx, curl, Python)'
	@echo 'make dist      a .deb and a static offline tool (musl), with man pages and completions, in target/dist'
	@echo 'make dist-check  the same, unpacked elsewhere and used'
	@echo 'make pictures  remake the picture and recording of the screen (root, tmux, curl, Python with Flask)'
	@echo 'make deps      install the system packages that are missing (Debian)'

demo: build
	@./target/release/leaktap scan captures --format table || test $$? -eq 1
	@echo; echo 'Try: ./target/release/leaktap scan YOUR.pcap --fail-on high'

build: deps
	$(CARGO) build --release --locked $(FEATURES)

test: deps
	$(CARGO) test --locked $(FEATURES)

# The attacks on the table of flows with ten million segments each, those on memory with gigabytes.
soak: deps
	LEAKTAP_SOAK=10000000 $(CARGO) test --release --locked $(FEATURES) --test it -- attacks::flow attacks::memory attacks::rules attacks::files

lint: deps
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets $(FEATURES) -- -D warnings
	@if command -v cargo-deny >/dev/null 2>&1; then $(MAKE) --no-print-directory deny; \
	else echo 'note: dependencies are not checked without cargo-deny (minutes to build): make deny installs it'; fi

# Licences, doubles and origins of what is built in (deny.toml).
deny:
	@command -v cargo-deny >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked check licenses bans sources

# A C compiler for zstd, libpcap for filters. Without the right to install, what is missing is said and the offline tool is built.
deps:
	@command -v $(CARGO) >/dev/null 2>&1 || { echo 'leaktap needs Rust 1.95 or later: https://rustup.rs'; exit 1; }
	@if command -v cc >/dev/null 2>&1 && printf 'int main(void){return 0;}' | cc -x c - -lpcap -o /dev/null 2>/dev/null; then :; \
	elif command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
		$(APT) update && DEBIAN_FRONTEND=noninteractive $(APT) install --no-install-recommends gcc libc6-dev libpcap-dev; \
	elif command -v apt-get >/dev/null 2>&1 && sudo -n true 2>/dev/null; then \
		sudo $(APT) update && sudo DEBIAN_FRONTEND=noninteractive $(APT) install --no-install-recommends gcc libc6-dev libpcap-dev; \
	else \
		echo 'note: libpcap-dev is missing and cannot be installed from here; building without capture filters (--filter).'; \
		echo 'note: to have them: apt-get install libpcap-dev'; \
		command -v cc >/dev/null 2>&1 || { echo 'a C compiler is missing: apt-get install gcc libc6-dev'; exit 1; }; \
	fi
	@if [ "$(EBPF)" = yes ] || [ "$$(uname -s)" != Linux ]; then :; \
	elif command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
		$(APT) update && DEBIAN_FRONTEND=noninteractive $(APT) install --no-install-recommends clang libelf-dev zlib1g-dev make; \
	elif command -v apt-get >/dev/null 2>&1 && sudo -n true 2>/dev/null; then \
		sudo $(APT) update && sudo DEBIAN_FRONTEND=noninteractive $(APT) install --no-install-recommends clang libelf-dev zlib1g-dev make; \
	else \
		echo 'note: clang or libelf-dev is missing and cannot be installed from here; building without eBPF: processes that live for'; \
		echo 'note: milliseconds may stay unnamed. To have it: apt-get install clang libelf-dev zlib1g-dev'; \
	fi

# BENCH: workloads by name, --full or --size MB, --seed, --runs, --read FOLDER (docs/PERFORMANCE.md).
BENCH    ?=
BASELINE ?= benches/baseline.json
SCAN      = $(CARGO) bench --locked $(FEATURES) --bench scan --
bench: deps
	$(SCAN) $(BENCH)

# Each stage by itself, and beside it what bounds it.
bench-stages: deps
	$(CARGO) bench --locked $(FEATURES) --bench stages -- $(BENCH)

# Captures of the benchmarks over a veth pair: what is lost of them, beside tcpdump (root). LIVE='--minutes 10 --rate 500 bulk': memory.
LIVE_CAPTURES ?= /tmp/leaktap-live
bench-live: build
	@command -v tcpreplay >/dev/null 2>&1 || apt-get -o DPkg::Lock::Timeout=300 install -y -q tcpreplay tcpdump iproute2
	test -e $(LIVE_CAPTURES)/bulk.pcap || $(SCAN) --size 300 --runs 1 --write $(LIVE_CAPTURES) bulk small
	benches/live/run $(LIVE_CAPTURES) $(LIVE)

# What the screen of `watch` costs, with as many leaks as it holds.
bench-screen: deps
	$(CARGO) bench --locked $(FEATURES) --bench screen

# What bench-compare compares with.
bench-baseline: deps
	$(SCAN) --save $(BASELINE) $(BENCH)

# Beside the baseline, and beside those of ngrep, tshark and Suricata that are installed.
bench-compare: deps
	$(SCAN) --compare --against $(BASELINE) $(BENCH)

# Packages: a .deb of the whole tool, and one static program (no libpcap, so no --filter) with the same pages in a .tar.gz.
dist: dist-deb dist-static
	@ls -l $(DIST)/*.deb $(DIST)/*.tar.gz

# Both packages unpacked, and used as a stranger would: nothing of this folder but the captures.
dist-check: dist
	packaging/check $(DIST)

# What the program itself says of its command line.
dist-files: build
	@mkdir -p $(DIST)/completions
	./target/release/leaktap man --output $(DIST)/man
	./target/release/leaktap completions bash > $(DIST)/completions/leaktap.bash
	./target/release/leaktap completions zsh > $(DIST)/completions/_leaktap
	./target/release/leaktap completions fish > $(DIST)/completions/leaktap.fish

dist-deb: dist-files
	@command -v cargo-deb >/dev/null 2>&1 || $(CARGO) install --locked cargo-deb
	@rm -f $(DIST)/*.deb
	$(CARGO) deb --no-build --strip --no-separate-debug-symbols --output $(DIST)/

dist-static: dist-files
	@command -v musl-gcc >/dev/null 2>&1 || { echo 'the static build needs musl-gcc: apt-get install musl-tools'; exit 1; }
	@test -d "$$(rustc --print target-libdir --target $(MUSL) 2>/dev/null)" || rustup target add $(MUSL) || { \
		echo 'the static build needs the standard library for $(MUSL), and it could not be fetched: `rustup target add $(MUSL)` where'; \
		echo 'there is a network and rustup, or the package of your distribution. `make dist-deb` makes the .deb alone.'; exit 1; }
	CC_x86_64_unknown_linux_musl=musl-gcc CARGO_PROFILE_RELEASE_STRIP=symbols $(CARGO) build --release --locked --no-default-features --target $(MUSL)
	@rm -rf $(DIST)/leaktap-static && mkdir -p $(DIST)/leaktap-static
	cp -r target/$(MUSL)/release/leaktap $(DIST)/man $(DIST)/completions README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE packaging/leaktap.toml packaging/leaktap.schema.json $(DIST)/leaktap-static/
	tar -C $(DIST) -czf $(DIST)/leaktap-static-x86_64.tar.gz leaktap-static

captures:
	captures/make/run

# The picture and the recording of the README, from a real session.
pictures: build
	docs/screen/make.py target/release/leaktap

# False alarms on the files of installed packages and documentation; fails above the goal.
quality: deps
	$(CARGO) bench --locked $(FEATURES) --bench quality

# Own code that parses is free of `unsafe`: sanitizers would cost half the speed and find nothing in it.
TIME    ?= 60
TARGETS ?= $$($(FUZZ) list)
FUZZ     = RUSTC_BOOTSTRAP=1 $(CARGO) fuzz
fuzz: fuzz-deps fuzz-corpus
	@for target in $(TARGETS); do \
		echo "== $$target"; \
		$(FUZZ) run --sanitizer none $$target -- -max_total_time=$(TIME) -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 || exit 1; \
	done

fuzz-deps: deps
	@command -v cargo-fuzz >/dev/null 2>&1 || $(CARGO) install --locked cargo-fuzz
	@command -v c++ >/dev/null 2>&1 || { echo 'fuzzing needs a C++ compiler: apt-get install g++'; exit 1; }

# Seeds from the captures and rules that come with the project.
fuzz-corpus:
	$(CARGO) run --quiet --locked --manifest-path fuzz/Cargo.toml --example corpus

clean:
	$(CARGO) clean
