/** What one may do with a person on stage: give them a role, or take them off. */
import { useState } from "preact/hooks";
import type { Role, StagePerson } from "../api/types";
import { useI18n } from "../i18n/i18n";
import type { IconName } from "../ui/icons";
import { Alert, Button, Dialog, Switch } from "../ui/parts";
import { manages, rolesToGive } from "./stage_rules";

interface Props {
  person: StagePerson;
  /** One's own. */
  role: Role;
  busy: boolean;
  problem: string | null;
  onClose: () => void;
  onRole: (role: Role) => void;
  onRemove: (block: boolean) => void;
}

const ICONS: Partial<Record<Role, IconName>> = { host: "crown", cohost: "people", speaker: "mic" };

export function PersonDialog({ person, role, busy, problem, onClose, onRole, onRemove }: Props) {
  const { t } = useI18n();
  const [removing, setRemoving] = useState(false);
  const { name } = person;
  if (removing) {
    return <RemoveDialog name={name} busy={busy} problem={problem} onClose={onClose} onRemove={onRemove} />;
  }
  const given = rolesToGive(role, person.role);
  return (
    <Dialog title={name} onClose={onClose} testid="person-dialog">
      <p class="hint">{t(`role.${person.role}`)}</p>
      <ul class="choices">
        {given.map((each) => (
          <li key={each}>
            <Button icon={ICONS[each]} disabled={busy} onClick={() => onRole(each)} testid={`make-${each}`}>
              {t(`host.make.${each as "host" | "cohost" | "speaker"}`)}
            </Button>
            <small>{t(`host.make.${each as "host" | "cohost" | "speaker"}.hint`)}</small>
          </li>
        ))}
        {manages(role, person.role) && (
          <li>
            <Button icon="close" onClick={() => setRemoving(true)} testid="roster-remove">
              {t("host.remove", { name })}
            </Button>
          </li>
        )}
      </ul>
      <Alert text={problem} />
      <div class="row">
        <Button onClick={onClose} testid="person-close">
          {t("app.close")}
        </Button>
      </div>
    </Dialog>
  );
}

function RemoveDialog(props: Pick<Props, "busy" | "problem" | "onClose" | "onRemove"> & { name: string }) {
  const { t } = useI18n();
  const [block, setBlock] = useState(false);
  return (
    <Dialog title={t("host.remove.title", { name: props.name })} onClose={props.onClose} testid="remove-dialog">
      <p>{t("host.remove.text")}</p>
      <Switch
        label={t("host.block")}
        hint={t("host.block.hint")}
        checked={block}
        onChange={setBlock}
        testid="remove-block"
      />
      {props.problem && (
        <p class="notice" role="alert">
          {props.problem}
        </p>
      )}
      <div class="row">
        <Button onClick={props.onClose}>{t("app.cancel")}</Button>
        <Button kind="danger" disabled={props.busy} onClick={() => props.onRemove(block)} testid="remove-confirm">
          {t(block ? "host.block.confirm" : "host.remove.confirm")}
        </Button>
      </div>
    </Dialog>
  );
}
