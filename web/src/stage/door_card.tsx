/** The door's dials: how many may listen and come in, what that does before it is done, and who is in and waits. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Dials, Door, DoorForecast, DoorPreview, InstallationDoor } from "../api/types";
import { useI18n, type I18n, type TextKey } from "../i18n/i18n";
import { Button } from "../ui/parts";
import type { StaffApi } from "./api";
import { CAP_STOPS, indexOf, RATE_STOPS, typed, valueAt } from "./door_dials";
import { useAction } from "./use_action";

const LOOK_MS = 300;
const POLL_MS = 2_000;
const RATE_LEAST = 0.1;

interface DoorApi {
  turn(dials: Dials): Promise<Door>;
  preview(dials: Dials): Promise<DoorPreview>;
}

/** A room's door; `door` follows the room's events. */
export function RoomDoorCard({ api, room, door }: { api: StaffApi; room: string; door: Door }) {
  const of: DoorApi = {
    turn: (dials) => api.turnDoor(room, dials),
    preview: (dials) => api.previewDoor(room, dials),
  };
  return <DoorCard of={of} door={door} all={false} />;
}

/** The door over all rooms, for operators. */
export function InstallationDoorCard({ api }: { api: StaffApi }) {
  const [door, setDoor] = useState<InstallationDoor | null>(null);
  useEffect(() => {
    const refresh = () =>
      api.installationDoor().then(setDoor, () => {
        // The page says itself that the server is away; the last figures stay meanwhile.
      });
    void refresh();
    const timer = setInterval(() => void refresh(), POLL_MS);
    return () => clearInterval(timer);
  }, [api]);
  if (!door) return null;
  const of: DoorApi = {
    turn: async (dials) => {
      const turned = await api.turnInstallationDoor(dials);
      setDoor(turned);
      return turned;
    },
    preview: (dials) => api.previewInstallationDoor(dials),
  };
  return <DoorCard of={of} door={door} all rooms={door.rooms} />;
}

interface Props {
  of: DoorApi;
  door: Door;
  all: boolean;
  rooms?: InstallationDoor["rooms"];
}

function DoorCard({ of, door, all, rooms = [] }: Props) {
  const { t } = useI18n();
  const { act, busy, problem } = useAction();
  const [given, setGiven] = useState<{ cap: string; rate: string } | null>(null);
  const wanted = given ? dialsOf(given.cap, given.rate) : { cap: door.cap, per_second: door.per_second };
  const changed = wanted !== null && (wanted.cap !== door.cap || wanted.per_second !== door.per_second);
  const preview = usePreview(of, changed ? wanted : null);
  const fields = given ?? { cap: shown(door.cap), rate: shown(door.per_second) };
  const apply = () =>
    act(async () => {
      if (!wanted) return;
      await of.turn(wanted);
      setGiven(null);
    });
  return (
    <section
      class="card door"
      aria-labelledby={all ? "door-all" : "door"}
      data-testid="door"
      data-guarded={door.guarded}
    >
      <h2 id={all ? "door-all" : "door"}>{t(all ? "door.title.all" : "door.title")}</h2>
      <p class="hint">{t(all ? "door.lead.all" : "door.lead")}</p>
      <Facts door={door} />
      <HeldLower door={door} />
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          apply();
        }}
      >
        <Dial
          name="cap"
          label={t("door.cap")}
          slider={t("door.slider.cap")}
          text={fields.cap}
          stops={CAP_STOPS}
          onText={(cap) => setGiven({ ...fields, cap })}
        />
        <Dial
          name="rate"
          label={t("door.rate")}
          slider={t("door.slider.rate")}
          text={fields.rate}
          stops={RATE_STOPS}
          onText={(rate) => setGiven({ ...fields, rate })}
        />
        <div class="door-effect" data-testid="door-effect" data-preview={changed}>
          <h3>{t(changed ? "door.effect" : "door.effect.now")}</h3>
          <Effect
            door={door}
            dials={wanted ?? door}
            force={preview?.in_force ?? door.in_force ?? door}
            forecast={preview?.forecast ?? door.forecast}
            known={!changed || preview !== null}
          />
        </div>
        <div class="row">
          <Button type="submit" kind="primary" disabled={busy || !changed} testid="door-apply">
            {t("door.apply")}
          </Button>
          {given && (
            <Button onClick={() => setGiven(null)} testid="door-reset">
              {t("door.reset")}
            </Button>
          )}
        </div>
      </form>
      {problem && (
        <p class="notice" role="alert" data-testid="door-problem">
          {problem}
        </p>
      )}
      {rooms.length > 0 && <Rooms rooms={rooms} />}
    </section>
  );
}

function shown(value: number | null): string {
  return value === null ? "" : String(value);
}

/** The dials as typed; null while they are no numbers. */
function dialsOf(capText: string, rateText: string): Dials | null {
  const [cap, rate] = [typed(capText, true), typed(rateText, false)];
  if (cap === undefined || rate === undefined || (rate !== null && rate < RATE_LEAST)) return null;
  return { cap, per_second: rate };
}

/** What dials would do, asked a moment after they were last touched. */
function usePreview(of: DoorApi, dials: Dials | null): DoorPreview | null {
  const [seen, setSeen] = useState<{ key: string; preview: DoorPreview } | null>(null);
  const key = dials ? JSON.stringify(dials) : "";
  const newest = useRef(key);
  newest.current = key;
  useEffect(() => {
    if (!dials) return;
    const timer = setTimeout(() => {
      of.preview(dials).then(
        (preview) => newest.current === key && setSeen({ key, preview }),
        () => {
          // Turning them says what is wrong.
        },
      );
    }, LOOK_MS);
    return () => clearTimeout(timer);
  }, [key]);
  return seen?.key === key ? seen.preview : null;
}

interface DialProps {
  name: "cap" | "rate";
  label: string;
  slider: string;
  text: string;
  stops: readonly number[];
  onText: (text: string) => void;
}

/** A field for any number, and a slider over round ones. */
function Dial({ name, label, slider, text, stops, onText }: DialProps) {
  const { t, number } = useI18n();
  const value = typed(text, name === "cap");
  const words = value === null || value === undefined ? t("door.none") : number(value, Number.isInteger(value) ? 0 : 1);
  return (
    <div class="dial">
      <label class="field">
        <span>{label}</span>
        <input
          inputMode={name === "cap" ? "numeric" : "decimal"}
          autocomplete="off"
          dir="ltr"
          value={text}
          placeholder={t("door.none")}
          aria-invalid={value === undefined}
          onInput={(event) => onText(event.currentTarget.value)}
          data-testid={`door-${name}`}
        />
      </label>
      <input
        type="range"
        min="0"
        max={stops.length}
        step="1"
        value={indexOf(stops, value ?? null)}
        aria-label={slider}
        aria-valuetext={words}
        onInput={(event) => onText(shown(valueAt(stops, event.currentTarget.valueAsNumber)))}
        data-testid={`door-${name}-slider`}
      />
    </div>
  );
}

function Facts({ door }: { door: Door }) {
  const { t, number } = useI18n();
  if (!door.guarded) {
    return (
      <p data-testid="door-open" data-inside={door.inside}>
        {t("door.open")}
      </p>
    );
  }
  const cap = (door.in_force ?? door).cap;
  const rate = (value: number) => t("door.per-second", { rate: number(value, value % 1 && value < 10 ? 1 : 0) });
  const inside = cap === null ? number(door.inside) : t("door.inside.of", { inside: door.inside, cap });
  const facts: [string, string, string, string?][] = [
    ["inside", t("door.inside"), inside],
    ["waiting", t("door.waiting"), number(door.waiting)],
    ["admitted", t("door.admitted"), rate(door.admitted_per_s)],
    ["leaving", t("door.leaving"), rate(door.leaving_per_s)],
  ];
  if (door.held > 0) facts.push(["held", t("door.held"), number(door.held), t("door.held.hint")]);
  if (door.overflow > 0) facts.push(["overflow", t("door.overflow"), number(door.overflow), t("door.overflow.hint")]);
  return (
    <dl class="crowd-facts" data-inside={door.inside} data-waiting={door.waiting} data-testid="door-facts">
      {facts.map(([name, term, fact, hint]) => (
        <div key={name}>
          <dt>{term}</dt>
          <dd data-testid={`door-${name}-now`}>{fact}</dd>
          {hint && <dd class="hint">{hint}</dd>}
        </div>
      ))}
    </dl>
  );
}

/** Somebody else holds a dial lower than this one. */
function HeldLower({ door }: { door: Door }) {
  const { t, number } = useI18n();
  const force = door.in_force;
  if (!force) return null;
  const lines: [string, TextKey, string][] = [];
  if (force.cap_by) lines.push(["cap", `door.by.${force.cap_by}`, number(force.cap ?? 0)]);
  if (force.per_second_by) {
    const rate = force.per_second ?? 0;
    const value = t("door.per-second", { rate: number(rate, rate % 1 ? 1 : 0) });
    lines.push(["rate", `door.by.${force.per_second_by}`, value]);
  }
  return (
    <>
      {lines.map(([name, key, value]) => (
        <p key={name} class="notice" data-testid={`door-${name}-held`}>
          {t(key, { value })}
        </p>
      ))}
    </>
  );
}

interface EffectProps {
  door: Door;
  dials: Dials;
  force: Dials;
  forecast: DoorForecast;
  /** False until the server has said what these dials would do. */
  known: boolean;
}

function Effect({ door, dials, force, forecast, known }: EffectProps) {
  const i18n = useI18n();
  return (
    <>
      <p role="status" data-testid="door-effect-words" data-known={known}>
        {known ? effectWords(i18n, door, dials, force, forecast) : i18n.t("app.loading")}
      </p>
      {known && <Plot perMinute={forecast.per_minute} />}
    </>
  );
}

function effectWords(i18n: I18n, door: Door, dials: Dials, force: Dials, forecast: DoorForecast): string {
  const { t, number } = i18n;
  const { waiting, free } = forecast;
  const words: string[] = [];
  const { cap, per_second: rate } = force;
  if (cap !== null && door.inside > cap) {
    words.push(t("door.effect.over", { inside: door.inside, over: door.inside - cap + (waiting > 0 ? 1 : 0) }));
  }
  const last = forecast.last_enters_in_s;
  if (waiting > 0 && last !== null) {
    const values = { waiting, time: clock(i18n, forecast.last_enters_at), away: away(i18n, last) };
    words.push(
      rate === null
        ? t("door.effect.last", values)
        : t("door.effect.last.rate", { ...values, rate: number(rate, rate % 1 ? 1 : 0) }),
    );
  } else if (waiting > 0) words.push(t("door.effect.leave", { waiting }));
  else if (dials.cap === null && dials.per_second === null && cap === null && rate === null) {
    words.push(t("door.effect.open"));
  } else if (free !== null && free > 0) words.push(t("door.effect.free", { free }));
  else if (words.length === 0) words.push(t("door.effect.nobody"));
  return words.join(" ");
}

function clock(i18n: I18n, at: string | null): string {
  return new Intl.DateTimeFormat(i18n.language, { hour: "numeric", minute: "2-digit" }).format(Date.parse(at ?? ""));
}

function away(i18n: I18n, seconds: number): string {
  const [unit, value] = seconds < 120 ? ["second", seconds] : ["minute", Math.round(seconds / 60)];
  return new Intl.NumberFormat(i18n.language, { style: "unit", unit: String(unit), unitDisplay: "long" }).format(
    Number(value),
  );
}

/** Bars: how many come in, in each minute. Time runs as one reads. */
function Plot({ perMinute }: { perMinute: readonly number[] }) {
  const { t, number } = useI18n();
  const minutes = perMinute.length;
  if (minutes === 0) return null;
  const most = Math.max(1, ...perMinute);
  const label = t("door.plot", { first: perMinute[0] ?? 0, most, minutes });
  return (
    <figure class="door-plot">
      <figcaption>{t("door.plot.title")}</figcaption>
      <div class="door-bars" role="img" aria-label={label} data-testid="door-plot" data-minutes={minutes}>
        {perMinute.map((count, at) => (
          <i key={at} style={{ blockSize: `${(count / most) * 100}%` }} title={number(count)} />
        ))}
      </div>
      <p aria-hidden="true">
        <span>{t("door.plot.now")}</span>
        <span>{t("door.plot.end", { minutes })}</span>
      </p>
    </figure>
  );
}

function Rooms({ rooms }: { rooms: InstallationDoor["rooms"] }) {
  const { t, number } = useI18n();
  return (
    <>
      <h3>{t("door.rooms")}</h3>
      <ul class="door-rooms" data-testid="door-rooms">
        {rooms.map((room) => (
          <li key={room.room}>
            <a href={`/r/${room.room}`}>
              <bdi>{room.room}</bdi>
            </a>
            <span>{`${t("door.inside")} ${number(room.inside)} · ${t("door.waiting")} ${number(room.waiting)}`}</span>
          </li>
        ))}
      </ul>
    </>
  );
}
