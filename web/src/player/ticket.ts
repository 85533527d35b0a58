/** A listener's ticket (docs/door.md): kept in this tab, through reloads, and put on the addresses of the sound. */
import { tabbed } from "../lib/storage";

/** The ticket of somebody who was let in. `here`: they pressed "listen here", so an older listener of theirs ends. */
export interface Entry {
  ticket: string;
  here: boolean;
}

export function heldTicket(room: string): string | null {
  return tabbed.get(`ticket.${room}`);
}

export function keepTicket(room: string, ticket: string | null): void {
  tabbed.set(`ticket.${room}`, ticket);
}

/** Addresses of a CDN stay as they are: one for everybody, past the door. */
export function withEntry(address: string, entry: Entry | null): string {
  if (!entry) return address;
  const url = new URL(address, window.location.href);
  if (url.origin !== window.location.origin) return address;
  url.searchParams.set("ticket", entry.ticket);
  if (entry.here) url.searchParams.set("here", "1");
  return url.href;
}
