/** What a page changes in SDP, and how it asks for an ICE restart. Text in, text out. */

/** Lets the server ask for lost packets again (RFC 4585): browsers do it for video alone unless told. */
export function withNack(offer: string): string {
  return offer.replace(/^(a=rtpmap:(\d+) opus\/48000\/2)(\r?)$/im, (line, mapped: string, type: string, end: string) =>
    offer.includes(`a=rtcp-fb:${type} nack`) ? line : `${mapped}${end}\na=rtcp-fb:${type} nack${end}`,
  );
}

/** The fragment (RFC 8840) that asks for the ICE restart of an offer: RFC 9725, 4.3.3. */
export function restartOf(offer: string): string {
  const lines = offer.split(/\r?\n/);
  const pick = (start: string) => lines.find((line) => line.startsWith(start));
  const kept = ["a=ice-options:", "a=group:BUNDLE", "m=audio ", "a=mid:", "a=ice-ufrag:", "a=ice-pwd:"];
  return kept
    .map(pick)
    .filter((line) => line !== undefined)
    .map((line) => `${line}\r\n`)
    .join("");
}

/** The answer as it would be after an ICE restart: the fragment's credentials and candidates in place of the old. */
export function answerAfter(answer: string, fragment: string): string {
  const transport = /^a=(ice-ufrag|ice-pwd|candidate|end-of-candidates)/;
  const renewed = fragment.split(/\r?\n/).filter((line) => transport.test(line));
  const kept = answer.split(/\r?\n/).filter((line) => line !== "" && !transport.test(line));
  return [...kept, ...renewed].map((line) => `${line}\r\n`).join("");
}

/** The answer with packets of so much sound, and with RED (RFC 2198) before or after plain Opus: the first is sent. */
export function answerFor(answer: string, frameMs: number, red: boolean): string {
  const [, type] = /^a=rtpmap:(\d+) red\/48000\/2\r?$/im.exec(answer) ?? [];
  const lines = answer.split(/\r?\n/).filter((line) => line !== "" && !/^a=(max)?ptime:/.test(line));
  return lines
    .flatMap((line) => {
      if (line.startsWith("m=audio ") && type) {
        const [media, port, protocol, ...formats] = line.split(" ");
        const plain = formats.filter((each) => each !== type);
        return [[media, port, protocol, ...(red ? [type, ...plain] : [...plain, type])].join(" ")];
      }
      return line === "a=rtcp-mux" ? [line, `a=ptime:${frameMs}`, `a=maxptime:${frameMs}`] : [line];
    })
    .map((line) => `${line}\r\n`)
    .join("");
}
