/** Picks a microphone, shows its level, holds the stage check. */
import { useEffect, useMemo, useRef } from "preact/hooks";
import { useI18n } from "../i18n/i18n";
import { useStore } from "../lib/store";
import { Button } from "../ui/parts";
import { Meter } from "./meter";
import type { Microphone, MicState } from "./microphone";
import type { Presence } from "./presence";
import { CheckPart } from "./check_part";
import { StageCheck } from "./stage_check";

const QUIET_DBFS = -50;
const LOUD_DBFS = -9;
const DRAW_MS = 80;

export function MicCard({ microphone, presence }: { microphone: Microphone; presence: Presence }) {
  const { t } = useI18n();
  const state = useStore(microphone.store);
  const { status } = useStore(presence.store);
  const check = useMemo(() => new StageCheck(microphone), [microphone]);
  return (
    <section class="card mic" aria-labelledby="mic-title" data-testid="mic" data-status={state.status}>
      <h2 id="mic-title">{t("mic.title")}</h2>
      {state.status === "trouble" && state.trouble && (
        <p class="notice" role="alert" data-testid="mic-trouble" data-trouble={state.trouble}>
          {state.trouble === "failed" ? t("mic.failed", { detail: state.detail }) : t(`mic.${state.trouble}`)}
        </p>
      )}
      {(state.status === "off" || state.status === "asking") && (
        <div class="column">
          <p class="hint">{t("mic.allow.hint")}</p>
          <Button
            icon="mic"
            disabled={state.status === "asking"}
            onClick={() => void microphone.open()}
            testid="mic-allow"
          >
            {t("mic.allow")}
          </Button>
        </div>
      )}
      {state.status === "trouble" && state.trouble !== "insecure" && state.trouble !== "webrtc" && (
        <Button onClick={() => void microphone.open()} testid="mic-again">
          {t("app.again")}
        </Button>
      )}
      {state.status === "on" && (
        <div class="column">
          <Picker microphone={microphone} state={state} />
          <Level microphone={microphone} />
          {status !== "on-stage" && <CheckPart check={check} />}
        </div>
      )}
    </section>
  );
}

function Picker({ microphone, state }: { microphone: Microphone; state: MicState }) {
  const { t, number } = useI18n();
  return (
    <label class="field">
      <span>{t("mic.pick")}</span>
      <select
        value={state.deviceId}
        onChange={(event) => void microphone.choose(event.currentTarget.value)}
        data-testid="mic-pick"
      >
        {state.devices.map((device, index) => (
          <option key={device.id} value={device.id}>
            {device.label || t("mic.unnamed", { number: number(index + 1) })}
          </option>
        ))}
      </select>
    </label>
  );
}

function Level({ microphone }: { microphone: Microphone }) {
  const { t } = useI18n();
  const meter = useRef<HTMLDivElement>(null);
  const word = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    let held = -90;
    const timer = setInterval(() => {
      held = Math.max(microphone.level(), held - 1.5);
      meter.current?.style.setProperty("--level", String(Math.max(0, Math.min(1, (held + 60) / 60))));
      meter.current?.setAttribute("aria-valuenow", String(Math.round(held)));
      const key = held < QUIET_DBFS ? "mic.level.quiet" : held > LOUD_DBFS ? "mic.level.loud" : "mic.level.good";
      if (word.current && word.current.textContent !== t(key)) word.current.textContent = t(key);
    }, DRAW_MS);
    return () => clearInterval(timer);
  }, [microphone, t]);
  return (
    <div>
      <Meter label={t("mic.level")} elementRef={meter} testid="mic-level" />
      <p class="hint" ref={word} data-testid="mic-level-word" />
    </div>
  );
}
