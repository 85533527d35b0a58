/** A person's sound meter in words: which sentence, with which numbers. */
import type { Light, SoundCause, SoundReport } from "../api/types";

export interface SoundWords {
  light: Light;
  /** What is wrong; null where nothing is, or the server names no cause. */
  cause: SoundCause | null;
  /** What the sentence counts: percent for losses, and for how long sound is held back. */
  share: number;
  ms: number;
}

/** A loss that is shown is never shown as 0 %. */
function percent(share: number): number {
  return share > 0 ? Math.max(1, Math.round(share * 100)) : 0;
}

/** What the meter of a person says; null while there is nothing to say. */
export function soundWords(report: SoundReport | null | undefined): SoundWords | null {
  if (!report) return null;
  const { light, cause } = report;
  return {
    light,
    cause: light === "good" ? null : cause,
    // What comes too late is lost as well.
    share: percent(cause === "downlink-loss" ? report.loss_there : Math.max(report.loss, report.concealed)),
    ms: Math.round(report.depth_ms),
  };
}
