/** Crowd or attack: what share of those who arrive behaves like people, with the evidence, to keep as a table. */
import { useEffect, useState } from "preact/hooks";
import type { CrowdMeter } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Button } from "../ui/parts";
import type { StaffApi } from "./api";
import { useAction } from "./use_action";

const POLL_MS = 5_000;
const SHOWN_MINUTES = 30;
const LACKS = ["page", "state", "ticket", "solved", "listened", "beaconed"] as const;

export function CrowdCard({ api, room }: { api: StaffApi; room: string }) {
  const { t, number } = useI18n();
  const { act, busy, problem } = useAction();
  const [meter, setMeter] = useState<CrowdMeter | null>(null);
  useEffect(() => {
    const refresh = () =>
      api.crowd(room).then(setMeter, () => {
        // The page says itself that the server is away; what was known stays meanwhile.
      });
    void refresh();
    const timer = setInterval(() => void refresh(), POLL_MS);
    return () => clearInterval(timer);
  }, [api, room]);
  if (!meter) return null;
  const percent = meter.people_percent;
  const save = () =>
    act(async () => {
      const url = URL.createObjectURL(await api.crowdTable(room));
      Object.assign(document.createElement("a"), { href: url, download: `crowd-${room}.csv` }).click();
      URL.revokeObjectURL(url);
    });
  return (
    <section class="card" aria-labelledby="meter-title" data-testid="meter" data-percent={percent ?? ""}>
      <h2 id="meter-title">{t("meter.title")}</h2>
      <p role="status">
        <strong>{percent === null ? t("meter.nobody") : t("meter.sentence", { people: number(percent) })}</strong>
      </p>
      <Plot meter={meter} />
      {meter.challenged && (
        <p class="notice" data-testid="meter-challenged">
          {t("meter.challenged")}
        </p>
      )}
      <details>
        <summary>{t("meter.evidence")}</summary>
        <Evidence meter={meter} />
      </details>
      <Button onClick={save} disabled={busy} testid="meter-export">
        {t("meter.export")}
      </Button>
      {problem && <p class="problem">{problem}</p>}
    </section>
  );
}

/** A bar a minute, people below; the words beside it name the colours. */
function Plot({ meter }: { meter: CrowdMeter }) {
  const { t } = useI18n();
  const minutes = meter.history.slice(-SHOWN_MINUTES);
  const last = minutes.at(-1);
  if (!last) return null;
  const most = Math.max(1, ...minutes.map((minute) => minute.people + minute.not_people + minute.early));
  const words = { people: last.people, others: last.not_people, early: last.early };
  return (
    <>
      <svg
        class="spark"
        viewBox={`0 0 ${SHOWN_MINUTES} 30`}
        preserveAspectRatio="none"
        role="img"
        aria-label={t("meter.history", words)}
        data-testid="meter-plot"
      >
        {minutes.map((minute, at) => {
          const x = SHOWN_MINUTES - minutes.length + at + 0.1;
          let y = 30;
          return [minute.people, minute.early, minute.not_people].map((count, kind) => {
            const height = (count / most) * 29;
            y -= height;
            return <rect key={kind} class={`meter-${KINDS[kind]}`} x={x} y={y} width={0.8} height={height} />;
          });
        })}
      </svg>
      <ul class="ways-words">
        {KINDS.map((kind) => (
          <li key={kind}>
            <i class={`meter-${kind}`} aria-hidden="true" />
            {t(`meter.${kind}`)}
          </li>
        ))}
      </ul>
    </>
  );
}

const KINDS = ["people", "early", "others"] as const;

function Evidence({ meter }: { meter: CrowdMeter }) {
  const { t, number } = useI18n();
  const { lately, networks } = meter;
  const rates = { requests: meter.requests_per_s, refused: meter.refused_per_s, cut: meter.cut_per_s };
  const lacks = LACKS.filter((word) => (lately.lacks[word] ?? 0) > 0);
  return (
    <>
      <p class="hint">{t("meter.what")}</p>
      <p>
        {t("meter.rates", { requests: number(rates.requests), refused: number(rates.refused), cut: number(rates.cut) })}
      </p>
      {lately.not_people > 0 && (
        <>
          <h3>{t("meter.lacks")}</h3>
          <ul>
            {lacks.map((word) => (
              <li key={word}>{`${t(`meter.lacks.${word}`)}: ${number(lately.lacks[word] ?? 0)}`}</li>
            ))}
          </ul>
        </>
      )}
      {networks.length > 0 && (
        <table>
          <caption>{t("meter.networks")}</caption>
          <thead>
            <tr>
              <th scope="col">{t("meter.network")}</th>
              <th scope="col">{t("meter.requests")}</th>
              <th scope="col">{t("meter.refused")}</th>
            </tr>
          </thead>
          <tbody>
            {networks.slice(0, 10).map((each) => (
              <tr key={each.network}>
                <th scope="row" dir="ltr">
                  {each.network}
                </th>
                <td>{number(each.requests_per_s)}</td>
                <td>{number(each.refused_per_s)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <h3>{t("meter.agents")}</h3>
      <ul dir="ltr">
        {Object.entries(meter.agents)
          .slice(0, 10)
          .map(([agent, count]) => (
            <li key={agent}>{`${number(count)} × ${agent}`}</li>
          ))}
      </ul>
    </>
  );
}
