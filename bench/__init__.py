"""Benchmarks: rates of the main jobs, each beside the raw cost of its cryptography in the same run."""
