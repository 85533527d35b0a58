"""The archive turns the log into objects and signs the proof."""
