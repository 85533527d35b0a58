/** ON AIR or OFF AIR: in colour, in a word, in the tab's title and in its icon. */
import { useEffect } from "preact/hooks";
import type { RoomState } from "../api/types";
import mutedIcon from "../assets/muted.svg";
import offIcon from "../assets/off-air.svg";
import onIcon from "../assets/on-air.svg";
import { useI18n } from "../i18n/i18n";
import type { TextKey } from "../i18n/i18n";
import { Icon } from "../ui/icons";

export type Air = "on" | "muted" | "off" | "away";

/** What is true for this person; `onAir` follows the program, never the button. */
export function airOf(onStage: boolean, onAir: boolean, mutedBy: "self" | "host" | null): Air {
  if (!onStage) return "away";
  if (!onAir) return "off";
  return mutedBy ? "muted" : "on";
}

const WORDS: Record<Air, TextKey> = { on: "air.on", muted: "air.on", off: "air.off", away: "air.away" };
const ICONS: Record<Air, string> = { on: onIcon, muted: mutedIcon, off: offIcon, away: offIcon };
const MARKS: Record<Air, string> = { on: "🔴 ", muted: "🔇 ", off: "", away: "" };

/** Writes it into the tab. */
export function useAirEverywhere(air: Air, title: string): void {
  const { t } = useI18n();
  useEffect(() => {
    document.title = `${MARKS[air]}${t(WORDS[air])} · ${title || t("app.name")}`;
    const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]");
    if (icon) icon.href = ICONS[air];
  }, [air, title, t]);
}

function explain(air: Air, state: RoomState, onAir: boolean): TextKey {
  if (air === "on") return "air.on.text";
  if (air === "muted") return "air.on.muted";
  if (state === "ended" || state === "published") return "air.off.over";
  if (state === "draft" || state === "scheduled") return "air.off.closed";
  if (air === "away") return onAir ? "air.on.listening" : state === "held" ? "air.off.held" : "air.off.lobby";
  if (state === "live") return "air.off.starting";
  return state === "held" ? "air.off.held" : "air.off.lobby";
}

interface Props {
  air: Air;
  state: RoomState;
  mutedBy: "self" | "host" | null;
  onAir: boolean;
}

export function AirBanner({ air, state, mutedBy, onAir }: Props) {
  const { t } = useI18n();
  return (
    <section class={`air air-${air}`} role="status" aria-atomic="true" data-testid="air" data-air={air}>
      <p class="air-word">
        {air === "on" && <span class="air-lamp" aria-hidden="true" />}
        {t(WORDS[air])}
      </p>
      <p>{t(explain(air, state, onAir))}</p>
      {mutedBy && air !== "away" && (
        <p class="air-muted" data-testid="muted" data-by={mutedBy}>
          <Icon name="micOff" size={22} />
          <b>{t("speaker.muted")}</b>
          <span>{t(`speaker.muted.${mutedBy}`)}</span>
        </p>
      )}
    </section>
  );
}
