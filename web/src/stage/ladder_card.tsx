/** The ladder: what the installation gives up under load, drawn as one, the lowest step first from below. */
import { useEffect, useState } from "preact/hooks";
import type { LadderStep, LadderView, LadderWord } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Alert, Button } from "../ui/parts";
import type { StaffApi } from "./api";
import { useAction } from "./use_action";

const POLL_MS = 2_000;
const STEPS = [0, 1, 2, 3, 4, 5] as const;
type Step = (typeof STEPS)[number];

const known = (step: number): Step => STEPS.find((each) => each === step) ?? 5;

export function LadderCard({ api }: { api: StaffApi }) {
  const { t, moment } = useI18n();
  const { act, busy, problem } = useAction();
  const [ladder, setLadder] = useState<LadderView | null>(null);
  const [picked, setPicked] = useState<Step | "auto" | null>(null);
  useEffect(() => {
    const refresh = () =>
      api.ladder().then(setLadder, () => {
        // The page says itself that the server is away; what was known stays meanwhile.
      });
    void refresh();
    const timer = setInterval(() => void refresh(), POLL_MS);
    return () => clearInterval(timer);
  }, [api]);
  if (!ladder) return null;
  const set = ladder.by_hand ? known(ladder.step) : "auto";
  const chosen = picked ?? set;
  const apply = () =>
    act(async () => {
      setLadder(await api.setLadder(chosen === "auto" ? null : chosen));
      setPicked(null);
    });
  return (
    <section
      class="card"
      aria-labelledby="ladder-title"
      data-testid="ladder"
      data-step={ladder.step}
      data-by-hand={ladder.by_hand}
    >
      <h2 id="ladder-title">{t("ladder.title")}</h2>
      <p class="hint">{t("ladder.text")}</p>
      <ol class="ladder" reversed>
        {[...ladder.steps].reverse().map((step) => (
          <RungOf key={step.step} step={step} newest={step.step === ladder.step} />
        ))}
      </ol>
      <p class="ladder-why" role="status" data-testid="ladder-why">
        <strong>{t(`ladder.${known(ladder.step)}`)}</strong>
        {ladder.step > 0 && ladder.since && ` · ${t("ladder.since", { time: moment(Date.parse(ladder.since)) })}`}
        {" · "}
        {t(`ladder.cause.${ladder.cause || "none"}`)}
        {/* The server's own words name the edge and its numbers. */}
        {ladder.why && (
          <small dir="ltr" lang="en">
            {ladder.why}
          </small>
        )}
      </p>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          apply();
        }}
      >
        <label class="field">
          <span>{t("ladder.set")}</span>
          <select
            value={chosen}
            onChange={({ currentTarget: { value } }) => setPicked(value === "auto" ? "auto" : known(Number(value)))}
            data-testid="ladder-set"
          >
            <option value="auto">{t("ladder.auto")}</option>
            {STEPS.map((step) => (
              <option key={step} value={step}>
                {step === 0 ? t("ladder.0") : `${step} · ${t(`ladder.${step}`)}`}
              </option>
            ))}
          </select>
        </label>
        <p class="hint">{t(chosen === "auto" ? "ladder.auto.hint" : "ladder.hand.hint")}</p>
        <div class="row">
          <Button type="submit" disabled={busy || chosen === set} testid="ladder-apply">
            {t("host.delivery.apply")}
          </Button>
        </div>
      </form>
      <Alert text={problem} />
    </section>
  );
}

function RungOf({ step, newest }: { step: LadderStep; newest: boolean }) {
  const { t } = useI18n();
  const saved = [
    step.cpu_saved !== null && step.cpu_saved > 0.01 && t("ladder.saved.cpu", { share: percent(step.cpu_saved) }),
    step.bytes_saved !== null &&
      step.bytes_saved > 0.01 &&
      t("ladder.saved.bytes", { share: percent(step.bytes_saved) }),
  ].filter(Boolean);
  return (
    <li
      class={`rung ${step.in_force ? "rung-lit" : ""}`}
      value={step.step}
      aria-current={newest ? "step" : undefined}
      data-testid={`rung-${step.step}`}
    >
      <span class="rung-number" aria-hidden="true">
        {step.step}
      </span>
      <span class="rung-words">
        <strong>{t(`ladder.${known(step.step)}`)}</strong>
        <small>{t(`ladder.${known(step.step)}.text`)}</small>
        {saved.length > 0 && <small class="rung-saved">{saved.join(" · ")}</small>}
      </span>
      <span class="rung-state">{step.in_force ? t("ladder.lit") : ""}</span>
    </li>
  );
}

const percent = (share: number): number => Math.round(share * 100);

/** What a host must know: the installation has given something up, and that it is not their room's fault. */
export function LadderNotice({ ladder }: { ladder: LadderWord | null }) {
  const { t } = useI18n();
  if (!ladder || ladder.step === 0) return null;
  const step = known(ladder.step);
  return (
    <p class="notice" role="status" data-testid="ladder-notice" data-step={step}>
      <strong>{t("ladder.notice", { step: t(`ladder.${step}`) })}</strong> {t(`ladder.${step}.text`)}
    </p>
  );
}
