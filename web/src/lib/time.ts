/** Wall times in time zones, and countdowns. */

export interface Remaining {
  days: number;
  hours: number;
  minutes: number;
  seconds: number;
}

/** Splits the time until `at` (Unix ms); zeros once it has passed. */
export function remaining(at: number, now: number): Remaining {
  const total = Math.max(0, Math.ceil((at - now) / 1000));
  return {
    days: Math.floor(total / 86_400),
    hours: Math.floor(total / 3600) % 24,
    minutes: Math.floor(total / 60) % 60,
    seconds: total % 60,
  };
}

export function localZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/** Returns `zone` if this browser knows it, else null. */
export function knownZone(zone: string | null): string | null {
  if (!zone) return null;
  try {
    Intl.DateTimeFormat("en", { timeZone: zone });
    return zone;
  } catch {
    return null;
  }
}

/** Returns how far the zone's wall clock is ahead of UTC at an instant, in ms. */
function offsetMs(instant: number, zone: string): number {
  const parts = Intl.DateTimeFormat("en-u-ca-gregory-nu-latn", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(instant);
  const of = (type: string) => Number(parts.find((part) => part.type === type)?.value ?? 0);
  const wall = Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"), of("second"));
  return wall - Math.floor(instant / 1000) * 1000;
}

/** Two zones show the same wall clock at this instant. */
export function sameClock(instant: number, one: string, other: string): boolean {
  return offsetMs(instant, one) === offsetMs(instant, other);
}

/** `2026-11-22T20:00` on the zone's wall clock as Unix ms; null if it is no such text. */
export function instantOf(wall: string, zone: string): number | null {
  const found = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)/.exec(wall);
  if (!found) return null;
  const [year, month, day, hour, minute] = found.slice(1).map(Number) as [number, number, number, number, number];
  const naive = Date.UTC(year, month - 1, day, hour, minute);
  const guess = naive - offsetMs(naive, zone);
  return naive - offsetMs(guess, zone);
}

/** Unix ms as `2026-11-22T20:00` on the zone's wall clock, for `<input type=datetime-local>`. */
export function wallOf(instant: number, zone: string): string {
  return new Date(instant + offsetMs(instant, zone)).toISOString().slice(0, 16);
}

/** Seconds as `1:02:03` or `2:03`, digits of the locale. */
export function clockText(seconds: number, locale: string): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = new Intl.NumberFormat(locale, { minimumIntegerDigits: 2, useGrouping: false });
  const one = new Intl.NumberFormat(locale, { useGrouping: false });
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const tail = `${(hours ? two : one).format(minutes)}:${two.format(whole % 60)}`;
  return hours ? `${one.format(hours)}:${tail}` : tail;
}
