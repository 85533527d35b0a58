/** Changes title, time and the rest; a draft with a time becomes scheduled. */
import { useState } from "preact/hooks";
import type { StaffRoom } from "../api/types";
import { useI18n } from "../i18n/i18n";
import type { RoomFields, StaffApi } from "./api";
import { RoomForm } from "./room_form";
import type { RoomWatch } from "./room_watch";
import { useAction } from "./use_action";
import { Alert } from "../ui/parts";

export function EditCard({ api, room, watch }: { api: StaffApi; room: StaffRoom; watch: RoomWatch }) {
  const { t } = useI18n();
  const { act, busy, problem } = useAction();
  const [saved, setSaved] = useState(false);
  const before = room.state === "draft" || room.state === "scheduled";
  const save = (fields: RoomFields) => {
    setSaved(false);
    act(async () => {
      const { planned_start: start, recorded, ...always } = fields;
      // A schedule and whether it is recorded cannot change once the doors are open.
      watch.takeRoom(await api.edit(room.room, before ? { ...always, recorded, planned_start: start } : always));
      if (room.state === "draft" && start) {
        watch.takeRoom(await api.move(room.room, "schedule", { expected: "draft", planned_start: start }));
      }
      setSaved(true);
    });
  };
  return (
    <details class="card details-card" data-testid="edit">
      <summary>{t("host.edit")}</summary>
      <RoomForm room={room} withAddress={false} submit={t("app.save")} busy={busy} onSubmit={save} />
      <p role="status" class="hint" data-testid="edit-status">
        {saved && t("form.saved")}
      </p>
      <Alert text={problem} />
    </details>
  );
}
