/** Who is on stage, how they sound, and the two things one may do about it. */
import { useState } from "preact/hooks";
import type { Stage, StagePerson } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Avatar, Button, Dialog, IconButton } from "../ui/parts";
import type { StaffApi } from "./api";
import { Meter } from "./meter";
import { useAction } from "./use_action";

interface Props {
  api: StaffApi;
  room: string;
  stage: Stage | null;
  orders: boolean;
}

export function RosterCard({ api, room, stage, orders }: Props) {
  const { t } = useI18n();
  const { act, problem } = useAction();
  const [removing, setRemoving] = useState<StagePerson | null>(null);
  const people = stage?.people ?? [];
  const remove = (person: StagePerson) => {
    setRemoving(null);
    act(() => api.remove(room, person.person));
  };
  return (
    <section class="card" aria-labelledby="roster-title">
      <h2 id="roster-title">{t("host.roster")}</h2>
      {people.length === 0 && <p class="hint">{orders ? t("host.roster.empty") : t("room.stage.empty")}</p>}
      <ul class="roster" data-testid="roster">
        {people.map((person) => (
          <Row
            key={person.person}
            person={person}
            own={person.person === api.session.person}
            orders={orders}
            onMute={() => act(() => api.mute(room, person.person, !person.muted_by))}
            onRemove={() => setRemoving(person)}
          />
        ))}
      </ul>
      {problem && (
        <p class="notice" role="alert">
          {problem}
        </p>
      )}
      {removing && (
        <Dialog
          title={t("host.remove.title", { name: removing.name })}
          onClose={() => setRemoving(null)}
          testid="remove-dialog"
        >
          <p>{t("host.remove.text")}</p>
          <div class="row">
            <Button onClick={() => setRemoving(null)}>{t("app.cancel")}</Button>
            <Button kind="danger" onClick={() => remove(removing)} testid="remove-confirm">
              {t("host.remove.confirm")}
            </Button>
          </div>
        </Dialog>
      )}
    </section>
  );
}

interface RowProps {
  person: StagePerson;
  own: boolean;
  orders: boolean;
  onMute: () => void;
  onRemove: () => void;
}

function Row({ person, own, orders, onMute, onRemove }: RowProps) {
  const { t } = useI18n();
  const { name } = person;
  return (
    <li
      class="roster-row"
      data-testid="roster-person"
      data-person={person.person}
      data-name={name}
      data-muted={person.muted_by ?? ""}
      data-heard={person.heard}
      data-speaking={person.speaking}
    >
      <Avatar name={name} speaking={person.speaking} muted={person.muted_by !== null} />
      <div class="roster-words">
        <p class="roster-name">
          <bdi>{name}</bdi>
          {own && <small>{` (${t("host.roster.you")})`}</small>}
        </p>
        <small>
          {t(`role.${person.role}`)}
          {orders && ` · ${t(statusKey(person))}`}
          {!orders && person.muted_by && ` · ${t("room.muted")}`}
        </small>
        {orders && <Meter label={t("host.roster.level", { name })} dbfs={person.level_dbfs} />}
      </div>
      {orders && (
        <div class="roster-buttons">
          <IconButton
            icon={person.muted_by ? "mic" : "micOff"}
            label={t(person.muted_by ? "host.unmute" : "host.mute", { name })}
            onClick={onMute}
            testid="roster-mute"
          />
          {!own && (
            <IconButton icon="close" label={t("host.remove", { name })} onClick={onRemove} testid="roster-remove" />
          )}
        </div>
      )}
    </li>
  );
}

function statusKey(person: StagePerson) {
  if (!person.connected) return "host.roster.away" as const;
  if (person.muted_by) return "room.muted" as const;
  return person.heard ? ("host.roster.heard" as const) : ("host.roster.unheard" as const);
}
