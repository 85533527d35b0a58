"""What a joiner is told: also of blocks that others have been told of already. And what a listener may say."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from websockets.frames import Frame
from websockets.frames import Opcode as TheirOpcode

from stentor.edge.cadence import Cadence, Change
from stentor.edge.connection import Connection
from stentor.edge.http import Request
from stentor.edge.push import Push
from stentor.edge.reactor import Line, Reactor
from stentor.edge.tally import Tally
from stentor.edge.websocket import MAX_FRAMES
from stentor.media.grid import Step
from stentor.media.rendition import RENDITIONS, RenditionName


def test_who_joins_before_an_announced_change_is_told_of_it_and_not_after() -> None:
    push = Push(RENDITIONS[RenditionName.OPUS], 0, Cadence(), Tally())
    push.listeners.begin(Step(10))
    push.announce(Change(2, Step(27), emergency=False))
    assert b'"from_step": 27' in push._greeting()
    push.listeners.begin(Step(27))
    push.set_retry_spread(4.0)
    assert b'"cadence"' not in push._greeting()
