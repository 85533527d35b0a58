/** Somebody has opened their link on another device: it moves there with one tap, by themself or by a host. */
import type { Link } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Alert, Button } from "../ui/parts";
import type { StaffApi } from "./api";
import type { RoomWatch } from "./room_watch";
import { useAction } from "./use_action";

interface Props {
  api: StaffApi;
  room: string;
  links: readonly Link[];
  own: Link | null;
  watch: RoomWatch;
}

export function AskedNotices({ api, room, links, own, watch }: Props) {
  const { t } = useI18n();
  const { act, busy, problem } = useAction();
  const others = links.filter((link) => link.link !== own?.link);
  const asked = [...(own ? [own] : []), ...others].filter((link) => link.state === "asked");
  const move = (link: Link) =>
    act(async () => {
      await api.moveLink(room, link.link, link.asked_code ?? null);
      await watch.refreshLinks();
    });
  return (
    <div role="status">
      {asked.map((link) => (
        <div key={link.link} class="asked" data-testid="asked" data-name={link.name}>
          <p>
            {link === own ? t("links.asked.own") : t("links.asked", { name: link.name })}{" "}
            {link.asked_code && t("links.asked.code", { code: `\u2066${link.asked_code}\u2069` })}
          </p>
          <Button kind="primary" disabled={busy} onClick={() => move(link)} testid="link-move">
            {t("links.move")}
          </Button>
        </div>
      ))}
      <Alert text={problem} />
    </div>
  );
}
