"""The message bus: one port, the wire format, NATS in production, memory in tests."""
