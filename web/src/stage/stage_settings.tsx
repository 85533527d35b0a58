/** How many people the stage has room for, and whether noise between words is turned down. */
import { useState } from "preact/hooks";
import type { Stage, StaffRoom } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Alert, Button, Switch } from "../ui/parts";
import type { StaffApi, StageSettings } from "./api";
import type { RoomWatch } from "./room_watch";
import { seatsTaken } from "./stage_rules";
import { useAction } from "./use_action";

const MOST_SEATS = 50;

interface Props {
  api: StaffApi;
  room: StaffRoom;
  stage: Stage | null;
  watch: RoomWatch;
}

export function StageSettingsCard({ api, room, stage, watch }: Props) {
  const { t } = useI18n();
  const { act, busy, problem } = useAction();
  const [typed, setTyped] = useState<string | null>(null);
  const set = room.seats ?? 0;
  const seats = typed === null ? set : Number(typed);
  const change = (fields: Partial<StageSettings>) =>
    act(async () => {
      watch.takeRoom(await api.edit(room.room, fields));
      if (fields.seats !== undefined) setTyped(null);
    });
  return (
    <details class="card details-card" data-testid="stage-settings" data-seats={set}>
      <summary>{t("host.stage")}</summary>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          change({ seats });
        }}
      >
        <label class="field">
          <span>{t("host.seats")}</span>
          <span class="with-mark">
            <input
              type="number"
              inputMode="numeric"
              required
              min={1}
              max={MOST_SEATS}
              step={1}
              value={typed ?? String(set)}
              onInput={(event) => setTyped(event.currentTarget.value)}
              data-testid="seats-number"
            />
            <Button type="submit" disabled={busy || seats === set} testid="seats-save">
              {t("app.save")}
            </Button>
          </span>
          <small>{seats < seatsTaken(stage) ? t("host.seats.fewer") : t("host.seats.hint")}</small>
        </label>
        <Switch
          label={t("host.gate")}
          hint={t("host.gate.hint")}
          checked={room.noise_gate ?? false}
          onChange={(on) => change({ noise_gate: on })}
          testid="noise-gate"
        />
      </form>
      <Alert text={problem} />
    </details>
  );
}
