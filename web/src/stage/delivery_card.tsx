/** How large the blocks of sound are: larger ones carry more listeners, later. Says what it does before it does it. */
import { useState } from "preact/hooks";
import type { StaffRoom } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Alert, Button } from "../ui/parts";
import type { StaffApi } from "./api";
import type { RoomWatch } from "./room_watch";
import { useAction } from "./use_action";

const STEP_S = 0.24;
/** One step as a least size is what edges begin with anyway. */
const SIZES = [2, 4, 8, 16];
/** A player slowed to 0.94 takes this long to put one more step aside. */
const STEP_ASIDE_S = 4;

interface Props {
  api: StaffApi;
  room: StaffRoom;
  /** Steps in a block now, of each edge that has listeners. */
  now: readonly number[];
  watch: RoomWatch;
}

export function DeliveryCard({ api, room, now, watch }: Props) {
  const { t, number } = useI18n();
  const { act, busy, problem } = useAction();
  const set = Math.max(1, room.block_steps ?? 1);
  const [picked, setPicked] = useState<number | null>(null);
  const chosen = picked ?? set;
  const apply = () =>
    act(async () => {
      watch.takeRoom(await api.deliver(room.room, chosen === 1 ? null : chosen));
      setPicked(null);
    });
  const size = (steps: number) => t("player.latency.value", { seconds: number(steps * STEP_S, 2) });
  const sizes = [...new Set(now)].sort((a, b) => a - b).map(size);
  return (
    <section class="card" aria-labelledby="delivery-title" data-testid="delivery" data-set={set}>
      <h2 id="delivery-title">{t("host.delivery")}</h2>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          apply();
        }}
      >
        <label class="field">
          <span>{t("host.delivery.label")}</span>
          <select
            value={chosen}
            onChange={(event) => setPicked(Number(event.currentTarget.value))}
            aria-describedby="delivery-effect"
            data-testid="delivery-size"
          >
            <option value={1}>{t("host.delivery.auto")}</option>
            {SIZES.map((steps) => (
              <option key={steps} value={steps}>
                {size(steps)}
              </option>
            ))}
          </select>
        </label>
        <p id="delivery-effect" class="hint" role="status" data-testid="delivery-effect">
          <Effect from={set} to={chosen} />
        </p>
        {sizes.length > 0 && (
          <p class="hint" data-testid="delivery-now">
            {t("host.delivery.now", { sizes: sizes.join(" · ") })}
          </p>
        )}
        <div class="row">
          <Button type="submit" disabled={busy || chosen === set} testid="delivery-apply">
            {t("host.delivery.apply")}
          </Button>
        </div>
      </form>
      <Alert text={problem} />
    </section>
  );
}

function Effect({ from, to }: { from: number; to: number }) {
  const { t, number } = useI18n();
  const size =
    to === 1
      ? t("host.delivery.auto.hint")
      : t("host.delivery.effect", { delay: number((to - 1) * STEP_S, 2), share: Math.round(100 / to) });
  const way =
    to > from
      ? t("host.delivery.grow", { seconds: (to - from) * STEP_ASIDE_S })
      : to < from
        ? t("host.delivery.shrink")
        : "";
  return <>{`${size} ${way}`.trim()}</>;
}
