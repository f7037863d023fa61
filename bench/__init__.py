"""Benchmarks: each a ratio of things measured in one run. `make bench`; docs/benchmarks.md has the last figures."""
