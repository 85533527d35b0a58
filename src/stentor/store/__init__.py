"""Where things rest: the catalogue in SQL and the objects of recordings."""
