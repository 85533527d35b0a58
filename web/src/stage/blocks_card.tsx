/** Whose browsers are kept out of the room, and letting them in again. */
import { useEffect, useState } from "preact/hooks";
import type { Block } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Alert, Button } from "../ui/parts";
import type { StaffApi } from "./api";
import { useAction } from "./use_action";

export function BlocksCard({ api, room }: { api: StaffApi; room: string }) {
  const { t } = useI18n();
  const { act, busy, problem } = useAction();
  const [open, setOpen] = useState(false);
  const [blocks, setBlocks] = useState<Block[] | null>(null);
  const refresh = async () => setBlocks(await api.blocks(room));
  useEffect(() => {
    if (open) act(refresh);
  }, [open]);
  const letIn = (person: string) =>
    act(async () => {
      await api.unblock(room, person);
      await refresh();
    });
  return (
    <details class="card details-card" onToggle={(event) => setOpen(event.currentTarget.open)} data-testid="blocks">
      <summary>{t("host.blocks")}</summary>
      {blocks?.length === 0 && <p class="hint">{t("host.blocks.none")}</p>}
      <ul class="links">
        {blocks?.map((each) => (
          <li key={each.person} data-testid="block" data-name={each.name}>
            <div class="roster-words">
              <p>
                <bdi>{each.name}</bdi>
              </p>
              <small>{t("host.blocks.by", { name: each.by })}</small>
            </div>
            <Button disabled={busy} onClick={() => letIn(each.person)} testid="unblock">
              {t("host.unblock")}
            </Button>
          </li>
        ))}
      </ul>
      <Alert text={problem} />
    </details>
  );
}
