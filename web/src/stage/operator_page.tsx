/** The operator's page: the rooms, and new ones. */
import { useEffect, useState } from "preact/hooks";
import { isOpen, type Audience, type Link, type StaffRoom } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Alert, Button, Page, StatePill } from "../ui/parts";
import type { RoomFields, StaffApi } from "./api";
import { LadderCard } from "./ladder_card";
import { InstallationDoorCard } from "./door_card";
import { LinkBox } from "./links_card";
import { RoomForm } from "./room_form";
import { StatusCard } from "./status_card";
import { useAction } from "./use_action";

const POLL_MS = 5_000;

export function OperatorPage({ api }: { api: StaffApi }) {
  const { t } = useI18n();
  const { act, busy, problem } = useAction();
  const [rooms, setRooms] = useState<StaffRoom[] | null>(null);
  const [away, setAway] = useState(false);
  const [created, setCreated] = useState<StaffRoom | null>(null);
  const refresh = () =>
    api.rooms().then(
      (all) => {
        setRooms(all);
        setAway(false);
      },
      () => setAway(true),
    );
  useEffect(() => {
    void refresh();
    const timer = setInterval(() => void refresh(), POLL_MS);
    return () => clearInterval(timer);
  }, [api]);
  useEffect(() => {
    document.title = `${t("operator.title")} · ${t("app.name")}`;
  });
  const create = (fields: RoomFields) =>
    act(async () => {
      setCreated(await api.create(fields));
      await refresh();
    });
  return (
    <Page home wide>
      <div class="stage-head">
        <h1>{t("operator.title")}</h1>
      </div>
      {away && (
        <p class="notice" role="status" data-testid="offline">
          {t("app.retrying")}
        </p>
      )}
      <div class="columns">
        <div class="column">
          {created?.links && <Created room={created} links={created.links} />}
          {rooms?.length === 0 && <p class="card">{t("operator.none")}</p>}
          <ul class="rooms" data-testid="rooms">
            {rooms?.map((room) => (
              <RoomRow key={room.room} api={api} room={room} />
            ))}
          </ul>
        </div>
        <div class="column">
          <section class="card" aria-labelledby="create-title">
            <h2 id="create-title">{t("operator.create")}</h2>
            <RoomForm
              key={created?.room ?? "first"}
              withAddress
              submit={t("operator.create.submit")}
              busy={busy}
              onSubmit={create}
            />
            {problem && (
              <p class="notice" role="alert" data-testid="create-problem">
                {problem}
              </p>
            )}
          </section>
          <InstallationDoorCard api={api} />
          <StatusCard api={api} />
          <LadderCard api={api} />
        </div>
      </div>
    </Page>
  );
}

function Created({ room, links }: { room: StaffRoom; links: NonNullable<StaffRoom["links"]> }) {
  const { t } = useI18n();
  return (
    <section class="card created" role="status" data-testid="created">
      <h2>{t("operator.created", { title: room.title })}</h2>
      <LinkBox title={t("links.listener")} url={links.listener} testid="created-listener" />
      <LinkBox title={t("operator.host")} url={links.host} testid="created-host" />
      <LinkBox title={t("operator.speaker")} url={links.speaker} testid="created-speaker" />
    </section>
  );
}

function RoomRow({ api, room }: { api: StaffApi; room: StaffRoom }) {
  const { t, moment } = useI18n();
  const { act, busy, problem } = useAction();
  const [link, setLink] = useState<Link | null>(null);
  return (
    <li class="card" data-testid={`room-${room.room}`}>
      <a
        class="room-link-title"
        href={`/r/${room.room}`}
        aria-label={t("operator.open", { title: room.title })}
        data-testid="open-room"
      >
        <bdi>{room.title}</bdi>
      </a>
      <p class="room-link-facts">
        <StatePill state={room.state} recorded={room.recorded} />
        {room.planned_start && room.state === "scheduled" && <span>{moment(Date.parse(room.planned_start))}</span>}
      </p>
      {isOpen(room.state) && <RoomAudience api={api} room={room.room} />}
      <div class="row">
        <Button
          icon="link"
          disabled={busy}
          onClick={() => act(async () => setLink(await api.makeLink(room.room, "host", t("role.host"))))}
          testid="new-host-link"
        >
          {t("operator.hostlink")}
        </Button>
      </div>
      {link?.url && <LinkBox title={t("operator.host")} url={link.url} testid="new-link" />}
      <Alert text={problem} />
    </li>
  );
}

/** How many listen to an open room, in all and at each edge. */
function RoomAudience({ api, room }: { api: StaffApi; room: string }) {
  const { n, number } = useI18n();
  const [audience, setAudience] = useState<Audience | null>(null);
  useEffect(() => {
    const refresh = () =>
      api.audience(room).then(setAudience, () => {
        // The page says itself that the server is away; the last numbers stay meanwhile.
      });
    void refresh();
    const timer = setInterval(() => void refresh(), POLL_MS);
    return () => clearInterval(timer);
  }, [api, room]);
  if (!audience) return null;
  const most = Math.max(1, ...audience.edges.map((edge) => edge.listeners));
  return (
    <div class="room-audience" data-testid="room-audience" data-listeners={audience.listeners}>
      <p>
        <strong>{n("room.audience", audience.listeners)}</strong>
        {audience.by_beacon > 0 && <span>{n("room.audience.cached", audience.by_beacon)}</span>}
      </p>
      <ul class="edges">
        {audience.edges.map((edge) => (
          <li key={edge.edge} data-edge={edge.edge}>
            <p class="edge-head">
              <bdi>{edge.edge}</bdi>
              <span>{number(edge.listeners)}</span>
            </p>
            <div class="ways" style={{ inlineSize: `${Math.max(2, (edge.listeners / most) * 100)}%` }}>
              <span class="way-push" style={{ flexGrow: 1 }} />
            </div>
          </li>
        ))}
      </ul>
    </div>
  );
}
