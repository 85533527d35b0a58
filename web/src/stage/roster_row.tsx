/** One person of the roster. */
import type { StagePerson } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Avatar, IconButton } from "../ui/parts";
import { Meter } from "./meter";
import { SoundMeter } from "./sound_meter";

interface Props {
  person: StagePerson;
  own: boolean;
  orders: boolean;
  onMute: () => void;
  onMore: () => void;
}

export function RosterRow({ person, own, orders, onMute, onMore }: Props) {
  const { t } = useI18n();
  const { name } = person;
  return (
    <li
      class="roster-row"
      data-testid="roster-person"
      data-person={person.person}
      data-name={name}
      data-role={person.role}
      data-muted={person.muted_by ?? ""}
      data-heard={person.heard}
      data-speaking={person.speaking}
      data-connected={person.connected}
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
            icon={person.muted_by ? "micOff" : "mic"}
            kind={person.muted_by ? "muted" : "quiet"}
            label={t(person.muted_by ? "host.unmute" : "host.mute", { name })}
            onClick={onMute}
            testid="roster-mute"
          />
          {!own && <IconButton icon="more" label={t("host.more", { name })} onClick={onMore} testid="roster-more" />}
        </div>
      )}
      {orders && person.connected && <SoundMeter person={person} />}
    </li>
  );
}

function statusKey(person: StagePerson) {
  if (!person.connected) return "host.roster.away" as const;
  if (person.muted_by) return "room.muted" as const;
  return person.heard ? ("host.roster.heard" as const) : ("host.roster.unheard" as const);
}
