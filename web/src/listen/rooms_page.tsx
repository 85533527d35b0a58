/** The rooms on this server. */
import { useEffect, useState } from "preact/hooks";
import { isOpen, type RoomListing } from "../api/types";
import { useI18n } from "../i18n/i18n";
import type { TextKey } from "../i18n/i18n";
import { Backoff, jitter } from "../lib/backoff";
import { Page, StatePill } from "../ui/parts";
import { Foot } from "./foot";

const SECTIONS: { title: TextKey; holds: (room: RoomListing) => boolean }[] = [
  { title: "rooms.now", holds: (room) => isOpen(room.state) },
  { title: "rooms.soon", holds: (room) => room.state === "scheduled" },
  { title: "rooms.past", holds: (room) => room.recorded && (room.state === "ended" || room.state === "published") },
];

type Listing = { rooms: RoomListing[] | null; away: boolean };

function useRooms(): Listing {
  const [listing, setListing] = useState<Listing>({ rooms: null, away: false });
  useEffect(() => {
    const backoff = new Backoff(1_000, 15_000);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const gone = new AbortController();
    const ask = async () => {
      let wait = jitter(8_000, 15_000);
      try {
        const response = await fetch("/rooms.json", { signal: gone.signal });
        if (!response.ok) throw new Error(String(response.status));
        const { rooms } = (await response.json()) as { rooms: RoomListing[] };
        backoff.reset();
        setListing({ rooms, away: false });
      } catch {
        if (gone.signal.aborted) return;
        wait = backoff.next();
        setListing((before) => ({ ...before, away: true }));
      }
      timer = setTimeout(ask, wait);
    };
    void ask();
    return () => {
      gone.abort();
      clearTimeout(timer);
    };
  }, []);
  return listing;
}

export function RoomsPage() {
  const { t } = useI18n();
  const { rooms, away } = useRooms();
  useEffect(() => {
    document.title = `${t("rooms.title")} · ${t("app.name")}`;
  });
  const shown = rooms?.filter((room) => room.state !== "draft") ?? [];
  return (
    <Page home foot={<Foot />}>
      <div class="lead">
        <h1>{t("rooms.title")}</h1>
        <p>{t("rooms.lead")}</p>
      </div>
      {away && (
        <p class="notice" role="status" data-testid="rooms-away">
          {t("app.retrying")}
        </p>
      )}
      {!rooms && !away && <p role="status">{t("app.loading")}</p>}
      {rooms && shown.length === 0 && (
        <p class="card" data-testid="rooms-none">
          {t("rooms.none")}
        </p>
      )}
      {SECTIONS.map((section) => (
        <Section key={section.title} title={t(section.title)} rooms={shown.filter(section.holds)} />
      ))}
    </Page>
  );
}

function Section({ title, rooms }: { title: string; rooms: RoomListing[] }) {
  const { t, n, moment } = useI18n();
  if (rooms.length === 0) return null;
  return (
    <section class="section">
      <h2>{title}</h2>
      <ul class="rooms">
        {rooms.map((room) => (
          <li key={room.room}>
            <a class="card room-link" href={`/r/${room.room}`} data-testid={`room-${room.room}`}>
              <span class="room-link-title">
                <bdi>{room.title}</bdi>
              </span>
              <span class="room-link-facts">
                <StatePill state={room.state} />
                {isOpen(room.state) && <span>{n("rooms.listeners", room.listeners)}</span>}
                {room.state === "scheduled" && room.planned_start && (
                  <span>{t("rooms.starts", { when: moment(Date.parse(room.planned_start)) })}</span>
                )}
              </span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
