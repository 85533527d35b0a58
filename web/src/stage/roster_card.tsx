/** Who is on stage, how they sound, and what one may do about it. */
import { useState } from "preact/hooks";
import { isOpen, type Role, type Stage, type StaffRoom } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Alert, Button } from "../ui/parts";
import type { StaffApi } from "./api";
import { PersonDialog } from "./person_dialog";
import { RosterRow } from "./roster_row";
import { personOf, seatsTaken } from "./stage_rules";
import { useAction } from "./use_action";

interface Props {
  api: StaffApi;
  room: StaffRoom;
  stage: Stage | null;
  role: Role;
  orders: boolean;
}

export function RosterCard({ api, room, stage, role, orders }: Props) {
  const { t } = useI18n();
  const { act, busy, problem } = useAction();
  const [chosen, setChosen] = useState<string | null>(null);
  const people = stage?.people ?? [];
  const own = api.session.person;
  const person = chosen === null ? null : personOf(stage, chosen);
  return (
    <section class="card" aria-labelledby="roster-title" data-testid="roster-card">
      <div class="card-head">
        <h2 id="roster-title">{t("host.roster")}</h2>
        {orders && room.seats !== undefined && <Seats taken={seatsTaken(stage)} seats={room.seats} />}
      </div>
      {people.length === 0 && <p class="hint">{orders ? t("host.roster.empty") : t("room.stage.empty")}</p>}
      <ul class="roster" data-testid="roster">
        {people.map((each) => (
          <RosterRow
            key={each.person}
            person={each}
            own={each.person === own}
            orders={orders}
            onMute={() => act(() => api.mute(room.room, each.person, !each.muted_by))}
            onMore={() => setChosen(each.person)}
          />
        ))}
      </ul>
      <Alert text={problem} />
      {orders && people.length > 1 && isOpen(room.state) && <MuteAll api={api} room={room.room} />}
      {person && (
        <PersonDialog
          person={person}
          role={role}
          busy={busy}
          onClose={() => setChosen(null)}
          onRole={(given) => act(() => api.giveRole(room.room, person.person, given).then(() => setChosen(null)))}
          onRemove={(block) => act(() => api.remove(room.room, person.person, block).then(() => setChosen(null)))}
          problem={problem}
        />
      )}
    </section>
  );
}

function Seats({ taken, seats }: { taken: number; seats: number }) {
  const { t } = useI18n();
  const full = taken >= seats;
  return (
    <span class={`pill ${full ? "pill-held" : ""}`} data-testid="seats" data-taken={taken} data-seats={seats}>
      {t(full ? "host.seats.full" : "host.seats.taken", { taken, seats })}
    </span>
  );
}

function MuteAll({ api, room }: { api: StaffApi; room: string }) {
  const { t } = useI18n();
  const { act, busy, problem } = useAction();
  const [muted, setMuted] = useState<string[] | null>(null);
  return (
    <div class="row mute-all">
      <Button
        icon="micOff"
        disabled={busy}
        onClick={() => act(async () => setMuted((await api.muteAll(room)).map((each) => each.name)))}
        testid="mute-all"
      >
        {t("host.mute-all")}
      </Button>
      <p class="hint" role="status" data-testid="mute-all-status">
        {muted === null
          ? t("host.mute-all.hint")
          : muted.length > 0
            ? t("host.mute-all.done", { names: muted.join(t("crowd.comma")) })
            : t("host.mute-all.nobody")}
      </p>
      <Alert text={problem} />
    </div>
  );
}
