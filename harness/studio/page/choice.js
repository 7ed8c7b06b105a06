// Which candidate is looked at: the recommended one, until a person chooses another.

let byHand = null;
let recommended = null;
let names = [];
const listeners = [];

/** The name of the chosen candidate; null where there is none. */
export const chosen = () => (names.includes(byHand) ? byHand : (recommended ?? names[0] ?? null));

/** Call `listener(name)` when another one is chosen. */
export function onChosen(listener) {
  listeners.push(listener);
}

function changing(what) {
  const before = chosen();
  what();
  const now = chosen();
  if (now !== before) for (const listener of listeners) listener(now);
}

/** Choose a candidate. */
export function choose(name) {
  changing(() => {
    byHand = name;
  });
}

/** Say which candidates there are, and which is recommended; left out: as before. */
export function known(all, best = recommended) {
  changing(() => {
    names = all;
    recommended = all.includes(best) ? best : null;
  });
}
