"""The supervisor starts, watches and stops the processes of one machine.

``serve`` is the parent: it brings the bus up, then the roles, in order, starts again what crashes, and stops all of
them in the other order within five seconds. ``child`` watches one process, ``spawn`` starts it so that it dies with its
parent, ``private`` is how a process says how it is, ``checks`` is what can be found wrong before anything starts.
"""
