"""An origin makes a room's program: one process a room, speakers over WebRTC."""
