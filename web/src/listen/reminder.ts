/** Calls somebody back whose turn has come while they look at something else. */
import { tabbed } from "../lib/storage";

export type Reminder = "off" | "on" | "denied";

/** Notifications want a page that is secure; phones that show them through service workers alone have none here. */
export function canRemind(): boolean {
  return "Notification" in window && window.isSecureContext && !/Android/.test(navigator.userAgent);
}

export const remind = {
  state(room: string): Reminder {
    if (Notification.permission === "denied") return "denied";
    return Notification.permission === "granted" && tabbed.get(`remind.${room}`) !== null ? "on" : "off";
  },

  /** Asks for permission, in the click that this is called in. */
  async ask(room: string): Promise<Reminder> {
    tabbed.set(`remind.${room}`, "1");
    await Notification.requestPermission();
    return this.state(room);
  },

  /** Tells whoever asked for it, unless they look at the page anyway. */
  tell(room: string, title: string, text: string): void {
    if (document.visibilityState === "visible") return;
    navigator.vibrate?.([200, 100, 200]);
    if (!canRemind() || this.state(room) !== "on") return;
    const shown = new Notification(title, { body: text, tag: `stentor.${room}` });
    shown.onclick = () => {
      window.focus();
      shown.close();
    };
  },
};
