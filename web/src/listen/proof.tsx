/** The key that signs the recording: shown before it opens, so that it can be held against the recording later. */
import type { RoomView } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Icon } from "../ui/icons";
import { CopyButton } from "../ui/parts";

export function Proof({ room }: { room: RoomView }) {
  const { t } = useI18n();
  if (!room.recorded || !room.key_fingerprint) return null;
  const groups = room.key_fingerprint.match(/.{1,4}/g) ?? [];
  return (
    <section class="card proof" aria-labelledby="proof-title" data-testid="proof">
      <h2 id="proof-title">
        <Icon name="shield" size={22} />
        {t("proof.title")}
      </h2>
      <p>{room.replay ? t("proof.after") : t("proof.before")}</p>
      <div class="row">
        <code class="fingerprint" dir="ltr" aria-label={t("proof.fingerprint")} role="img" data-testid="fingerprint">
          {groups.join(" ")}
        </code>
        <CopyButton text={room.key_fingerprint} />
      </div>
      {room.replay && (
        <details class="details">
          <summary>{t("proof.how")}</summary>
          <p>{t("proof.how.text")}</p>
          <pre dir="ltr" tabIndex={0}>
            {["stentor verify", `${room.room}.m4a`, "proof.json"].join(" ")}
          </pre>
          <a class="button button-plain" href={room.replay.proof} download data-testid="proof-file">
            <Icon name="download" size={20} />
            {t("proof.file")}
          </a>
        </details>
      )}
    </section>
  );
}
