/** A value that views can watch. */
import { useEffect, useState } from "preact/hooks";

export class Store<T> {
  private readonly watchers = new Set<() => void>();

  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const watcher of [...this.watchers]) watcher();
  }

  patch(part: Partial<T>): void {
    this.set({ ...this.value, ...part });
  }

  /** Calls `watcher` after every change; returns how to stop. */
  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }
}

export function useStore<T>(store: Store<T>): T {
  const [, redraw] = useState(0);
  const shown = store.get();
  useEffect(() => {
    const stop = store.watch(() => redraw((n) => n + 1));
    // It may have changed between drawing and watching.
    if (!Object.is(store.get(), shown)) redraw((n) => n + 1);
    return stop;
  }, [store]);
  return shown;
}
