"""Benches: one file a figure, ``python -m bench.NAME --json FILE``; ``python -m bench`` runs them all."""
