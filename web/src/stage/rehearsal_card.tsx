/** The verdict of the room's last rehearsal, and whether it still holds. */
import { useEffect, useState } from "preact/hooks";
import type { LastRehearsal, RehearsalFinding } from "../api/types";
import { useI18n, type TextKey } from "../i18n/i18n";
import type { StaffApi } from "./api";

const POLL_MS = 15_000;
const PARTS: Record<string, TextKey> = {
  room: "rehearsal.part.room",
  installation: "rehearsal.part.installation",
  settings: "rehearsal.part.settings",
  version: "rehearsal.part.version",
};

export function RehearsalCard({ api, room }: { api: StaffApi; room: string }) {
  const { t, moment, number } = useI18n();
  const [last, setLast] = useState<LastRehearsal | null>(null);
  useEffect(() => {
    const refresh = () =>
      api.rehearsals(room).then(
        (known) => setLast(known.last),
        () => {
          // The page says itself that the server is away; what was known stays meanwhile.
        },
      );
    void refresh();
    const timer = setInterval(() => void refresh(), POLL_MS);
    return () => clearInterval(timer);
  }, [api, room]);
  if (!last) return null;
  const { verdict } = last;
  const changed = last.changed.map((part) => t(PARTS[part] ?? "rehearsal.part.other"));
  return (
    <section
      class="card"
      aria-labelledby="rehearsal-title"
      data-testid="rehearsal"
      data-outcome={last.void ? "void" : verdict.outcome}
    >
      <h2 id="rehearsal-title">{t("rehearsal.title")}</h2>
      <p role="status">
        <strong>{t(last.void ? "rehearsal.void" : `rehearsal.${verdict.outcome}`)}</strong>
      </p>
      {last.void && (
        <p class="notice" data-testid="rehearsal-void">
          {t("rehearsal.void.text", { changed: changed.join(" · ") || t("rehearsal.part.other") })}
        </p>
      )}
      <p class="hint">
        {t("rehearsal.what", {
          time: moment(Date.parse(verdict.begun_at)),
          listeners: number(verdict.listeners),
          rate: number(verdict.per_second),
        })}
      </p>
      <details>
        <summary>{t("rehearsal.figures")}</summary>
        {/* The generator's own words, as they stand in its report. */}
        <ul dir="ltr" lang="en">
          {verdict.findings.map((finding) => (
            <FigureOf key={finding.key} finding={finding} />
          ))}
          {verdict.limits.map((limit) => (
            <li key={limit}>{limit}</li>
          ))}
        </ul>
      </details>
    </section>
  );
}

function FigureOf({ finding }: { finding: RehearsalFinding }) {
  const { t } = useI18n();
  const { value, unit, at_most: most, at_least: least } = finding;
  const limit = most !== null ? `≤ ${most}` : least !== null ? `≥ ${least}` : "";
  const mark = finding.met === null ? "" : finding.met ? "✓ " : "✗ ";
  return (
    <li>
      {`${mark}${finding.what}: ${value ?? "—"} ${unit}`.trim()}
      {limit && <small> {t("rehearsal.objective", { limit })}</small>}
    </li>
  );
}
