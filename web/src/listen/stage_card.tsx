/** Who is on stage, and who is speaking. */
import type { Person } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Avatar } from "../ui/parts";

export function StageCard({ people }: { people: Person[] }) {
  const { t } = useI18n();
  return (
    <section class="card" aria-labelledby="stage-title">
      <h2 id="stage-title">{t("room.stage")}</h2>
      {people.length === 0 && (
        <p class="hint" data-testid="stage-empty">
          {t("room.stage.empty")}
        </p>
      )}
      <ul class="stage" data-testid="stage">
        {people.map((person) => (
          <li key={person.person} data-testid="person" data-speaking={person.speaking} data-muted={person.muted}>
            <Avatar name={person.name} speaking={person.speaking} muted={person.muted} />
            <span class="stage-name">
              <bdi>{person.name}</bdi>
            </span>
            <small>
              {t(`role.${person.role}`)}
              {person.speaking && <span class="visually-hidden">{`, ${t("room.speaking")}`}</span>}
              {person.muted && <span class="visually-hidden">{`, ${t("room.muted")}`}</span>}
            </small>
          </li>
        ))}
      </ul>
    </section>
  );
}
