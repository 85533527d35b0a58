"""Pure people and permission: ids, states, documents, grants, the door."""
