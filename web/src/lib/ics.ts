/** One event as an iCalendar file (RFC 5545), with a reminder ten minutes before. */
export interface CalendarEvent {
  uid: string;
  title: string;
  description: string;
  url: string;
  startMs: number;
  durationMs: number;
  stampMs: number;
}

export function calendar(event: CalendarEvent): string {
  const lines = [
    "BEGIN:VCALENDAR",
    "VERSION:2.0",
    "PRODID:-//Stentor//Room//EN",
    "METHOD:PUBLISH",
    "BEGIN:VEVENT",
    `UID:${escape(event.uid)}`,
    `DTSTAMP:${stamp(event.stampMs)}`,
    `DTSTART:${stamp(event.startMs)}`,
    `DTEND:${stamp(event.startMs + event.durationMs)}`,
    `SUMMARY:${escape(event.title)}`,
    `DESCRIPTION:${escape(event.description ? `${event.description}\n\n${event.url}` : event.url)}`,
    `URL:${event.url}`,
    "BEGIN:VALARM",
    "ACTION:DISPLAY",
    "TRIGGER:-PT10M",
    `DESCRIPTION:${escape(event.title)}`,
    "END:VALARM",
    "END:VEVENT",
    "END:VCALENDAR",
  ];
  return lines.map(fold).join("\r\n") + "\r\n";
}

function stamp(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, "");
}

function escape(text: string): string {
  return text.replace(/[\\;,]/g, "\\$&").replace(/\r\n|\r|\n/g, "\\n");
}

/** Lines have at most 75 octets and go on after a space (3.1); never cut inside a character. */
function fold(line: string): string {
  const encoder = new TextEncoder();
  const out: string[] = [];
  let piece = "";
  let octets = 0;
  for (const character of line) {
    const size = encoder.encode(character).length;
    if (octets + size > 74) {
      out.push(piece);
      piece = " ";
      octets = 1;
    }
    piece += character;
    octets += size;
  }
  out.push(piece);
  return out.join("\r\n");
}

/** Hands a text to the browser as a file. */
export function download(name: string, type: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
