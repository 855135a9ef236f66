"""Benchmarks of the portal: ``make bench`` runs them all and writes RESULTS.md."""
