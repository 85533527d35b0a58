/** Links: the listeners' one, and one for each person of the stage. */
import { useState } from "preact/hooks";
import type { Link, Role, StaffRoom } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Alert, Button, CopyButton, IconButton, ShareButton } from "../ui/parts";
import type { StaffApi } from "./api";
import type { RoomWatch } from "./room_watch";
import { useAction } from "./use_action";

const ROLES: readonly Role[] = ["speaker", "cohost", "moderator", "host"];

interface Props {
  api: StaffApi;
  room: StaffRoom;
  links: Link[];
  watch: RoomWatch;
}

export function LinksCard({ api, room, links, watch }: Props) {
  const { t } = useI18n();
  const { act, problem } = useAction();
  const change = (work: () => Promise<unknown>) =>
    act(async () => {
      await work();
      await watch.refreshLinks();
    });
  const listener = listenersLink(api, room);
  return (
    <section class="card" aria-labelledby="links-title" data-testid="links">
      <h2 id="links-title">{t("links.title")}</h2>
      {listener && (
        <LinkBox title={t("links.listener")} hint={t("links.listener.hint")} url={listener} testid="listener-link" />
      )}
      {links.length === 0 && <p class="hint">{t("links.none")}</p>}
      <ul class="links">
        {links
          .filter((link) => link.state !== "revoked")
          .map((link) => (
            <li key={link.link} data-testid="link" data-name={link.name} data-state={link.state}>
              <div class="roster-words">
                <p>
                  <bdi>{link.name}</bdi>
                </p>
                <small>{`${t(`role.${link.role}`)} · ${t(`links.state.${link.state}`)}`}</small>
              </div>
              {link.url && <CopyButton text={link.url} testid="link-copy" />}
              <IconButton
                icon="close"
                label={t("links.revoke", { name: link.name })}
                onClick={() => change(() => api.revoke(room.room, link.link))}
                testid="link-revoke"
              />
            </li>
          ))}
      </ul>
      <MakeLink api={api} room={room} watch={watch} />
      <Alert text={problem} />
    </section>
  );
}

function listenersLink(api: StaffApi, room: StaffRoom): string | null {
  if (room.links?.listener) return room.links.listener;
  const { audience_url: base } = api.session;
  if (!base) return null;
  return base.includes("/r/") ? base : `${base.replace(/\/$/, "")}/r/${room.room}`;
}

/** An address with what one does to it. */
export function LinkBox({ title, hint, url, testid }: { title: string; hint?: string; url: string; testid: string }) {
  return (
    <div class="link-box">
      <p>
        <b>{title}</b>
      </p>
      {hint && <p class="hint">{hint}</p>}
      <a href={url} dir="ltr" data-testid={testid}>
        {url}
      </a>
      <div class="row">
        <CopyButton text={url} />
        <ShareButton url={url} title={title} />
      </div>
    </div>
  );
}

function MakeLink({ api, room, watch }: Omit<Props, "links">) {
  const { t } = useI18n();
  const { act, busy, problem } = useAction();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("speaker");
  const [made, setMade] = useState<Link | null>(null);
  const make = (event: Event) => {
    event.preventDefault();
    act(async () => {
      setMade(await api.makeLink(room.room, role, name.trim()));
      setName("");
      await watch.refreshLinks();
    });
  };
  return (
    <form class="form make-link" onSubmit={make}>
      <h3>{t("links.make")}</h3>
      <div class="pair">
        <label class="field">
          <span>{t("links.name")}</span>
          <input
            required
            maxLength={80}
            dir="auto"
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
            data-testid="link-name"
          />
        </label>
        <label class="field">
          <span>{t("links.role")}</span>
          <select value={role} onChange={(event) => setRole(event.currentTarget.value as Role)} data-testid="link-role">
            {ROLES.map((each) => (
              <option key={each} value={each}>
                {t(`role.${each}`)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div class="row">
        <Button type="submit" icon="link" disabled={busy} testid="link-create">
          {t("links.create")}
        </Button>
      </div>
      {made?.url && <LinkBox title={t("links.new", { name: made.name })} url={made.url} testid="new-link" />}
      <Alert text={problem} />
    </form>
  );
}
