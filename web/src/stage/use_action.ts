/** Does something at the server and keeps the sentence if it refuses. */
import { useState } from "preact/hooks";
import { useI18n } from "../i18n/i18n";
import { Problem } from "./api";

export interface Action {
  busy: boolean;
  problem: string | null;
  act: (work: () => Promise<unknown>, caught?: (problem: Problem) => boolean) => void;
  clear: () => void;
}

/** `caught` may take a problem for itself by returning true. */
export function useAction(): Action {
  const { t } = useI18n();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const act: Action["act"] = (work, caught) => {
    setBusy(true);
    setProblem(null);
    work()
      .catch((error: unknown) => {
        if (error instanceof Problem && caught?.(error)) return;
        const away = error instanceof Problem && error.status === 0;
        const detail = error instanceof Error ? error.message : String(error);
        setProblem(away ? t("speaker.offline") : t("host.failed", { detail }));
      })
      .finally(() => setBusy(false));
  };
  return { busy, problem, act, clear: () => setProblem(null) };
}
