"""The app: every resource, joined."""

from typing import Any

from fastapi import FastAPI

from stentor.bus.port import Bus
from stentor.clock import Clock
from stentor.control import (
    announcement,
    audience,
    crowd_or_attack,
    delivery,
    docs,
    door,
    events,
    hands,
    ladder,
    links,
    pages,
    people,
    permits,
    problems,
    rooms,
    session,
    states,
    status,
    turn,
    whip,
)
from stentor.control.access import Rules, make_rules
from stentor.control.guard import Guard
from stentor.control.parts import make_parts
from stentor.control.settings import ControlKeys, ControlSettings
from stentor.store.catalogue import Catalogue

_DESCRIPTION = """
What hosts, speakers, moderators and operators do with rooms. Begin with `POST /api/v1/session`: it turns the token of
a link (what stands after `#t=`) into a session; send that as `Authorization: Bearer …` from then on.

Every error is a problem document (RFC 9457) whose `detail` is a sentence for a person. Bodies have at most 64 kB.
"""


def create_app(
    *, bus: Bus, catalogue: Catalogue, clock: Clock, keys: ControlKeys, settings: ControlSettings
) -> FastAPI:
    """Return control's app; its rules are ``app.state.rules``. What runs beside it is in server.Control."""
    rules = make_rules(make_parts(bus=bus, catalogue=catalogue, clock=clock, keys=keys, settings=settings))
    return app_over(rules)


def app_over(rules: Rules) -> FastAPI:
    """Return the app over rules that exist."""
    settings = rules.parts.settings
    app = FastAPI(
        title="Stentor: the staff's API",
        version="1",
        description=_DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    app.state.rules = rules
    problems.install(app)
    for resource in (
        session,
        rooms,
        states,
        links,
        people,
        turn,
        hands,
        announcement,
        delivery,
        door,
        ladder,
        permits,
        status,
        audience,
        crowd_or_attack,
        events,
    ):
        app.include_router(resource.router, prefix="/api/v1")
    for page in (whip, docs, pages):
        app.include_router(page.router)
    app.mount("/assets", pages.Assets(settings))
    app.add_middleware(Guard, clock=rules.parts.clock, own_origin=settings.staff_url, lanes=rules.lanes)
    made = app.openapi

    def openapi() -> dict[str, Any]:
        schema = made()
        schema["components"]["schemas"].setdefault("Problem", problems.Problem.model_json_schema())
        for unused in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(unused, None)
        for methods in schema["paths"].values():
            for operation in methods.values():
                operation["responses"].pop("422", None)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to amend the description
    return app
