/** The sound meter: for operators a traffic light with a sentence and the numbers, for speakers a hint. */
import type { StagePerson } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Icon } from "../ui/icons";
import { LightMark } from "./light_mark";
import { soundWords } from "./sound";

/** How somebody's sound travels, to those who keep order. */
export function SoundMeter({ person }: { person: StagePerson }) {
  const { t, number } = useI18n();
  const words = soundWords(person.sound);
  if (!words || !person.sound) return null;
  const { light, cause, share, ms } = words;
  const values = { name: person.name, share, ms };
  return (
    <details class={`details sound light-${light}`} data-testid="sound" data-light={light} data-cause={cause ?? ""}>
      <summary>
        <LightMark light={light} />
        <span data-testid="sound-words">{cause ? t(`sound.of.${cause}`, values) : t(`sound.${light}`)}</span>
      </summary>
      <Numbers person={person} number={number} />
    </details>
  );
}

function Numbers({ person, number }: { person: StagePerson; number: (value: number, digits?: number) => string }) {
  const { t } = useI18n();
  const { sound } = person;
  if (!sound) return null;
  const share = (value: number) => t("crowd.share", { share: number(value * 100, 1) });
  const ms = (value: number) => t("sound.ms", { value: Math.round(value) });
  const db = (value: number) => t("sound.db", { value: Math.round(value) });
  const unknown = t("player.unknown");
  return (
    <dl>
      <Fact label={t("sound.loss")} value={share(sound.loss)} testid="sound-loss" />
      <Fact label={t("sound.recovered")} value={share(sound.recovered)} />
      <Fact label={t("sound.concealed")} value={share(sound.concealed)} />
      <Fact label={t("sound.jitter")} value={ms(sound.jitter_ms)} />
      <Fact label={t("sound.depth")} value={ms(sound.depth_ms)} />
      <Fact label={t("sound.round-trip")} value={sound.round_trip_ms === null ? unknown : ms(sound.round_trip_ms)} />
      <Fact label={t("sound.loss-there")} value={share(sound.loss_there)} />
      <Fact label={t("sound.level")} value={db(person.level_dbfs)} />
      <Fact label={t("sound.echo")} value={sound.echo_db === null ? t("check.echo.unheard") : db(-sound.echo_db)} />
    </dl>
  );
}

function Fact({ label, value, testid }: { label: string; value: string; testid?: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd data-testid={testid}>{value}</dd>
    </div>
  );
}

/** What somebody can do about their own sound; nothing while it is good. */
export function SoundHint({ me }: { me: StagePerson | null }) {
  const { t } = useI18n();
  const words = me?.connected ? soundWords(me.sound) : null;
  return (
    <div role="status" aria-relevant="additions">
      {words && words.light !== "good" && (
        <p class="notice with-icon" data-testid="sound-hint" data-cause={words.cause ?? ""}>
          <Icon name={words.light === "poor" ? "lightPoor" : "alert"} size={22} />
          <span>
            {words.cause
              ? t(`sound.own.${words.cause}`, { share: words.share, ms: words.ms })
              : t(`sound.own.${words.light}`)}
          </span>
        </p>
      )}
    </div>
  );
}
