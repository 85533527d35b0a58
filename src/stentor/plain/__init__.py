"""Pages that need no script: the status, the waiting line and problems, as text in English and Arabic."""
