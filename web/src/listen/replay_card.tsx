/** The recording, at the same address. */
import { useEffect, useMemo } from "preact/hooks";
import type { Replay, RoomView } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { useStore } from "../lib/store";
import { clockText } from "../lib/time";
import type { Player } from "../player/player";
import { ReplayPlayer, type ReplayState } from "../player/replay";
import { Icon } from "../ui/icons";
import { exposeReplay } from "./test_state";

const RATES = [0.75, 1, 1.25, 1.5, 2];
const BACK_S = 15;
const FORWARD_S = 30;
const FORMATS = ["m4a", "opus", "mp3"] as const;

function useReplay(player: Player, replay: Replay): ReplayPlayer {
  const made = useMemo(() => new ReplayPlayer(player.audio, replay), [player, replay.hls]);
  useEffect(() => exposeReplay(made), [made]);
  // Length and files become final a little after the end.
  useEffect(() => made.update(replay), [made, replay]);
  return made;
}

export function ReplayCard({ room, replay, player }: { room: RoomView; replay: Replay; player: Player }) {
  const { t, n, number, day } = useI18n();
  const playback = useReplay(player, replay);
  const state = useStore(playback.store);
  const running = state.status === "playing" || state.status === "loading";
  return (
    <section class="card player" aria-label={t("replay.region")} data-testid="replay">
      {room.started_at && <p class="hint">{t("room.replay.at", { when: day(Date.parse(room.started_at)) })}</p>}
      {/* Sound runs from left to right in every language. */}
      <div class="replay-buttons" dir="ltr">
        <button
          type="button"
          class="jump"
          onClick={() => playback.seek(state.position - BACK_S)}
          aria-label={n("replay.back", BACK_S)}
        >
          <Icon name="back" size={38} />
          <small>{number(BACK_S)}</small>
        </button>
        <button
          type="button"
          class={`listen ${running ? "listen-on" : ""}`}
          onClick={() => playback.toggle()}
          aria-label={running ? t("replay.pause") : t("replay.play")}
          data-testid="replay-toggle"
          data-status={state.status}
        >
          <Icon name={running ? "pause" : "play"} size={40} />
        </button>
        <button
          type="button"
          class="jump"
          onClick={() => playback.seek(state.position + FORWARD_S)}
          aria-label={n("replay.forward", FORWARD_S)}
        >
          <Icon name="forward" size={38} />
          <small>{number(FORWARD_S)}</small>
        </button>
      </div>
      <SeekBar playback={playback} state={state} replay={replay} />
      <Options playback={playback} state={state} replay={replay} />
      {state.status === "failed" && (
        <p class="notice" role="status">
          {t("replay.failed")}
        </p>
      )}
      <Downloads room={room} replay={replay} />
    </section>
  );
}

function SeekBar({ playback, state, replay }: { playback: ReplayPlayer; state: ReplayState; replay: Replay }) {
  const { t, language } = useI18n();
  const clock = (seconds: number) => clockText(seconds, language);
  const share = (seconds: number) => `${(100 * seconds) / Math.max(1, state.duration)}%`;
  const told = t("replay.position.value", { position: clock(state.position), duration: clock(state.duration) });
  return (
    <div class="seek" dir="ltr">
      <div class="seek-track">
        {replay.holds.map((hold) => (
          <span
            key={hold.start_s}
            class="seek-hold"
            data-testid="hold"
            title={t("replay.hold", { start: clock(hold.start_s), end: clock(hold.end_s) })}
            style={{ insetInlineStart: share(hold.start_s), inlineSize: share(hold.end_s - hold.start_s) }}
          />
        ))}
        <input
          type="range"
          min="0"
          max={Math.floor(state.duration)}
          step="1"
          value={Math.floor(state.position)}
          aria-label={t("replay.position")}
          aria-valuetext={told}
          onChange={(event) => playback.seek(event.currentTarget.valueAsNumber)}
          data-testid="seek"
        />
      </div>
      <div class="seek-times" aria-hidden="true">
        <span data-testid="replay-position">{clock(state.position)}</span>
        <span>{clock(state.duration)}</span>
      </div>
    </div>
  );
}

function Options({ playback, state, replay }: { playback: ReplayPlayer; state: ReplayState; replay: Replay }) {
  const { t, n, number } = useI18n();
  return (
    <div class="row replay-options">
      <label class="field-inline">
        {t("replay.rate")}
        <select
          value={String(state.rate)}
          onChange={(event) => playback.setRate(Number(event.currentTarget.value))}
          data-testid="replay-rate"
        >
          {RATES.map((rate) => (
            <option key={rate} value={String(rate)}>
              {t("replay.rate.value", { rate: number(rate, rate % 1 ? 2 : 0) })}
            </option>
          ))}
        </select>
      </label>
      {replay.holds.length > 0 && (
        <label class="switch">
          <input
            type="checkbox"
            role="switch"
            checked={state.skipHolds}
            onChange={(event) => playback.setSkipHolds(event.currentTarget.checked)}
            data-testid="skip-holds"
          />
          <span>{n("replay.holds", replay.holds.length)}</span>
        </label>
      )}
    </div>
  );
}

function Downloads({ room, replay }: { room: RoomView; replay: Replay }) {
  const { t } = useI18n();
  return (
    <div class="downloads">
      <h2>{t("replay.download")}</h2>
      <ul>
        {FORMATS.filter((format) => replay.recordings[format]).map((format) => (
          <li key={format}>
            <a
              class="button button-plain"
              href={replay.recordings[format]}
              download={`${room.room}.${format}`}
              data-testid={`download-${format}`}
            >
              <Icon name="download" size={20} />
              {t(`replay.download.${format}`)}
            </a>
            <small>{t(`replay.download.${format}.hint`)}</small>
          </li>
        ))}
      </ul>
    </div>
  );
}
