"""Rehearsal: a crowd that is not there comes through the public doors, and what became of it is said in a verdict."""
