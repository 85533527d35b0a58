/** Browser storage that may be forbidden: then values last as long as the page. */
const fallback = new Map<string, string>();

function read(storage: () => Storage, key: string): string | null {
  try {
    return storage().getItem(key) ?? fallback.get(key) ?? null;
  } catch {
    return fallback.get(key) ?? null;
  }
}

function write(storage: () => Storage, key: string, value: string | null): void {
  if (value === null) fallback.delete(key);
  else fallback.set(key, value);
  try {
    if (value === null) storage().removeItem(key);
    else storage().setItem(key, value);
  } catch {
    // Storage is full or forbidden; the map above holds the value.
  }
}

const local = () => window.localStorage;
const tab = () => window.sessionStorage;

/** Kept in this browser. */
export const kept = {
  get: (key: string) => read(local, `stentor.${key}`),
  set: (key: string, value: string | null) => write(local, `stentor.${key}`, value),
};

/** Kept in this tab, through reloads. */
export const tabbed = {
  get: (key: string) => read(tab, `stentor.${key}`),
  set: (key: string, value: string | null) => write(tab, `stentor.${key}`, value),
};
