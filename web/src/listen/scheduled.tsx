/** Before the doors open: when it begins, here and there, and how not to miss it. */
import { useEffect, useState } from "preact/hooks";
import type { RoomView } from "../api/types";
import { useI18n } from "../i18n/i18n";
import type { PluralKey } from "../i18n/i18n";
import { calendar, download } from "../lib/ics";
import { knownZone, localZone, remaining, type Remaining, sameClock } from "../lib/time";
import { Button } from "../ui/parts";

const HOUR_MS = 3_600_000;
const UNITS: { unit: keyof Remaining; key: PluralKey }[] = [
  { unit: "days", key: "room.countdown.days" },
  { unit: "hours", key: "room.countdown.hours" },
  { unit: "minutes", key: "room.countdown.minutes" },
  { unit: "seconds", key: "room.countdown.seconds" },
];

interface Props {
  room: RoomView;
  now: () => number;
  autostart: boolean;
  setAutostart: (on: boolean) => void;
  /** There is a door, at which one may stand in line already: `queue` does; null for who stands there. */
  guarded: boolean;
  queue: (() => void) | null;
}

export function Scheduled({ room, now, autostart, setAutostart, guarded, queue }: Props) {
  const { t } = useI18n();
  const start = room.planned_start ? Date.parse(room.planned_start) : null;
  return (
    <section class="card scheduled" data-testid="scheduled">
      {start === null ? (
        <p>{room.state === "draft" ? t("room.draft.text") : t("room.start.unset")}</p>
      ) : (
        <>
          <Countdown at={start} now={now} />
          <Times at={start} zone={knownZone(room.time_zone)} />
          <div class="row">
            <Button icon="calendar" onClick={() => saveDate(room, start, now())} testid="add-to-calendar">
              {t("room.calendar")}
            </Button>
            <span class="hint">{t("room.calendar.hint")}</span>
          </div>
        </>
      )}
      {queue && (
        <>
          <p class="hint">{t("line.early")}</p>
          <div class="row">
            <Button kind="primary" icon="people" onClick={queue} testid="line-early">
              {t("line.early.join")}
            </Button>
          </div>
        </>
      )}
      {!guarded && (
        <label class="switch">
          <input
            type="checkbox"
            role="switch"
            checked={autostart}
            onChange={(event) => setAutostart(event.currentTarget.checked)}
            data-testid="autostart"
          />
          <span>
            {t("room.autostart")}
            <small>{t("room.autostart.hint")}</small>
          </span>
        </label>
      )}
    </section>
  );
}

function Countdown({ at, now }: { at: number; now: () => number }) {
  const { t, n, number } = useI18n();
  const [left, setLeft] = useState(() => remaining(at, now()));
  useEffect(() => {
    const tick = () => setLeft(remaining(at, now()));
    tick();
    const timer = setInterval(tick, 1_000);
    return () => clearInterval(timer);
  }, [at, now]);
  if (UNITS.every(({ unit }) => left[unit] === 0)) return <p class="due">{t("room.countdown.due")}</p>;
  return (
    <div class="countdown" role="timer" aria-label={t("room.countdown")} data-testid="countdown">
      {UNITS.filter(({ unit }) => unit !== "days" || left.days > 0).map(({ unit, key }) => (
        <span class="countdown-unit" key={unit}>
          <b>{number(left[unit])}</b>
          <small>{n(key, left[unit])}</small>
        </span>
      ))}
    </div>
  );
}

function Times({ at, zone }: { at: number; zone: string | null }) {
  const { t, moment } = useI18n();
  const here = localZone();
  return (
    <dl class="times">
      <div>
        <dt>{t("room.start.your")}</dt>
        <dd data-testid="start-here">{moment(at, here)}</dd>
      </div>
      {zone && !sameClock(at, zone, here) && (
        <div>
          <dt>{t("room.start.event")}</dt>
          <dd data-testid="start-there">{moment(at, zone)}</dd>
        </div>
      )}
    </dl>
  );
}

/** Hands the room's beginning to the browser as a file for calendars. */
export function saveDate(room: RoomView, startMs: number, stampMs: number): void {
  const { origin, host } = window.location;
  const text = calendar({
    uid: `${room.room}@${host}`,
    title: room.title,
    description: room.description,
    url: `${origin}/r/${room.room}`,
    startMs,
    durationMs: HOUR_MS,
    stampMs,
  });
  download(`${room.room}.ics`, "text/calendar;charset=utf-8", text);
}
