/** What a room is called and when it is. */
import { useState } from "preact/hooks";
import type { RoomHead } from "../api/types";
import { LANGUAGES, useI18n } from "../i18n/i18n";
import { instantOf, knownZone, localZone, wallOf } from "../lib/time";
import { Button, Switch } from "../ui/parts";
import type { RoomFields } from "./api";

interface Props {
  room?: RoomHead;
  withAddress: boolean;
  submit: string;
  busy: boolean;
  onSubmit: (fields: RoomFields) => void;
}

function zones(zone: string): string[] {
  const all = typeof Intl.supportedValuesOf === "function" ? Intl.supportedValuesOf("timeZone") : [];
  return [...new Set([zone, "UTC", ...all])].sort();
}

export function RoomForm({ room, withAddress, submit, busy, onSubmit }: Props) {
  const { t, languageName } = useI18n();
  const [address, setAddress] = useState("");
  const [title, setTitle] = useState(room?.title ?? "");
  const [description, setDescription] = useState(room?.description ?? "");
  const [language, setLanguage] = useState(room?.language ?? "en");
  const [zone, setZone] = useState(knownZone(room?.time_zone ?? null) ?? localZone());
  const [wall, setWall] = useState(room?.planned_start ? wallOf(Date.parse(room.planned_start), zone) : "");
  const [recorded, setRecorded] = useState(room?.recorded ?? true);
  const languages = [...new Set([...LANGUAGES.map((each) => each.code as string), language])];
  const send = (event: Event) => {
    event.preventDefault();
    const start = wall ? instantOf(wall, zone) : null;
    onSubmit({
      ...(address.trim() ? { room: address.trim() } : {}),
      title: title.trim(),
      description: description.trim(),
      language,
      planned_start: start === null ? null : new Date(start).toISOString(),
      time_zone: zone,
      recorded,
    });
  };
  return (
    <form class="form" onSubmit={send}>
      <label class="field">
        <span>{t("form.title")}</span>
        <input
          required
          maxLength={200}
          dir="auto"
          value={title}
          onInput={(event) => setTitle(event.currentTarget.value)}
          data-testid="form-title"
        />
      </label>
      <label class="field">
        <span>{t("form.description")}</span>
        <textarea
          rows={3}
          maxLength={2000}
          dir="auto"
          value={description}
          onInput={(event) => setDescription(event.currentTarget.value)}
          data-testid="form-description"
        />
      </label>
      {withAddress && (
        <label class="field">
          <span>{t("form.room")}</span>
          <input
            pattern="[a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?"
            dir="ltr"
            value={address}
            onInput={(event) => setAddress(event.currentTarget.value)}
            data-testid="form-room"
          />
          <small>{t("form.room.hint")}</small>
        </label>
      )}
      <div class="pair">
        <label class="field">
          <span>{t("form.start")}</span>
          <input
            type="datetime-local"
            value={wall}
            onInput={(event) => setWall(event.currentTarget.value)}
            data-testid="form-start"
          />
          <small>{t("form.start.hint")}</small>
        </label>
        <label class="field">
          <span>{t("form.zone")}</span>
          <select value={zone} onChange={(event) => setZone(event.currentTarget.value)} data-testid="form-zone">
            {zones(zone).map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>{t("form.language")}</span>
          <select
            value={language}
            onChange={(event) => setLanguage(event.currentTarget.value)}
            data-testid="form-language"
          >
            {languages.map((each) => (
              <option key={each} value={each}>
                {languageName(each)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <Switch
        label={t("form.recorded")}
        hint={t("form.recorded.hint")}
        checked={recorded}
        onChange={setRecorded}
        testid="form-recorded"
      />
      <div class="row">
        <Button type="submit" kind="primary" disabled={busy} testid="form-submit">
          {submit}
        </Button>
      </div>
    </form>
  );
}
