# leaktap: two commands to begin with, `make demo` and `make test`.
CARGO ?= cargo
APT   := apt-get -o DPkg::Lock::Timeout=300 -y -q
# Capture filters need libpcap; without it everything else works.
PCAP   = $(shell printf 'int main(void){return 0;}' | cc -x c - -lpcap -o /dev/null 2>/dev/null && echo yes)
FEATURES = $(if $(PCAP),,--no-default-features)

.PHONY: help demo test lint deps build bench quality captures fuzz clean

help:
	@echo 'make demo      install what is missing, build, scan the captures that come with the project'
	@echo 'make test      the whole test suite'
	@echo 'make lint      format, clippy'
	@echo 'make bench     MB/s per core, and the ratio to a plain read of the file'
	@echo 'make quality   false alarms per MB on the files of installed packages'
	@echo 'make fuzz      every fuzz target for TIME seconds (default 60); needs cargo-fuzz'
	@echo 'make captures  remake the captures from real clients and servers (root, tcpdump, nginx, curl, Python)'
	@echo 'make deps      install the system packages that are missing (Debian)'

demo: build
	@./target/release/leaktap scan captures || test $$? -eq 1
	@echo; echo 'Try: ./target/release/leaktap scan YOUR.pcap --fail-on high'

build: deps
	$(CARGO) build --release --locked $(FEATURES)

test: deps
	$(CARGO) test --locked $(FEATURES)

lint: deps
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets $(FEATURES) -- -D warnings

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

bench: deps
	$(CARGO) bench --locked $(FEATURES) --bench scan

captures:
	captures/make/run

# False alarms on the files of installed packages and documentation; fails above the goal.
quality: deps
	$(CARGO) bench --locked $(FEATURES) --bench quality

TIME ?= 60
fuzz:
	@command -v cargo-fuzz >/dev/null 2>&1 || { echo 'install it first: cargo install cargo-fuzz'; exit 1; }
	@for target in $$(RUSTC_BOOTSTRAP=1 $(CARGO) fuzz list); do \
		echo "== $$target"; RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target -- -max_total_time=$(TIME) -rss_limit_mb=2048 || exit 1; \
	done

clean:
	$(CARGO) clean
