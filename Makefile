# Each target is one line into `cargo xtask`, where the work is written down.
.PHONY: demo test sandbox-up sandbox-down compiler

# The job of the documents, from 4.2.1 to 4.3.0, on real clusters that stay up.
demo: compiler
	cargo xtask demo

# Everything that must hold, real clusters included.
test: compiler
	cargo xtask test

sandbox-up: compiler
	cargo xtask sandbox up

sandbox-down: compiler
	cargo xtask sandbox down

# Rust links with the C compiler; everything else is installed by xtask itself.
compiler:
	@command -v cc >/dev/null || { apt-get update -q && apt-get install -yq gcc libc6-dev; }
