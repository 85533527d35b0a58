/** One timer that is in time although the page lies in the background, where browsers let pages' timers wait. */
export class PunctualTimer {
  private worker: Worker | null = null;
  private id = 0;
  private due: (() => void) | null = null;
  private fallback: ReturnType<typeof setTimeout> | undefined;

  /** Calls `due` in so many milliseconds, in place of what was set before. */
  set(ms: number, due: () => void): void {
    this.clear();
    const id = this.id;
    this.due = due;
    this.running()?.postMessage({ id, ms });
    this.fallback = setTimeout(() => this.fire(id), ms);
  }

  clear(): void {
    clearTimeout(this.fallback);
    this.due = null;
    this.id += 1;
  }

  /** Ends it for good. */
  close(): void {
    this.clear();
    this.worker?.terminate();
    this.worker = null;
  }

  private fire(id: number): void {
    if (id !== this.id) return;
    const { due } = this;
    this.clear();
    due?.();
  }

  private running(): Worker | null {
    if (this.worker || typeof Worker === "undefined") return this.worker;
    try {
      this.worker = new Worker(new URL("./timer_worker.ts", import.meta.url), { type: "module" });
      this.worker.onmessage = ({ data }: MessageEvent<number>) => this.fire(data);
    } catch {
      // The page's own timer is there as well.
    }
    return this.worker;
  }
}
