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

/** The answer with packets of that much sound. */
export function answerWithFrames(answer: string, frameMs: number): string {
  const lines = answer.split(/\r?\n/).filter((line) => line !== "" && !/^a=(max)?ptime:/.test(line));
  return lines
    .flatMap((line) => (line === "a=rtcp-mux" ? [line, `a=ptime:${frameMs}`, `a=maxptime:${frameMs}`] : [line]))
    .map((line) => `${line}\r\n`)
    .join("");
}
