/** The foot of every listener's page: how the service is. */
import { useI18n } from "../i18n/i18n";

export function Foot() {
  const { t, language } = useI18n();
  return (
    <footer class="foot">
      <a href={`/status?lang=${language}`} data-testid="status-link">
        {t("app.status")}
      </a>
    </footer>
  );
}
