/** The stops of the door's sliders: round numbers, further apart the larger they are; the last is no limit. */

export const CAP_STOPS = stops(10, 1_000_000);
export const RATE_STOPS = stops(1, 10_000);

function stops(least: number, most: number): number[] {
  const all: number[] = [];
  for (let size = least; size <= most; size *= 10) all.push(size, size * 2, size * 3, size * 5);
  return all.filter((stop) => stop <= most);
}

/** The slider's position for a value; after the last stop stands no limit. */
export function indexOf(list: readonly number[], value: number | null): number {
  if (value === null) return list.length;
  const next = list.findIndex((stop) => stop >= value);
  return next < 0 ? list.length - 1 : next;
}

export function valueAt(list: readonly number[], index: number): number | null {
  return list[index] ?? null;
}

/** What somebody has typed: nothing is no limit (null); undefined: it is no such number. */
export function typed(text: string, whole: boolean): number | null | undefined {
  const plain = text
    .replace(/[٠-٩]/g, (digit) => String("٠١٢٣٤٥٦٧٨٩".indexOf(digit)))
    .replace(/[\s,٬_]/g, "")
    .replace("٫", ".");
  if (plain === "") return null;
  const value = Number(plain);
  if (!Number.isFinite(value) || value < 0 || (whole && !Number.isInteger(value))) return undefined;
  return value;
}
