"""What lasts: the catalogue (SQL), objects (recordings) and keys. Ports first; only ``app`` names a driver."""
