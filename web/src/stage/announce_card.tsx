/** A sentence to everybody. */
import { useState } from "preact/hooks";
import type { StaffRoom } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Alert, Button } from "../ui/parts";
import type { StaffApi } from "./api";
import type { RoomWatch } from "./room_watch";
import { useAction } from "./use_action";

export function AnnounceCard({ api, room, watch }: { api: StaffApi; room: StaffRoom; watch: RoomWatch }) {
  const { t } = useI18n();
  const { act, busy, problem } = useAction();
  const [text, setText] = useState("");
  const send = () => {
    const wanted = text.trim();
    if (!wanted) return;
    act(async () => {
      await api.announce(room.room, wanted);
      watch.takeRoom(await api.room(room.room));
      setText("");
    });
  };
  const clear = () =>
    act(async () => {
      await api.unannounce(room.room);
      watch.takeRoom(await api.room(room.room));
    });
  return (
    <section class="card" aria-labelledby="announce-title">
      <h2 id="announce-title">{t("host.announce")}</h2>
      {room.announcement && (
        <div class="announcement" data-testid="announcement">
          <p dir="auto">{room.announcement.text}</p>
          <Button onClick={clear} disabled={busy} testid="announce-clear">
            {t("host.announce.clear")}
          </Button>
        </div>
      )}
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <label class="field">
          <span>{t("host.announce.label")}</span>
          <textarea
            rows={2}
            maxLength={500}
            dir="auto"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
            data-testid="announce-text"
          />
        </label>
        <div class="row">
          <Button type="submit" icon="megaphone" disabled={busy || !text.trim()} testid="announce-send">
            {t("host.announce.send")}
          </Button>
        </div>
      </form>
      <Alert text={problem} />
    </section>
  );
}
