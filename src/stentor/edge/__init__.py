"""An edge serves listeners: playback, push, progressive and the room's page."""
