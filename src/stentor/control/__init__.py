"""Control: catalogue, permissions and API on the staff's port.

``api.create_app`` is the app, ``server.Control`` runs it. One module a resource (session, rooms, states, links,
people, announcement, events, whip, pages, docs); the rules they share stand in service (rooms), staff (people and
links), publisher (SQL to bus), hub (bus to pages) and origins.
"""
