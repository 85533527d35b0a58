/** Who listens: how many, by which way, who came and left lately, and how well they hear. */
import type { Audience, Heard, Transports } from "../api/types";
import { useI18n, type I18n, type Key, type TextKey } from "../i18n/i18n";

const WAYS = ["push", "hls", "progressive"] as const;
const REASONS = {
  left: "crowd.left",
  "room-ended": "crowd.room-ended",
  "room-gone": "crowd.room-ended",
  "server-stops": "crowd.server-stops",
  "too-slow": "crowd.too-slow",
  "no-pong": "crowd.no-pong",
  "never-read": "crowd.too-slow",
  protocol: "crowd.protocol",
  "over-limit": "crowd.over-limit",
} as const satisfies Record<string, Key>;

interface Props {
  audience: Audience;
  /** Whether to show each edge: for whoever runs the server. */
  byEdge: boolean;
}

export function AudienceCard({ audience, byEdge }: Props) {
  const { t, n, number } = useI18n();
  const { listeners, by_beacon: cached, edges } = audience;
  return (
    <section class="card crowd" aria-labelledby="crowd-title" data-testid="crowd" data-listeners={listeners}>
      <h2 id="crowd-title">{t("host.audience")}</h2>
      <p class="crowd-count">
        <strong data-testid="crowd-count">{n("room.audience", listeners)}</strong>
        {cached > 0 && <span data-testid="crowd-more">{n("room.audience.cached", cached)}</span>}
      </p>
      {audience.rehearsal ? (
        <p class="notice" data-testid="crowd-rehearsal">
          {t("rehearsal.now", { count: number(audience.rehearsal) })}
        </p>
      ) : null}
      <Sparkline values={audience.history} />
      {listeners + cached > 0 && <Ways audience={audience} />}
      <HeardFacts heard={audience} minutes={audience.window_s / 60} />
      {byEdge && edges.length > 0 && <Edges audience={audience} />}
    </section>
  );
}

/** The last ten minutes as a line; the words beside it say the same number. */
function Sparkline({ values }: { values: readonly number[] }) {
  const { t } = useI18n();
  if (values.length < 2) return null;
  const most = Math.max(1, ...values);
  const points = values.map((value, at) => `${(at / (values.length - 1)) * 100},${30 - (value / most) * 28}`);
  return (
    <svg
      class="spark"
      viewBox="0 0 100 31"
      preserveAspectRatio="none"
      role="img"
      aria-label={t("crowd.history", { most, now: values.at(-1) ?? 0 })}
      data-testid="crowd-history"
    >
      <polygon points={`0,31 ${points.join(" ")} 100,31`} />
      <polyline points={points.join(" ")} />
    </svg>
  );
}

function Ways({ audience }: { audience: Audience }) {
  const { t, number } = useI18n();
  const parts = WAYS.map((way) => ({ way, text: t(`crowd.${way}`), count: audience.transports[way]?.listeners ?? 0 }));
  const all = [...parts, { way: "cached", text: t("crowd.cached"), count: audience.by_beacon }];
  const shown = all.filter((part) => part.count > 0);
  return (
    <div>
      <div class="ways" aria-hidden="true">
        {shown.map((part) => (
          <span key={part.way} class={`way-${part.way}`} style={{ flexGrow: part.count }} />
        ))}
      </div>
      <ul class="ways-words">
        {shown.map((part) => (
          <li key={part.way} data-testid={`crowd-${part.way}`} data-count={part.count}>
            <i class={`way-${part.way}`} aria-hidden="true" />
            {`${part.text}: ${number(part.count)}`}
          </li>
        ))}
      </ul>
    </div>
  );
}

function HeardFacts({ heard, minutes }: { heard: Heard; minutes: number }) {
  const i18n = useI18n();
  const { t } = i18n;
  const facts: [string, string, string][] = [
    ["joins", t("crowd.joins"), i18n.number(heard.joins)],
    ["leaves", t("crowd.leaves"), reasons(i18n, heard.leaves)],
    ["cuts", t("crowd.cuts"), reasons(i18n, heard.cuts)],
    ["wait", t("crowd.wait"), wait(i18n, heard)],
    ["delay", t("crowd.delay"), heard.latency_ms_p50 === null ? "—" : seconds(i18n, heard.latency_ms_p50)],
    ["stalls", t("crowd.stalls"), stalls(i18n, heard)],
  ];
  return (
    <>
      <h3>{t("crowd.lately", { minutes })}</h3>
      <dl class="crowd-facts">
        {facts.map(([name, term, fact]) => (
          <div key={name}>
            <dt>{term}</dt>
            <dd data-testid={`crowd-${name}`}>{fact}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function Edges({ audience }: { audience: Audience }) {
  const { t, number } = useI18n();
  const most = Math.max(1, ...audience.edges.map((edge) => edge.listeners));
  return (
    <>
      <h3>{t("crowd.edges")}</h3>
      <ul class="edges" data-testid="crowd-edges">
        {audience.edges.map((edge) => (
          <li key={edge.edge} data-edge={edge.edge} data-listeners={edge.listeners}>
            <p class="edge-head">
              <bdi>{edge.edge}</bdi>
              <span>{number(edge.listeners)}</span>
            </p>
            <div
              class="ways"
              style={{ inlineSize: `${Math.max(2, (edge.listeners / most) * 100)}%` }}
              aria-hidden="true"
            >
              {WAYS.map((way) => (
                <span key={way} class={`way-${way}`} style={{ flexGrow: edge.transports[way]?.listeners ?? 0 }} />
              ))}
            </div>
            <EdgeTable transports={edge.transports} />
          </li>
        ))}
      </ul>
    </>
  );
}

/** What happened at one edge, a row for each way of listening; why it cut somebody stands below. */
function EdgeTable({ transports }: { transports: Transports }) {
  const i18n = useI18n();
  const { t, number } = i18n;
  const rows = WAYS.flatMap((way) => {
    const heard = transports[way];
    return heard ? [{ way, heard }] : [];
  });
  const cuts = rows.filter(({ heard }) => sum(heard.cuts) > 0);
  return (
    <>
      <table>
        <thead>
          <tr>
            <th scope="col">{t("crowd.way")}</th>
            <th scope="col">{t("crowd.joins")}</th>
            <th scope="col">{t("crowd.leaves")}</th>
            <th scope="col">{t("crowd.cuts")}</th>
            <th scope="col">{t("crowd.wait")}</th>
            <th scope="col">{t("crowd.gaps")}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ way, heard }) => (
            <tr key={way} data-way={way}>
              <th scope="row">{t(`crowd.${way}`)}</th>
              <td>{number(heard.joins)}</td>
              <td>{number(sum(heard.leaves))}</td>
              <td>{number(sum(heard.cuts))}</td>
              <td>
                {heard.join_ms_p50 === null || heard.join_ms_p95 === null
                  ? "—"
                  : `${number(heard.join_ms_p50 / 1000, 1)}–${seconds(i18n, heard.join_ms_p95)}`}
              </td>
              <td>{heard.stall_ratio === null ? "—" : share(i18n, heard.stall_ratio)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {cuts.map(({ way, heard }) => (
        <p key={way}>{`${t(`crowd.${way}`)} – ${t("crowd.cuts")}: ${reasons(i18n, heard.cuts)}`}</p>
      ))}
    </>
  );
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function reasons(i18n: I18n, counts: Readonly<Record<string, number>>): string {
  const byWord = new Map<string, number>();
  for (const [reason, count] of Object.entries(counts)) {
    const key: TextKey = REASONS[reason as keyof typeof REASONS] ?? "crowd.other";
    byWord.set(i18n.t(key), (byWord.get(i18n.t(key)) ?? 0) + count);
  }
  const total = sum(counts);
  const alone = Object.keys(counts).every((reason) => reason === "left");
  if (alone) return i18n.number(total);
  const words = [...byWord].map(([word, count]) => `${word} ${i18n.number(count)}`);
  return `${i18n.number(total)} (${words.join(i18n.t("crowd.comma"))})`;
}

function wait(i18n: I18n, heard: Heard): string {
  if (heard.join_ms_p50 === null || heard.join_ms_p95 === null) return "—";
  return i18n.t("crowd.wait.value", {
    half: seconds(i18n, heard.join_ms_p50),
    most: seconds(i18n, heard.join_ms_p95),
  });
}

function seconds(i18n: I18n, milliseconds: number): string {
  return i18n.t("crowd.seconds", { seconds: i18n.number(milliseconds / 1000, 1) });
}

function stalls(i18n: I18n, heard: Heard): string {
  if (heard.stall_ratio === null) return "—";
  return i18n.t("crowd.stalls.value", { share: i18n.number(heard.stall_ratio * 100, 2) });
}

function share(i18n: I18n, ratio: number): string {
  return i18n.t("crowd.share", { share: i18n.number(ratio * 100, 2) });
}
