"""Replay serves what the archive wrote, under the same address."""
