/** Standing in line: one's place, how long it may take and why, and what one can do meanwhile. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { RoomView } from "../api/types";
import { useI18n, type I18n, type TextKey } from "../i18n/i18n";
import { useStore } from "../lib/store";
import type { Player } from "../player/player";
import { heldTicket } from "../player/ticket";
import { Icon } from "../ui/icons";
import { Button } from "../ui/parts";
import type { LineState, PlaceInLine } from "./line";
import { canRemind, remind } from "./reminder";
import { ReplayCard } from "./replay_card";
import { saveDate } from "./scheduled";

/** Screen readers are told again after so long, or when the place has halved, or when the reason is another. */
const SAY_AGAIN_MS = 120_000;
const MINUTE_S = 60;
/** A turn that is so far away is worth a line in a calendar. */
const FAR_S = 900;
const MOST_MINUTES = 90;

interface Props {
  room: RoomView;
  line: PlaceInLine;
  player: Player;
  now: () => number;
}

export function LineCard({ room, line, player, now }: Props) {
  const state = useStore(line.store);
  if (state.status === "elsewhere") return <Elsewhere room={room} line={line} player={player} />;
  if (state.status !== "waiting") return null;
  return (
    <>
      <Waiting room={room} line={line} player={player} now={now} state={state} />
      {state.replay && <ReplayCard room={room} replay={state.replay} player={player} />}
    </>
  );
}

function Waiting({ room, line, player, now, state }: Props & { state: LineState }) {
  const i18n = useI18n();
  const { t, number } = i18n;
  const { position, because, away } = state;
  const early = because === "doors-closed";
  return (
    <section
      class="card line"
      aria-labelledby="line-title"
      data-testid="line"
      data-position={position ?? ""}
      data-because={because ?? ""}
      data-away={away}
    >
      <h2 id="line-title">{t(early ? "line.title.early" : "line.title")}</h2>
      {!early && (
        <dl class="line-place">
          <div>
            <dt>{t("line.place")}</dt>
            <dd data-testid="line-place">{position === null ? "…" : number(position)}</dd>
          </div>
          <div>
            <dt>{t("line.wait")}</dt>
            <dd data-testid="line-wait">{waitWords(i18n, state.waitS)}</dd>
          </div>
        </dl>
      )}
      {because && (
        <p class="line-because" data-testid="line-because">
          {t(`line.because.${because}`)}
        </p>
      )}
      {away && (
        <p class="notice" data-testid="line-away">
          {t("line.away")}
        </p>
      )}
      <Said state={state} />
      {state.untouched && (
        <Button
          kind="primary"
          icon="volume"
          onClick={() => {
            player.hold();
            line.touched();
          }}
          testid="line-touch"
        >
          {t("line.touch")}
        </Button>
      )}
      <p class="hint">{t(early ? "line.hint.early" : "line.hint")}</p>
      <Meanwhile room={room} line={line} player={player} now={now} state={state} />
      <div class="row line-foot">
        <Button icon="leave" onClick={() => leave(line, player)} testid="line-leave">
          {t("line.leave")}
        </Button>
        <NextAsk at={state.nextMs} />
      </div>
    </section>
  );
}

function leave(line: PlaceInLine, player: Player): void {
  line.leave();
  player.stop();
}

/** What one hears and sees without being in: who speaks, the way through caches, reminders. */
function Meanwhile({ room, player, now, state }: Props & { state: LineState }) {
  const { t } = useI18n();
  const { status } = useStore(player.store);
  const speaking = room.people.filter((person) => person.speaking).map((person) => person.name);
  const { overflow } = state;
  const listens = player.active && status !== "blocked";
  const turnMs = state.waitS && state.waitS[0] >= FAR_S ? now() + state.waitS[0] * 1_000 : null;
  return (
    <div class="line-meanwhile">
      <h3>{t("line.meanwhile")}</h3>
      {room.on_air && (
        <p data-testid="line-speaking">
          {speaking.length > 0 ? t("line.speaking", { names: speaking.join(" · ") }) : t("line.on-air")}
        </p>
      )}
      {overflow && (
        <div class="line-overflow">
          <Button
            kind={listens ? "plain" : "primary"}
            icon={listens ? "stop" : "headphones"}
            onClick={() => (listens ? player.hold() : player.playThroughCaches(room.streams, overflow))}
            testid="line-overflow"
            pressed={listens}
          >
            {t(listens ? "line.overflow.stop" : "line.overflow")}
          </Button>
          <p class="hint">{t("line.overflow.hint")}</p>
        </div>
      )}
      <div class="row">
        {canRemind() && <Remind room={room} />}
        {turnMs !== null && (
          <Button icon="calendar" onClick={() => saveDate(room, turnMs, now())} testid="line-calendar">
            {t("line.calendar")}
          </Button>
        )}
      </div>
    </div>
  );
}

function Remind({ room }: { room: RoomView }) {
  const { t } = useI18n();
  const [state, setState] = useState(() => remind.state(room.room));
  const ask = () => void remind.ask(room.room).then(setState);
  if (state === "denied") return <p class="hint">{t("line.remind.denied")}</p>;
  return (
    <Button icon={state === "on" ? "check" : "bell"} onClick={ask} disabled={state === "on"} testid="line-remind">
      {t(state === "on" ? "line.remind.on" : "line.remind")}
    </Button>
  );
}

/** When it is asked again; not for screen readers, whom each second would disturb. */
function NextAsk({ at }: { at: number | null }) {
  const { t } = useI18n();
  const [, redraw] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => redraw((n) => n + 1), 1_000);
    return () => clearInterval(timer);
  }, []);
  const seconds = at === null ? 0 : Math.ceil((at - performance.now()) / 1_000);
  return (
    <span class="hint line-next" aria-hidden="true">
      {seconds > 0 ? t("line.next", { seconds }) : t("line.asking")}
    </span>
  );
}

/** Says one's place to screen readers, now and then. */
function Said({ state }: { state: LineState }) {
  const i18n = useI18n();
  const { position, because, away } = state;
  const last = useRef({ atMs: Number.NEGATIVE_INFINITY, position: Infinity, because: "", text: "" });
  const reason = away ? "away" : (because ?? "");
  const closer = position !== null && position <= last.current.position / 2;
  const due = performance.now() - last.current.atMs > SAY_AGAIN_MS;
  if (closer || due || reason !== last.current.because) {
    const text = saidWords(i18n, state);
    last.current = { atMs: performance.now(), position: position ?? Infinity, because: reason, text };
  }
  return (
    <p class="visually-hidden" role="status" data-testid="line-said">
      {last.current.text}
    </p>
  );
}

function saidWords(i18n: I18n, { position, waitS, because, away }: LineState): string {
  const { t, number } = i18n;
  const said = position === null ? "" : t("line.said", { place: number(position) });
  const wait = waitS ? t("line.said.wait", { wait: waitWords(i18n, waitS) }) : "";
  const why: TextKey | null = away ? "line.away" : because ? `line.because.${because}` : null;
  return [said, wait, why ? t(why) : ""].join(" ").trim();
}

/** A range of seconds in words; the further away, the rounder. */
export function waitWords(i18n: I18n, range: readonly [number, number] | null): string {
  if (!range) return i18n.t("line.wait.unknown");
  const [low, high] = range;
  if (high <= MINUTE_S) return i18n.t("line.wait.moment");
  const inMinutes = high <= MOST_MINUTES * MINUTE_S;
  const [unit, size] = inMinutes ? (["minute", MINUTE_S] as const) : (["hour", 60 * MINUTE_S] as const);
  const digits = inMinutes ? 0 : 1;
  const rounded = (seconds: number) => Math.max(inMinutes ? 1 : 0.5, Number((seconds / size).toFixed(digits)));
  const format = new Intl.NumberFormat(i18n.language, { style: "unit", unit, unitDisplay: "long" });
  const [least, most] = [rounded(low), rounded(high)];
  const words =
    least === most || typeof format.formatRange !== "function" ? format.format(most) : format.formatRange(least, most);
  return i18n.t("line.wait.about", { time: words });
}

function Elsewhere({ room, line, player }: Omit<Props, "now">) {
  const { t } = useI18n();
  const here = () => {
    const ticket = heldTicket(room.room);
    line.leave();
    if (ticket) player.playHere(room.streams, ticket);
  };
  return (
    <section class="card line" aria-labelledby="elsewhere-title" data-testid="elsewhere" role="status">
      <h2 id="elsewhere-title">
        <Icon name="headphones" size={22} />
        {t("line.elsewhere")}
      </h2>
      <p>{t("line.elsewhere.text")}</p>
      <div class="row">
        <Button kind="primary" icon="headphones" onClick={here} testid="listen-here">
          {t("line.elsewhere.here")}
        </Button>
      </div>
    </section>
  );
}
