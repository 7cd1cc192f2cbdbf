"""Measurements that print their tables: python -m benchmarks.<name>."""
