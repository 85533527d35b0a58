"""People on stage as their hosts see them, and the check of one's own sound."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.pages.conftest import Mock, Opener

pytestmark = pytest.mark.asyncio(loop_scope="session")

DESK = {"width": 1280, "height": 900}

# A microphone that hears the loudspeaker, 14 dB below what it plays, in some noise: no fake device does.
LOUD_ROOM = """
const play = AudioBufferSourceNode.prototype.connect;
let room;
AudioBufferSourceNode.prototype.connect = function (to, ...rest) {
  if (room && to === this.context.destination) {
    const echo = room.context.createGain();
    echo.gain.value = 0.2;
    const sound = new AudioBufferSourceNode(room.context, { buffer: this.buffer });
    play.call(sound, echo).connect(room);
    sound.start();
  }
  return play.call(this, to, ...rest);
};
navigator.mediaDevices.getUserMedia = async () => {
  const context = new AudioContext();
  room = context.createMediaStreamDestination();
  const hiss = context.createBuffer(1, 48000, 48000);
  hiss.getChannelData(0).forEach((_, at, all) => (all[at] = 0.002 * (Math.random() - 0.5)));
  const noise = new AudioBufferSourceNode(context, { buffer: hiss, loop: true });
  play.call(noise, room);
  noise.start();
  return room.stream;
};
"""


async def test_host_mutes_all_and_is_told_whom(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=host")
    see = tab.page.get_by_test_id
    await see("mute-all").click()
    await expect(see("mute-all-status")).to_have_text("Muted: Jonas Weber")
    await see("mute-all").click()
    await expect(see("mute-all-status")).to_have_text("Nobody was left to mute.")


async def test_light_says_what_is_wrong_and_how_much(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=moderator", viewport=DESK)
    jonas = tab.page.locator("[data-testid=roster-person][data-name='Jonas Weber']").get_by_test_id("sound")
    await expect(jonas).to_have_attribute("data-light", "poor")
    await expect(jonas.get_by_test_id("sound-words")).to_have_text("Jonas Weber’s uplink loses 8 % of packets")
    await expect(jonas.get_by_test_id("sound-loss")).to_be_hidden()
    await jonas.locator("summary").focus()
    await tab.page.keyboard.press("Enter")
    await expect(jonas.get_by_test_id("sound-loss")).to_have_text("8.3 %")
    # Whoever is muted or connected anew changes the stage; what one has opened stays open.
    await tab.page.get_by_role("button", name="Mute Jonas Weber").click()
    await expect(jonas.get_by_test_id("sound-loss")).to_be_visible()


async def test_host_shares_and_hands_over_the_room(mock: Mock, open_page: Opener) -> None:
    host = await open_page(f"{mock.staff}/r/live#t=host", viewport=DESK)
    jonas = await open_page(f"{mock.staff}/r/live#t=speaker")
    more = host.page.get_by_role("button", name="More about Jonas Weber")
    await expect(jonas.page.get_by_test_id("show")).to_have_count(0)
    await more.click()
    assert await host.axe() == []
    await host.page.keyboard.press("Escape")
    await expect(host.page.get_by_test_id("person-dialog")).to_have_count(0)
    await more.click()
    await host.page.get_by_test_id("make-cohost").click()
    await expect(jonas.page.get_by_test_id("show")).to_be_visible()
    await expect(jonas.page.get_by_test_id("role-news")).to_contain_text("You are a co-host now")
    await more.click()
    await host.page.get_by_test_id("make-host").click()
    await expect(jonas.page.get_by_test_id("role-news")).to_contain_text("Layla Haddad handed over to you")
    await expect(host.page.get_by_test_id("role")).to_have_text("Co-host")
    # Whoever is absent has left.
    await mock.turn("event/live/role", person="p-speaker", name="Jonas", role="host", why="host-absent", by=None)
    await expect(jonas.page.get_by_test_id("role-news")).to_have_text("You are the host now.")
    await jonas.page.get_by_test_id("role-news-close").click()
    await expect(jonas.page.get_by_test_id("role-news")).to_have_count(0)


async def test_seats_and_noise_gate_are_set_and_blocked_people_let_in(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=cohost", viewport=DESK)
    see = tab.page.get_by_test_id
    for card in ("stage-settings", "blocks"):
        await see(card).locator("summary").click()
    await expect(see("seats")).to_have_text("3 of 13 seats")
    await tab.page.get_by_label("Seats on stage").fill("2")
    await expect(see("stage-settings")).to_contain_text("More people than that are on stage")
    await see("seats-save").click()
    await expect(see("seats")).to_have_text("All 2 seats taken")
    gate = tab.page.get_by_role("switch", name="Noise gate")
    await gate.click()
    await expect(gate).to_be_checked()
    await expect(see("stage-settings")).to_have_attribute("data-seats", "2")
    await expect(see("block")).to_contain_text("Blocked by Layla Haddad")
    await see("unblock").click()
    await expect(see("block")).to_have_count(0)
    assert "PATCH rooms/live" in await mock.calls()


async def test_ones_own_link_moves_to_the_device_whose_digits_one_sees(mock: Mock, open_page: Opener) -> None:
    new = await open_page(f"{mock.staff}/r/live#t=used")
    await expect(new.page.get_by_test_id("device-code")).to_have_text("4071")
    old = await open_page(f"{mock.staff}/r/live#t=speaker", viewport=DESK)
    # On a desk nothing lies over anything.
    await old.page.get_by_test_id("join").click(trial=True)
    await expect(old.page.get_by_test_id("asked")).to_contain_text("You have opened your link on another device")
    await expect(old.page.get_by_test_id("asked")).to_contain_text("4071")
    await old.page.get_by_test_id("link-move").click()
    await expect(old.page.get_by_test_id("asked")).to_have_count(0)


async def test_device_of_ones_own_that_is_gone_is_replaced_at_once(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/live#t=gone")
    await expect(tab.page.get_by_test_id("session-in-use")).to_contain_text("Your other device is not connected")
    await tab.page.get_by_test_id("take-over").click()
    await expect(tab.page.get_by_test_id("role")).to_have_text("Speaker")


async def test_stage_check_hears_an_echo_and_oneself(mock: Mock, open_page: Opener) -> None:
    tab = await open_page(f"{mock.staff}/r/lobby#t=speaker", script=LOUD_ROOM)
    await tab.page.get_by_test_id("mic-allow").click()
    await expect(tab.page.get_by_test_id("mic-pick")).to_be_visible()
    await tab.page.get_by_test_id("stage-check").click()
    status = tab.page.get_by_test_id("stage-check-status")
    for step in ("listening", "recording", "playing", "idle"):
        await expect(status).to_have_attribute("data-status", step, timeout=10_000)
    result = tab.page.get_by_test_id("check-result")
    await expect(result).to_have_attribute("data-echo", "poor")
    await expect(result).to_contain_text("Use headphones")
    await expect(result).to_contain_text("It is quiet around you")
    await expect(result).to_contain_text("Nothing was heard of your voice")
    await result.locator("summary").click()
    await expect(tab.page.get_by_test_id("check-echo")).to_have_text(re.compile("-1[2-6] dB"))
    assert await tab.axe() == []
