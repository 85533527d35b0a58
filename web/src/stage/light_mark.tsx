/** A traffic light that needs no colours: a ticked circle, a triangle, an octagon, and a word. */
import type { Light } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Icon } from "../ui/icons";

const ICONS = { good: "lightGood", fair: "alert", poor: "lightPoor" } as const;

export function LightMark({ light }: { light: Light }) {
  const { t } = useI18n();
  return (
    <span class={`light light-${light}`}>
      <Icon name={ICONS[light]} size={20} />
      <span class="visually-hidden">{t(`light.${light}`)}</span>
    </span>
  );
}
