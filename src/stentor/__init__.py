"""Stentor: a self-hosted live-audio stage for audiences of any size."""
