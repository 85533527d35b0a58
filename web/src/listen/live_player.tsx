/** The card one listens with. */
import { useEffect } from "preact/hooks";
import type { RoomView } from "../api/types";
import { useI18n } from "../i18n/i18n";
import type { TextKey } from "../i18n/i18n";
import { useStore } from "../lib/store";
import type { Player, PlayerState } from "../player/player";
import { Icon } from "../ui/icons";
import { IconButton, Waves } from "../ui/parts";

function statusKey(state: PlayerState, room: RoomView): TextKey {
  switch (state.status) {
    case "idle":
      return "player.idle";
    case "playing":
      return room.on_air ? "player.playing" : "player.playing.hold";
    default:
      return `player.${state.status}`;
  }
}

function hintKey(room: RoomView, listening: boolean): TextKey | null {
  if (room.state === "held") return "room.held.tap";
  if (room.state === "lobby" && !listening) return "room.lobby.tap";
  return null;
}

interface Props {
  room: RoomView;
  player: Player;
  /** Begins to listen, by way of the door where there is one. */
  listen: () => void;
  stop: () => void;
  /** The door is being asked. */
  asking: boolean;
}

export function LivePlayer({ room, player, listen, stop, asking }: Props) {
  const { t, number } = useI18n();
  const state = useStore(player.store);
  const listening = asking || (state.status !== "idle" && state.status !== "blocked");
  const toggle = () => (listening ? stop() : listen());
  const hint = hintKey(room, listening);
  const blocks = room.delivery;
  useLockScreen(room, player, listening);
  return (
    <section class={`card player player-${room.state}`} aria-label={t("player.region")} data-testid="player">
      <p class="player-head" data-testid="room-text">
        {t(room.state === "lobby" ? "room.lobby.text" : room.state === "held" ? "room.held.text" : "room.live.text")}
      </p>
      <div class="player-main">
        <button
          type="button"
          class={`listen ${listening ? "listen-on" : ""}`}
          onClick={toggle}
          aria-label={listening ? t("player.stop") : t("player.listen")}
          data-testid={listening ? "stop-listening" : "listen"}
        >
          <Icon name={listening ? "stop" : "play"} size={40} />
        </button>
        <div class="player-words">
          <p class="player-action" aria-hidden="true">
            {listening ? <Waves moving={state.status === "playing"} /> : t("player.listen")}
          </p>
          <p role="status" data-testid="player-status" data-status={state.status}>
            {t(asking ? "player.connecting" : statusKey(state, room))}
          </p>
        </div>
      </div>
      {hint && <p class="hint">{t(hint)}</p>}
      {blocks && blocks.block_steps > 1 && (
        <p class="hint" data-testid="delivery" data-block-steps={blocks.block_steps}>
          {t("player.blocks", { seconds: number(blocks.block_s, 1) })}
        </p>
      )}
      <Volume player={player} state={state} />
      <Details state={state} room={room} />
    </section>
  );
}

function Volume({ player, state }: { player: Player; state: PlayerState }) {
  const { t } = useI18n();
  return (
    <div class="volume">
      <IconButton
        icon={state.muted || state.volume === 0 ? "silent" : "volume"}
        label={state.muted ? t("player.unmute") : t("player.mute")}
        onClick={() => player.setMuted(!state.muted)}
        testid="mute-sound"
      />
      <input
        type="range"
        min="0"
        max="1"
        step="0.05"
        value={state.muted ? 0 : state.volume}
        aria-label={t("player.volume")}
        onInput={(event) => player.setVolume(event.currentTarget.valueAsNumber)}
        data-testid="volume"
      />
    </div>
  );
}

function Details({ state, room }: { state: PlayerState; room: RoomView }) {
  const { t, number } = useI18n();
  const seconds = (value: number | null) =>
    value === null ? t("player.unknown") : t("player.latency.value", { seconds: number(value, 1) });
  return (
    <details class="details" data-testid="details">
      <summary>{t("player.details")}</summary>
      <dl>
        <Figure
          name={t("player.transport")}
          value={state.transport ? t(`player.transport.${state.transport}`) : t("player.unknown")}
          testid="transport"
        />
        <Figure name={t("player.codec")} value={state.codec?.toUpperCase() ?? t("player.unknown")} testid="codec" />
        <Figure name={t("player.latency")} value={seconds(state.latencyS)} testid="latency" />
        <Figure name={t("player.buffer")} value={seconds(state.bufferedS)} testid="buffered" />
        <Figure name={t("player.stalls")} value={number(state.stalls)} testid="stalls" />
      </dl>
      <p>
        <b>{t("player.other")}</b>
      </p>
      <p class="hint">{t("player.other.text")}</p>
      <p class="row">
        <a href={room.streams.listen.mp3}>{t("player.other.mp3")}</a>
        <a href={room.streams.hls}>{t("player.other.hls")}</a>
      </p>
    </details>
  );
}

function Figure({ name, value, testid }: { name: string; value: string; testid: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd data-testid={testid}>{value}</dd>
    </div>
  );
}

/** Says on the lock screen what is on, with its buttons. */
function useLockScreen(room: RoomView, player: Player, listening: boolean): void {
  const names = room.people.map((person) => person.name).join(" · ");
  useEffect(() => {
    if (!("mediaSession" in navigator) || !listening) return;
    navigator.mediaSession.metadata = new MediaMetadata({ title: room.title, artist: names });
    navigator.mediaSession.setActionHandler("stop", () => player.stop());
    navigator.mediaSession.setActionHandler("pause", () => player.stop());
    return () => {
      navigator.mediaSession.metadata = null;
    };
  }, [room.title, names, player, listening]);
}
