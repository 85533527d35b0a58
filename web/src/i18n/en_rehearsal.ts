/** English for rehearsals: the last verdict on the room's page. */
export const enRehearsal = {
  "rehearsal.title": "Last rehearsal",
  "rehearsal.met": "Every objective was met",
  "rehearsal.missed": "Objectives were missed",
  "rehearsal.unsure": "The generator could not do its part: the figures are not the server’s",
  "rehearsal.interrupted": "It was interrupted",
  "rehearsal.void": "Void: the configuration changed",
  "rehearsal.void.text": "What was rehearsed is not what runs now ({changed}). Rehearse again.",
  "rehearsal.part.room": "this room’s door or delivery",
  "rehearsal.part.installation": "what holds for the whole installation",
  "rehearsal.part.settings": "the server’s settings",
  "rehearsal.part.version": "the version of Stentor",
  "rehearsal.part.other": "unknown",
  "rehearsal.what": "{time}: {listeners} listeners, {rate} a second",
  "rehearsal.figures": "Figures",
  "rehearsal.objective": "objective {limit}",
  "rehearsal.now": "A rehearsal is running: {count} listeners that are no people. They are in none of these counts.",
} as const;
