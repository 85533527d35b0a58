/** Tells a host, loudly, that the program has been silent while on air. */
import { useEffect, useState } from "preact/hooks";
import type { Stage } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Icon } from "../ui/icons";
import { Button } from "../ui/parts";

const SILENT_S = 5;
const BEEP_EVERY_MS = 2_000;

export function Alarm({ stage }: { stage: Stage }) {
  const { t, n } = useI18n();
  const on = stage.on_air && stage.silent_s >= SILENT_S;
  const [quiet, setQuiet] = useState(false);
  useEffect(() => {
    if (!on) setQuiet(false);
  }, [on]);
  useEffect(() => {
    if (!on || quiet) return;
    beep();
    const timer = setInterval(beep, BEEP_EVERY_MS);
    return () => clearInterval(timer);
  }, [on, quiet]);
  return (
    <div role="alert">
      {on && (
        <section class="alarm" data-testid="alarm">
          <Icon name="alert" size={28} />
          <div>
            <h2>{t("host.alarm")}</h2>
            {/* The count changes each second and is not read out again and again. */}
            <p aria-live="off">{n("host.alarm.text", Math.floor(stage.silent_s))}</p>
          </div>
          {!quiet && (
            <Button onClick={() => setQuiet(true)} testid="alarm-quiet">
              {t("host.alarm.quiet")}
            </Button>
          )}
        </section>
      )}
    </div>
  );
}

let context: AudioContext | null = null;

function beep(): void {
  context ??= new AudioContext();
  void context.resume();
  const tone = context.createOscillator();
  const gain = context.createGain();
  const now = context.currentTime;
  tone.frequency.setValueAtTime(880, now);
  tone.frequency.setValueAtTime(660, now + 0.18);
  gain.gain.setValueAtTime(0.12, now);
  gain.gain.exponentialRampToValueAtTime(0.001, now + 0.4);
  tone.connect(gain).connect(context.destination);
  tone.start(now);
  tone.stop(now + 0.4);
}
