"""Pure sound: bytes and samples in, bytes and samples out."""
