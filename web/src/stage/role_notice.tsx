/** Tells people that they have another role than before, and why. */
import { useEffect, useState } from "preact/hooks";
import type { RoleChange, Stage } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Icon } from "../ui/icons";
import { IconButton } from "../ui/parts";
import { roleNews, type RoleNews } from "./stage_rules";

export function RoleNotice({ change, stage }: { change: RoleChange | null; stage: Stage | null }) {
  const { t } = useI18n();
  const [news, setNews] = useState<RoleNews | null>(null);
  // The stage as it is when the role changes: who has left is forgotten there after a minute.
  useEffect(() => setNews(change && roleNews(change, stage)), [change]);
  return (
    <div role="status">
      {news && (
        <p class="announcement role-news" data-testid="role-news" data-kind={news.kind}>
          <Icon name="crown" size={22} />
          <span>{t(`role.news.${news.kind}`, "name" in news ? { name: news.name } : {})}</span>
          <IconButton icon="close" label={t("app.close")} onClick={() => setNews(null)} testid="role-news-close" />
        </p>
      )}
    </div>
  );
}
