// Files to the server, in parts that are sent again when the line breaks, and the jobs that follow.
// It knows nothing of how they are shown: `changed` is told what became of each.

import { ask, get, Unreachable } from "./api.js";

const PART = 4 << 20;
const AT_ONCE = 2;
const FIRST_WAIT = 500, LONGEST_WAIT = 15_000; // milliseconds

const queue = [];
let running = 0;

// One upload: {name, size, sent, state: waiting|sending|listening|done|failed|cancelled, note, job}
export function upload(file, changed) {
  const one = { name: file.name, size: file.size, sent: 0, state: "waiting", note: "", file, changed };
  queue.push(one);
  changed(one);
  pump();
  return one;
}

export function cancel(one) {
  one.state = "cancelled";
  one.stop?.();
  if (one.job) ask(`/jobs/${one.job}`, { method: "DELETE" }).catch(() => {});
  else if (one.id) ask(`/uploads/${one.id}`, { method: "DELETE" }).catch(() => {});
  one.changed(one);
}

export async function fetchUrl(url, changed) {
  const one = { name: url, size: 0, sent: 0, state: "sending", note: "", changed };
  changed(one);
  try {
    const job = await (await ask("/recordings", { method: "POST", json: { url } })).json();
    await follow(one, job);
  } catch (error) {
    end(one, error);
  }
  return one;
}

function pump() {
  while (running < AT_ONCE && queue.length) {
    const one = queue.shift();
    if (one.state === "cancelled") continue;
    running += 1;
    send(one).catch((error) => end(one, error)).finally(() => { running -= 1; pump(); });
  }
}

async function send(one) {
  if (!one.size) throw new Error("the file is empty");
  one.state = "sending";
  one.changed(one);
  const begun = await patiently(one, () => ask("/uploads", { method: "POST", json: { bytes: one.size, name: one.name } }));
  one.id = (await begun.json()).id;
  while (one.sent < one.size && one.state !== "cancelled") {
    await patiently(one, async () => {
      const body = one.file.slice(one.sent, one.sent + PART);
      try {
        await ask(`/uploads/${one.id}`, { method: "PATCH", body, headers: { "Upload-Offset": String(one.sent) } });
        one.sent += body.size;
      } catch (error) {
        // What has arrived is asked for: the line may have broken behind the server's back.
        if (error instanceof Unreachable || error.status === 409) {
          one.sent = (await get(`/uploads/${one.id}`)).offset;
          return;
        }
        throw error;
      }
    });
    one.changed(one);
  }
  if (one.state === "cancelled") return;
  const job = await patiently(one, () => ask(`/uploads/${one.id}/finish`, { method: "POST" }));
  await follow(one, await job.json());
}

// Tries until the server can be reached; what the server refuses is an error at once.
async function patiently(one, act) {
  for (let wait = FIRST_WAIT; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
    try {
      const done = await act();
      if (one.note) { one.note = ""; one.changed(one); }
      return done;
    } catch (error) {
      const passing = error instanceof Unreachable || [429, 502, 503, 504, 507].includes(error.status);
      if (!passing || one.state === "cancelled") throw error;
      one.note = error instanceof Unreachable ? "the server cannot be reached; it is tried again" : error.message;
      one.changed(one);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

export function follow(one, job) {
  one.job = job.id;
  return new Promise((resolve) => {
    const told = (now) => {
      one.heard = now.heard;
      one.duration = now.duration;
      one.recording = now.recording;
      one.state = { queued: "listening", running: "listening" }[now.state] ?? now.state;
      one.note = now.error?.message ?? (now.already ? "was in the library already" : now.note ?? "");
      one.changed(one);
      if (one.state !== "listening") { one.stop?.(); resolve(one); }
    };
    told(job);
    if (one.state !== "listening") return;
    const source = new EventSource(`/api/v1/jobs/${job.id}/events`);
    one.stop = () => source.close();
    source.addEventListener("job", (event) => told(JSON.parse(event.data)));
  });
}

function end(one, error) {
  if (one.state === "cancelled") return;
  one.state = "failed";
  one.note = error.message;
  one.changed(one);
}
