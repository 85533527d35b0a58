"""Verbs of the command line that speak to a running Stentor as its operator: one module each."""
