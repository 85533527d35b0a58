/** The stage check's button, and what it found in sentences. */
import type { Light } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { useStore } from "../lib/store";
import { Button } from "../ui/parts";
import { LightMark } from "./light_mark";
import type { CheckResult, CheckState, StageCheck } from "./stage_check";

const VOICE_LIGHTS: Readonly<Record<CheckResult["voice"], Light>> = {
  good: "good",
  quiet: "fair",
  silent: "poor",
  loud: "fair",
};

export function CheckPart({ check }: { check: StageCheck }) {
  const { t } = useI18n();
  const state = useStore(check.store);
  const busy = state.status !== "idle" && state.status !== "failed";
  return (
    <div class="check" role="group" aria-label={t("mic.check")}>
      <Button icon="headphones" disabled={busy} onClick={() => void check.run()} testid="stage-check">
        <Now state={state} />
      </Button>
      <p class="hint" role="status" data-testid="stage-check-status" data-status={state.status}>
        {state.status === "failed"
          ? t("mic.check.failed")
          : state.status === "listening"
            ? t("mic.check.listening.hint")
            : t("mic.check.hint")}
      </p>
      {state.result && <Result result={state.result} />}
    </div>
  );
}

function Now({ state }: { state: CheckState }) {
  const { t, number } = useI18n();
  switch (state.status) {
    case "listening":
      return <>{t("mic.check.listening")}</>;
    case "recording":
      return <>{t("mic.check.recording", { seconds: number(state.leftS) })}</>;
    case "playing":
      return <>{t("mic.check.playing")}</>;
    default:
      return <>{t("mic.check.start")}</>;
  }
}

function Result({ result }: { result: CheckResult }) {
  const { t, number } = useI18n();
  const decibel = (value: number | null) =>
    value === null ? t("player.unknown") : t("sound.db", { value: number(Math.round(value)) });
  return (
    <div role="status" data-testid="check-result" data-echo={result.echo} data-noise={result.noise}>
      <ul class="verdicts">
        <Verdict light={result.echo} text={t(`check.echo.${result.echoDb === null ? "none" : result.echo}`)} />
        <Verdict light={result.noise} text={t(`check.noise.${result.noise}`)} />
        <Verdict light={VOICE_LIGHTS[result.voice]} text={t(`check.voice.${result.voice}`)} />
      </ul>
      <details class="details">
        <summary>{t("sound.details")}</summary>
        <dl>
          <dt>{t("check.echo")}</dt>
          <dd data-testid="check-echo">{result.echoDb === null ? t("check.echo.unheard") : decibel(result.echoDb)}</dd>
          <dt>{t("check.noise")}</dt>
          <dd>{decibel(result.noiseDbfs)}</dd>
          <dt>{t("check.voice")}</dt>
          <dd>{decibel(result.voiceDbfs)}</dd>
        </dl>
      </details>
    </div>
  );
}

function Verdict({ light, text }: { light: Light; text: string }) {
  return (
    <li class={`verdict light-${light}`} data-light={light}>
      <LightMark light={light} />
      <span>{text}</span>
    </li>
  );
}
