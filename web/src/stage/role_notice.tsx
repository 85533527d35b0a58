/** Tells people that they have another role than before, and why. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Stage } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Icon } from "../ui/icons";
import { IconButton } from "../ui/parts";
import { roleNews, type RoleNews } from "./stage_rules";

export function RoleNotice({ stage, person }: { stage: Stage | null; person: string }) {
  const { t } = useI18n();
  const [news, setNews] = useState<RoleNews | null>(null);
  const before = useRef<Stage | null>(null);
  useEffect(() => {
    const found = roleNews(before.current, stage, person);
    if (found) setNews(found);
    before.current = stage;
  }, [stage, person]);
  return (
    <div role="status">
      {news && (
        <p class="announcement" data-testid="role-news" data-kind={news.kind}>
          <Icon name="crown" size={22} />
          <span>{t(`role.news.${news.kind}`, "name" in news ? { name: news.name } : {})}</span>
          <IconButton icon="close" label={t("app.close")} onClick={() => setNews(null)} testid="role-news-close" />
        </p>
      )}
    </div>
  );
}
