"""The demo: two synthetic people hold a conversation over real WebRTC."""
