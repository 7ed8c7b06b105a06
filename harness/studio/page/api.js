// The way to the server. Every request carries this tab and a version; every answer repeats them.

const RETRY_MS = 1500;
const ALIVE_MS = 10_000; // for what any server answers at once
const LONGEST_MS = 300_000; // more than any question may take
const token = new URLSearchParams(location.search).get("token") ?? "";
const tab = crypto.randomUUID();
const listeners = new Set();
let gone = false;

/** Call `listener(message)` when the server goes, with why, and when it is back, with "". */
export function onConnection(listener) {
  listeners.add(listener);
}

function tell(message) {
  for (const listener of listeners) listener(message);
}

async function request(path, options) {
  const response = await fetch(`/api/${path}`, {
    ...options,
    signal: AbortSignal.timeout(path === "file" ? ALIVE_MS : LONGEST_MS),
    headers: { "x-slotwise-token": token, "content-type": "application/json" },
  });
  const answer = await response.json();
  if (!response.ok) throw new Refused(answer.error ?? response.statusText);
  return answer;
}

/** The server answered, and refused. */
export class Refused extends Error {}

/** What the page begins with. */
export function start() {
  return request("start", {});
}

/** Ask a question; null where the server is gone: `onConnection` hears of it, and again when it is back. */
export async function ask(name, version, body) {
  try {
    return await request(name, { method: "POST", body: JSON.stringify({ tab, version, ...body }) });
  } catch (error) {
    if (error instanceof Refused) return { tab, version, state: "failed", message: error.message, mistakes: [] };
    lost();
    return null;
  }
}

function lost() {
  if (gone) return;
  gone = true;
  tell("The workbench does not answer. Start it again; this page keeps your text and goes on by itself.");
  const again = setInterval(async () => {
    try {
      await start();
    } catch (error) {
      if (error instanceof Refused) {
        clearInterval(again);
        tell("Another workbench answers at this address. Copy your text, and open the address that it printed.");
      }
      return;
    }
    clearInterval(again);
    gone = false;
    tell("");
  }, RETRY_MS);
}
