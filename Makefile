# Each target is one line into `cargo xtask`, where the work is written down.
.PHONY: demo test bench sandbox-up sandbox-down xtask compiler

# The job of the documents, from 4.2.1 to 4.3.0, on real clusters that stay up.
demo: xtask
	cargo xtask demo

# Everything that must hold, real clusters included.
test: xtask
	cargo xtask test

# The product beside what a user would take instead; minutes, on a machine with nothing else to do.
bench: xtask
	cargo xtask bench

sandbox-up: xtask
	cargo xtask sandbox up

sandbox-down: xtask
	cargo xtask sandbox down

# Says what is compiled: the first time it takes minutes.
xtask: compiler
	@cargo build --package xtask

# Rust links with the C compiler; everything else is installed by xtask itself.
compiler:
	@command -v cc >/dev/null || { apt-get update -q && apt-get install -yq gcc libc6-dev; }
