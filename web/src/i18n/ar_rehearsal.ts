/** Arabic for rehearsals: the last verdict on the room's page. */
import type { enRehearsal } from "./en_rehearsal";
import type { Catalogue } from "./i18n";

export const arRehearsal: Pick<Catalogue, keyof typeof enRehearsal> = {
  "rehearsal.title": "آخر تجربة",
  "rehearsal.met": "تحققت كل الأهداف",
  "rehearsal.missed": "لم تتحقق بعض الأهداف",
  "rehearsal.unsure": "لم يقدر المولّد على دوره: الأرقام ليست أرقام الخادم",
  "rehearsal.interrupted": "قُطعت التجربة",
  "rehearsal.void": "باطلة: تغيّر الإعداد",
  "rehearsal.void.text": "ما جُرّب ليس ما يعمل الآن ({changed}). أعد التجربة.",
  "rehearsal.part.room": "باب هذه الغرفة أو طريقة الإرسال",
  "rehearsal.part.installation": "ما يسري على المنظومة كلها",
  "rehearsal.part.settings": "إعدادات الخادم",
  "rehearsal.part.version": "إصدار Stentor",
  "rehearsal.part.other": "غير معروف",
  "rehearsal.what": "{time}: {listeners} من المستمعين، {rate} في الثانية",
  "rehearsal.figures": "الأرقام",
  "rehearsal.objective": "الهدف {limit}",
  "rehearsal.now": "تجربة جارية: {count} من المستمعين وليسوا بشرًا، ولا يدخلون في أي من هذه الأعداد.",
};
