// One repeat of a candidate, made ready to be drawn and asked: calls by slot in the order of time, and the path of each job.

/** Make calls with names of an answer of /api/timeline. */
export function modelOf(answer) {
  const text = (at) => (at === null ? "" : answer.texts[at]);
  const names = answer.fields.map((field) => field.replace(/_text$/, ""));
  const isText = answer.fields.map((field) => field.endsWith("_text"));
  const calls = answer.calls.map((row, number) => {
    const call = { number, critical: false };
    for (let at = 0; at < row.length; at += 1) call[names[at]] = isText[at] ? text(row[at]) : row[at];
    call.begin_s = call.lane === null ? (call.sent_s ?? call.ready_s) : call.slot_s;
    return call;
  });
  const pipelines = [...new Set(calls.map((call) => call.pipeline))].sort();
  for (const call of calls) call.colour = pipelines.indexOf(call.pipeline) % 8;
  const servers = answer.servers.map((server, number) => rowsOf(server, text(server.name), calls.filter((call) => call.server === number)));
  const jobs = new Map();
  for (const job of answer.jobs) {
    const steps = job.steps.map((step) => (step >= 0 ? calls[step] : { ...answer.delays[-1 - step], delay: true }));
    jobs.set(`${job.pipeline} ${job.job}`, { ...job, steps });
  }
  const made = new Map();
  for (const call of calls) made.set(jobKey(call), (made.get(jobKey(call)) ?? 0) + 1);
  for (const [key, job] of jobs) {
    if ((made.get(key) ?? 0) < 2) continue; // that one call is the path says nothing
    for (const step of job.steps) if (!step.delay) step.critical = true;
  }
  const ends = calls.reduce((end, call) => Math.max(end, call.end_s), answer.makespan_s);
  const end_s = Math.max(1e-6, answer.until_s ?? ends);
  for (const server of servers) server.most = mostWaiting(server, end_s);
  return { calls, pipelines, servers, jobs, end_s };
}

export const jobKey = (call) => `${call.pipeline} ${call.job}`;

/** A call's name, with its item of a fan-out. */
export const labelOf = (call) => call.node + (call.item ? `[${call.item}]` : "");

function rowsOf(server, name, calls) {
  const rows = Array.from({ length: server.lanes }, (_, at) => ({ name: `slot ${at + 1}`, calls: [] }));
  const failed = { name: "failed", calls: [], failed: true };
  for (const call of calls) (call.lane === null ? failed : rows[call.lane]).calls.push(call);
  if (failed.calls.length) rows.push(failed);
  for (const row of rows) {
    row.calls.sort((a, b) => a.begin_s - b.begin_s);
    row.overlaps = row.calls.some((call, at) => at > 0 && row.calls[at - 1].end_s > call.begin_s);
  }
  return { name, slots: server.slots, rows, waiting: server.waiting };
}

/** The first of a row's calls that ends at or after a time. */
export function firstAt(row, time_s) {
  if (row.overlaps) return 0;
  let low = 0;
  let high = row.calls.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (row.calls[middle].end_s < time_s) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many calls are in slots at a time, and how many wait: to be sent, and in the server. */
export function at(model, time_s) {
  let busy = 0;
  let router = 0;
  let queued = 0;
  for (const server of model.servers) {
    for (const row of server.rows) {
      if (row.failed) continue;
      const call = row.calls[firstAt(row, time_s)];
      if (call && call.begin_s <= time_s && call.end_s > time_s) busy += 1;
    }
    const step = stepAt(server.waiting, time_s);
    router += step ? step[1] : 0;
    queued += step ? step[2] : 0;
  }
  return { busy, router: Math.round(router), queued: Math.round(queued) };
}

function stepAt(steps, time_s) {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle][0] <= time_s) low = middle + 1;
    else high = middle;
  }
  return steps[low - 1];
}

// The most calls that wait at once; an instant between two events is no queue.
function mostWaiting(server, end_s) {
  let most = 0;
  server.waiting.forEach((step, i) => {
    const until = i + 1 < server.waiting.length ? server.waiting[i + 1][0] : Infinity;
    if (until - step[0] > end_s / 500) most = Math.max(most, step[1] + step[2]);
  });
  return most;
}
