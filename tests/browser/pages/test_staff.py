"""The speaker's, host's and operator's pages."""

import re
from typing import Literal

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.pages.conftest import Mock, Opener

pytestmark = pytest.mark.asyncio(loop_scope="session")

DESK = {"width": 1280, "height": 900}

# The other end of the speaker's connection, in the same page.
FAR_END = """async ([sdp, reachable]) => {
  const far = (window.far = new RTCPeerConnection());
  const context = new AudioContext();
  const tone = context.createOscillator();
  const out = context.createMediaStreamDestination();
  tone.connect(out);
  tone.start();
  await far.setRemoteDescription({ type: "offer", sdp });
  far.addTrack(out.stream.getAudioTracks()[0], out.stream);
  await far.setLocalDescription(await far.createAnswer());
  while (reachable && far.iceGatheringState !== "complete") await new Promise((done) => setTimeout(done, 20));
  const answer = far.localDescription.sdp;
  return reachable ? answer : answer.replace(/a=candidate:.*\\r\\n/g, "");
}"""


async def answer_whip(page: Page, *, reachable: bool = True) -> list[str]:
    """Answer the page's WHIP offers; return the list that their methods are written to."""
    seen: list[str] = []

    async def answer(route: Route) -> None:
        seen.append(route.request.method)
        if route.request.method == "DELETE":
            await route.fulfill(status=200)
            return
        if route.request.method == "PATCH":
            # A server that has no ICE restart for this session.
            await route.fulfill(status=422)
            return
        sdp = await page.evaluate(FAR_END, [route.request.post_data, reachable])
        await route.fulfill(
            status=201, body=sdp, headers={"Location": "/r/live/whip/x", "Content-Type": "application/sdp"}
        )

    await page.route(re.compile(r"/whip(/|$)"), answer)
    return seen


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize(
    "address",
    [
        "/#t=operator",
        "/r/live#t=host",
        "/r/lobby#t=host",
        "/r/live#t=moderator",
        "/r/held#t=speaker",
        "/r/published#t=host",
        "/r/live",
        "/r/live#t=used",
        "/r/live#t=nonsense",
    ],
)
async def test_every_page_is_accessible_and_fits_a_small_phone(
    mock: Mock, open_page: Opener, address: str, language: str
) -> None:
    # Contrast depends on the scheme, layout on the language: two of the four show both.
    scheme: Literal["light", "dark"] = "dark" if language == "ar" else "light"
    tab = await open_page(
        mock.staff + address, locale=language, color_scheme=scheme, viewport={"width": 320, "height": 640}
    )
    await tab.page.wait_for_selector("h1")
    for summary in await tab.page.query_selector_all("summary"):
        await summary.click()
    assert await tab.axe() == []
    assert await tab.page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/r/live", "This page opens by a link"),
        ("/r/live#t=nonsense", "Ask a host of the room for a new one"),
        ("/r/live#t=used", "can move it here with one tap"),
        ("/r/live#t=blocked", "Only they can let you in again"),
    ],
)
async def test_who_is_not_let_in_is_told_what_to_do(mock: Mock, open_page: Opener, address: str, said: str) -> None:
    tab = await open_page(mock.staff + address)
    await expect(tab.page.locator("main")).to_contain_text(said)


async def test_token_leaves_the_address_bar_and_survives_a_reload(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=speaker")
    await expect(tab.page.get_by_test_id("role")).to_have_text("Speaker")
    assert tab.page.url == f"{mock.staff}/r/live"
    await tab.page.reload()
    await expect(tab.page.get_by_test_id("role")).to_have_text("Speaker")


async def test_start_names_who_is_not_ready_and_asks_again(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/lobby#t=host", viewport=DESK)
    await tab.page.get_by_test_id("do-start").click()
    dialog = tab.page.get_by_test_id("not-ready")
    await expect(dialog).to_contain_text("Jonas Weber: not heard yet")
    assert await tab.axe() == []
    await tab.page.get_by_test_id("not-ready-wait").click()
    await expect(tab.page.get_by_test_id("room-state")).to_have_attribute("data-state", "lobby")
    await tab.page.get_by_test_id("do-start").click()
    await tab.page.get_by_test_id("start-anyway").click()
    await expect(tab.page.get_by_test_id("room-state")).to_have_attribute("data-state", "live")
    await expect(tab.page.get_by_test_id("recording")).to_have_attribute("data-on", "true")


async def test_hold_resume_and_an_end_that_asks(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=host", viewport=DESK)
    state = tab.page.get_by_test_id("room-state")
    await tab.page.get_by_test_id("do-hold").click()
    await expect(state).to_have_attribute("data-state", "held")
    await tab.page.get_by_test_id("do-resume").click()
    await expect(state).to_have_attribute("data-state", "live")
    await tab.page.get_by_test_id("do-end").click()
    await expect(tab.page.get_by_test_id("end-dialog")).to_contain_text("cannot be started again")
    await tab.page.get_by_test_id("end-confirm").click()
    await expect(state).to_have_attribute("data-state", "ended")


async def test_host_is_told_what_larger_blocks_do_before_they_are_set(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=host", viewport=DESK)
    card, effect = tab.page.get_by_test_id("delivery"), tab.page.get_by_test_id("delivery-effect")
    size, apply = tab.page.get_by_label("Sound in blocks of at least"), tab.page.get_by_test_id("delivery-apply")
    await expect(size).to_have_value("1")
    await expect(effect).to_contain_text("Each server keeps the delay as short as its load allows")
    await expect(apply).to_be_disabled()
    await size.select_option(label="0.96 s")
    await expect(effect).to_contain_text("up to 0.72 s later")
    await expect(effect).to_contain_text("Sending takes 25 % of the work")
    await expect(effect).to_contain_text("for about 12 s")
    assert not [call for call in await mock.calls() if call.endswith("delivery")]
    await apply.click()
    await expect(card).to_have_attribute("data-set", "4")
    assert "PUT rooms/live/delivery" in await mock.calls()
    await size.select_option(label="Automatic")
    await expect(effect).to_contain_text("It holds at once")
    assert await tab.axe() == []
    await apply.click()
    await expect(card).to_have_attribute("data-set", "1")


@pytest.mark.parametrize(
    ("address", "shown"), [("/r/live#t=host", 1), ("/r/live#t=moderator", 0), ("/r/published#t=host", 0)]
)
async def test_only_who_runs_an_open_room_may_set_its_blocks(
    mock: Mock, open_page: Opener, address: str, shown: int
) -> None:
    tab = await open_page(f"{mock.staff}{address}", viewport=DESK)
    await expect(tab.page.get_by_test_id("role")).to_be_visible()
    await expect(tab.page.get_by_test_id("delivery")).to_have_count(shown)


async def test_the_slower_of_two_hosts_is_told(mock: Mock, open_page: Opener) -> None:
    one = await open_page(f"{mock.staff}/r/live#t=host", viewport=DESK)
    await expect(one.page.get_by_test_id("do-hold")).to_be_visible()
    # The other host's click has arrived at the server, and its event is still on its way.
    problem = {
        "type": "urn:stentor:problem:wrong-state",
        "status": 409,
        "detail": "This room is held.",
        "state": "held",
    }
    await one.page.route("**/hold", lambda route: route.fulfill(status=409, json=problem))
    await one.page.get_by_test_id("do-hold").click()
    await expect(one.page.get_by_test_id("show-problem")).to_contain_text(
        "Someone else was faster: the room is now “On hold”"
    )


async def test_host_mutes_and_removes(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=host", viewport=DESK)
    await tab.page.get_by_role("button", name="Mute Jonas Weber").click()
    row = tab.page.locator("[data-testid=roster-person][data-name='Jonas Weber']")
    await expect(row).to_have_attribute("data-muted", "host")
    await tab.page.get_by_role("button", name="More about Jonas Weber").click()
    await tab.page.get_by_role("button", name="Remove Jonas Weber").click()
    assert await tab.axe() == []
    await tab.page.get_by_role("switch", name="Block this device, too").check()
    await tab.page.get_by_role("button", name="Remove and block").click()
    await expect(row).to_have_count(0)


async def test_links_are_made_moved_and_revoked(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=host", viewport=DESK)
    await tab.page.get_by_test_id("link-name").fill("Mira")
    await tab.page.get_by_test_id("link-create").click()
    await expect(tab.page.get_by_test_id("new-link")).to_contain_text("#t=speaker")
    await tab.page.get_by_test_id("link-move").click()
    await expect(tab.page.locator("[data-testid=link][data-state=asked]")).to_have_count(0)
    await tab.page.get_by_role("button", name="Revoke the link of Sam").click()
    await expect(tab.page.locator("[data-testid=link][data-name=Sam]")).to_have_count(0)


async def test_announcement_goes_up_and_comes_down(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=moderator", viewport=DESK)
    await tab.page.get_by_test_id("announce-text").fill("Back at <b>nine</b>")
    await tab.page.get_by_test_id("announce-send").click()
    await expect(tab.page.get_by_test_id("announcement")).to_contain_text("Back at <b>nine</b>")
    await tab.page.get_by_test_id("announce-clear").click()
    await expect(tab.page.get_by_test_id("announcement")).to_have_count(0)


async def test_hosts_see_who_listens_and_who_was_lost(mock: Mock, open_page: Opener) -> None:
    await mock.turn("room/live", audience={"listeners": 1284, "by_beacon": 412})
    tab = await open_page(f"{mock.staff}/r/live#t=host", viewport=DESK)
    see = tab.page.get_by_test_id
    await expect(see("crowd-count")).to_have_text("1,284 people are listening")
    await expect(see("crowd-more")).to_contain_text("412 more")
    await expect(see("crowd-push")).to_have_attribute("data-count", "836")
    await expect(see("crowd-leaves")).to_have_text("67 (by themselves 64, server stops 3)")
    await expect(see("crowd-cuts")).to_have_text("7 (line too slow 5, no answer 2)")
    await expect(see("crowd-wait")).to_have_text("0.4 s, nearly all within 1.8 s", use_inner_text=True)
    await expect(see("crowd-stalls")).to_contain_text("0.31")
    await expect(see("crowd-edges")).to_have_count(0)
    await expect(see("delivery-now")).to_contain_text("0.24 s · 0.48 s", use_inner_text=True)
    audience: dict[str, object] = {
        "joins": 0,
        "leaves": {},
        "cuts": {"new-reason": 2},
        "latency_ms_p50": None,
        "stall_ratio": None,
    }
    wait: dict[str, object] = {
        "join_ms_p50": None,
        "join_ms_p95": None,
        "history": [],
        "transports": {},
        "edges": [],
        "window_s": 300,
    }
    await mock.turn("event/live/audience", listeners=1, by_beacon=0, **audience, **wait)
    await expect(see("crowd-count")).to_have_text("1 person is listening")
    await expect(see("crowd-cuts")).to_have_text("2 (other 2)")
    await expect(see("crowd-stalls")).to_have_text("—")


async def test_operators_see_each_edge(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=operator", viewport=DESK)
    edge = tab.page.get_by_test_id("crowd-edges").locator("[data-edge=edge-2]")
    await expect(edge).to_have_attribute("data-listeners", "642")
    await expect(edge.locator("tr[data-way=hls]")).to_contain_text("By HLS")
    await expect(edge).to_contain_text("line too slow 5")
    assert await tab.axe() == []
    rooms = await open_page(f"{mock.staff}/#t=operator", viewport=DESK)
    line = rooms.page.get_by_test_id("room-live").get_by_test_id("room-audience")
    await expect(line).to_have_attribute("data-listeners", "1284")
    await expect(line).to_contain_text("edge-1")
    await expect(rooms.page.get_by_test_id("room-draft").get_by_test_id("room-audience")).to_have_count(0)
    assert await rooms.axe() == []


async def test_silence_on_air_raises_the_alarm(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=host", viewport=DESK)
    await expect(tab.page.get_by_test_id("room-state")).to_be_visible()
    await mock.turn("stage/live", silent_s=4.9)
    await expect(tab.page.get_by_test_id("alarm")).to_have_count(0)
    await mock.turn("stage/live", silent_s=5.2)
    await expect(tab.page.get_by_role("alert").filter(has_text="Nobody is heard")).to_be_visible()
    assert await tab.axe() == []
    await mock.turn("stage/live", silent_s=0)
    await expect(tab.page.get_by_test_id("alarm")).to_have_count(0)


async def test_operator_creates_a_room_and_gets_its_links(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/#t=operator", viewport=DESK)
    await tab.page.get_by_test_id("form-title").fill("An evening")
    await tab.page.get_by_test_id("form-room").fill("evening")
    await tab.page.get_by_test_id("form-start").fill("2030-07-01T20:00")
    await tab.page.get_by_test_id("form-zone").select_option("Asia/Beirut")
    await tab.page.get_by_test_id("form-submit").click()
    await expect(tab.page.get_by_test_id("created-host")).to_contain_text("/r/evening#t=host")
    state = await mock.client.get(f"{mock.audience}/r/evening/state.json")
    assert state.json()["planned_start"] == "2030-07-01T17:00:00.000Z"


async def test_speaker_goes_on_air_is_muted_and_leaves(mock: Mock, open_page: Opener) -> None:
    await mock.turn("room/live", state="lobby")
    await mock.turn("stage/live", on_air=False)
    tab = await open_page(f"{mock.staff}/r/live#t=speaker")
    page = tab.page
    asked = await answer_whip(page)
    air = page.get_by_test_id("air")
    await expect(air).to_have_text(re.compile("NOT ON STAGE"))
    await page.get_by_test_id("join").click()
    await expect(air).to_have_attribute("data-air", "off", timeout=15_000)
    await expect(air).to_contain_text("OFF AIR")
    await mock.turn("room/live", state="live")
    await mock.turn("stage/live", on_air=True)
    await expect(air).to_have_attribute("data-air", "on")
    await expect(page).to_have_title(re.compile("ON AIR"))
    assert "on-air" in (await page.locator("link[rel=icon]").get_attribute("href") or "")
    assert await tab.axe() == []
    person = {
        "person": "p-speaker",
        "name": "Jonas",
        "role": "speaker",
        "connected": True,
        "speaking": False,
        "heard": True,
    }
    await mock.turn("stage/live", people=[person | {"muted_by": "host", "level_dbfs": -60}])
    await expect(page.get_by_test_id("muted")).to_contain_text("Only a host can unmute you")
    await expect(page.get_by_test_id("self-mute")).to_be_disabled()
    assert await tab.axe() == []
    # Another origin takes the room: the page comes back by itself.
    await mock.turn("stage/live", epoch=4)
    await expect(page.get_by_test_id("speaker")).to_have_attribute("data-returns", "1", timeout=15_000)
    # The far end falls silent: the same.
    await page.evaluate("window.far.close()")
    await expect(page.get_by_test_id("speaker")).to_have_attribute("data-returns", "2", timeout=15_000)
    await page.get_by_test_id("leave").click()
    await expect(air).to_have_attribute("data-air", "away")
    assert asked.count("POST") == 3
    # A session that another one replaces is ended by the server.
    assert asked.count("DELETE") == 2


async def test_blocked_udp_gets_a_sentence(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=speaker")
    await answer_whip(tab.page, reachable=False)
    await tab.page.evaluate("window.RTCPeerConnection.prototype.addIceCandidate = async () => {}")
    await tab.page.get_by_test_id("join").click()
    await tab.page.evaluate("new Promise((done) => setTimeout(done, 300)).then(() => window.far.close())")
    await expect(tab.page.get_by_test_id("speaker-trouble")).to_contain_text("blocks UDP", timeout=30_000)


async def test_stage_that_does_not_answer_gets_a_sentence(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=speaker")
    await tab.page.get_by_test_id("join").click()
    await expect(tab.page.get_by_test_id("speaker-trouble")).to_contain_text("keeps trying by itself")


async def test_who_loses_the_link_to_another_device_is_told(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=speaker")
    await expect(tab.page.get_by_test_id("air")).to_be_visible()
    await mock.turn("event/live/session", replaced=True)
    await expect(tab.page.get_by_test_id("session-replaced")).to_contain_text("from another device now")


def refusal(name: str) -> str:
    """Return a script that makes the microphone fail in one way."""
    return f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('no', '{name}'); }}"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("Object.defineProperty(window, 'isSecureContext', {value: false})", "This page is not secure"),
        ("delete window.RTCPeerConnection", "has no WebRTC"),
        (refusal("NotFoundError"), "No microphone was found"),
        (refusal("NotAllowedError"), "does not let this page use the microphone"),
        (refusal("NotReadableError"), "Another program is using the microphone"),
    ],
)
async def test_a_microphone_that_is_not_there_gets_a_sentence(
    mock: Mock, open_page: Opener, script: str, said: str
) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=speaker", script=script)
    allow = tab.page.get_by_test_id("mic-allow")
    await expect(tab.page.get_by_test_id("mic")).to_be_visible()
    if await allow.count():
        await allow.click()
    await expect(tab.page.get_by_test_id("mic-trouble")).to_contain_text(said)
    assert await tab.axe() == []
