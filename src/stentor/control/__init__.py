"""Control: catalogue, permissions, the API and the staff's port."""
