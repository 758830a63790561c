// The library: files come in, recordings are listed, changed, removed.

import { ask, get } from "./api.js";
import { thumbnail } from "./peaks.js";
import { play } from "./player.js";
import { clock, element, failed, later, sentence, toast } from "./ui.js";
import { cancel, fetchUrl, follow, upload } from "./uploads.js";

const SORTS = { "-added": "Newest first", added: "Oldest first", title: "Title", "-duration": "Longest first", duration: "Shortest first", "-recorded": "Date" };
const UNDO_SECONDS = 6;
const MEDIA = /\.(aac|aif|aiff|amr|au|avi|caf|flac|gsm|m4a|m4b|m4v|mka|mkv|mov|mp2|mp3|mp4|mpeg|mpg|mts|oga|ogg|ogv|opus|spx|ts|wav|webm|wma|wmv|3gp|ac3|g722|ulaw|alaw)$/i;
const transfers = new Map(); // upload -> its row, kept while views change
const transfersList = element("ul", { class: "transfers", ariaLabel: "Uploads" });
let reload = () => {};

export function library(main, may) {
  const state = { where: "", sort: "-added", cursor: null, total: 0 };
  const rows = element("ul", { class: "recordings", ariaLabel: "Recordings" });
  const count = element("p", { class: "count", role: "status" });
  const end = element("div", { class: "end" });
  const filter = element("input", { type: "search", placeholder: "Filter: tag:news after:2020 title:harbour", ariaLabel: "Filter the list", autocomplete: "off" });
  const wrong = element("p", { class: "query-error", role: "alert", hidden: true });
  const sort = element("select", { ariaLabel: "Order" }, ...Object.entries(SORTS).map(([value, text]) => element("option", { value }, text)));

  let asked = 0;
  async function more(anew) {
    const mine = ++asked;
    try {
      const found = await get("/recordings", { where: filterOf(state.where), sort: state.sort, limit: 100, cursor: anew ? null : state.cursor });
      if (mine !== asked) return;
      if (anew) rows.replaceChildren();
      rows.append(...found.recordings.map((one) => row(one, may)));
      Object.assign(state, { cursor: found.cursor, total: found.total });
      count.textContent = found.total === 1 ? "1 recording" : `${found.total} recordings`;
      wrong.hidden = true;
      if (!found.total && !state.where) rows.append(element("li", { class: "empty" }, may.write ? "Nothing here yet. Drop a recording above." : "Nothing here yet."));
    } catch (error) {
      if (mine !== asked) return;
      wrong.textContent = sentence(error);
      wrong.hidden = false;
    }
  }
  const watch = new IntersectionObserver(([one]) => { if (one.isIntersecting && state.cursor) more(false); }, { rootMargin: "600px" });
  watch.observe(end);
  reload = () => more(true);
  filter.addEventListener("input", later(() => { state.where = filter.value.trim(); reload(); }, 250));
  sort.addEventListener("change", () => { state.sort = sort.value; reload(); });
  main.replaceChildren(
    element("h1", {}, "Library"),
    ...(may.write ? [dropzone(), transfersList] : []),
    element("div", { class: "tools" }, filter, sort, count), wrong, rows, end);
  reload();
  return () => { watch.disconnect(); reload = () => {}; };
}

// A word that is no filter is sought in titles.
function filterOf(text) {
  return text.split(/\s+/).filter(Boolean).map((word) => (/[:<>=]/.test(word) ? word : `title:${word}`)).join(" ");
}

function dropzone() {
  const files = element("input", { type: "file", multiple: true, id: "files", class: "unseen", accept: "audio/*,video/*" });
  const folder = element("input", { type: "file", multiple: true, id: "folder", class: "unseen" });
  folder.setAttribute("webkitdirectory", "");
  const url = element("input", { type: "url", name: "url", placeholder: "https://example.org/talk.mp3", ariaLabel: "Address of a recording", required: true });
  const zone = element("section", { class: "drop", ariaLabel: "Add recordings" },
    element("p", {}, "Drop files or folders here, or ",
      element("label", { htmlFor: "files", class: "button" }, "choose files"), files, " ",
      element("label", { htmlFor: "folder", class: "button" }, "choose a folder"), folder),
    element("form", { class: "url", onsubmit: (event) => {
      event.preventDefault();
      fetchUrl(url.value, transferred);
      url.value = "";
    } }, url, element("button", { type: "submit" }, "Add address")));
  for (const input of [files, folder]) {
    input.addEventListener("change", () => { send([...input.files]); input.value = ""; });
  }
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    send(entries.length ? (await Promise.all(entries.map(filesOf))).flat() : [...event.dataTransfer.files]);
  });
  return zone;
}

function send(files) {
  const media = files.length > 1 ? files.filter((file) => MEDIA.test(file.name) || /^(audio|video)\//.test(file.type)) : files;
  if (!media.length) toast("There is no audio or video among these files.", { bad: true });
  for (const file of media) upload(file, transferred);
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) { // a hundred at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(filesOf))).flat();
}

// Jobs that run from before: others' uploads, and those of a page that was closed.
export async function resumeJobs() {
  for (const state of ["running", "queued"]) {
    const found = await get("/jobs", { state, limit: 50 }).catch(() => ({ jobs: [] }));
    for (const job of found.jobs) {
      if ([...transfers.keys()].some((one) => one.job === job.id)) continue;
      follow({ name: job.name, size: 0, sent: 0, note: "", changed: transferred }, job);
    }
  }
}

function transferred(one) {
  let shown = transfers.get(one);
  if (!shown) {
    const parts = { name: element("span", { class: "name" }, one.name), bar: element("progress", { max: 1, ariaLabel: `Progress of ${one.name}` }), note: element("span", { class: "note" }), close: element("button", { type: "button", class: "quiet", ariaLabel: `Cancel ${one.name}` }, "×") };
    shown = { ...parts, row: element("li", {}, parts.name, parts.bar, parts.note, parts.close) };
    shown.close.onclick = () => {
      if (["waiting", "sending", "listening"].includes(one.state)) cancel(one);
      shown.row.remove();
      transfers.delete(one);
    };
    transfers.set(one, shown);
    transfersList.append(shown.row);
  }
  shown.row.className = one.state;
  const sent = one.size ? one.sent / one.size : null;
  const heard = one.duration ? one.heard / one.duration : null;
  const share = { waiting: 0, sending: sent, listening: heard }[one.state];
  if (share === null || share === undefined) shown.bar.removeAttribute("value");
  else shown.bar.value = share;
  shown.bar.hidden = !["waiting", "sending", "listening"].includes(one.state);
  const doing = { waiting: "waits", sending: sent === null ? "is fetched" : `uploading, ${Math.round(100 * sent)} %`, listening: heard === null ? "waits to be listened to" : `listening, ${Math.round(100 * heard)} %`, done: "done", failed: "failed", cancelled: "cancelled" }[one.state];
  shown.note.textContent = one.note ? `${doing}: ${one.note}` : doing;
  if (one.state === "done") {
    reload();
    if (!one.note) setTimeout(() => { shown.row.remove(); transfers.delete(one); }, 4000);
  }
}

function row(recording, may) {
  const title = element("a", { class: "title", href: `/recordings/${recording.id}`, data: { link: "" } }, recording.title);
  const made = element("li", { class: "recording", data: { id: recording.id } },
    element("button", { type: "button", class: "play", ariaLabel: `Play ${recording.title}`, onclick: () => play(recording, { start: 0, end: 0, confidence: 1 }).catch(failed) }, "▶"),
    element("div", { class: "about" }, title,
      element("p", { class: "facts" }, ...facts(recording))),
    thumbnail(recording.id),
    element("span", { class: "length" }, clock(recording.duration)),
    may.write ? element("button", { type: "button", class: "quiet", ariaLabel: `Edit ${recording.title}`, onclick: () => edit(recording, made, may) }, "Edit") : null,
    may.admin ? element("button", { type: "button", class: "quiet", ariaLabel: `Delete ${recording.title}`, onclick: () => remove(recording, made) }, "Delete") : null);
  return made;
}

function facts(recording) {
  const told = [recording.recorded ?? recording.added.slice(0, 10)];
  if (recording.channels > 1) told.push(`${recording.channels} channels`);
  const tags = recording.tags.map((tag) => element("span", { class: "tag" }, tag));
  return [told.join(" · "), " ", ...tags];
}

function edit(recording, made, may) {
  const field = (name, value, label, more = {}) => element("label", {}, label, element("input", { name, value: value ?? "", ...more }));
  const form = element("form", { class: "edit" },
    field("title", recording.title, "Title", { required: true }),
    field("recorded", recording.recorded, "Date", { placeholder: "2020-05-17", pattern: "\\d{4}(-\\d\\d(-\\d\\d)?)?" }),
    field("tags", recording.tags.join(", "), "Tags, with commas"),
    element("button", { type: "submit" }, "Save"),
    element("button", { type: "button", class: "quiet", onclick: () => made.replaceWith(row(recording, may)) }, "Cancel"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = new FormData(form);
    const tags = said.get("tags").split(",").map((tag) => tag.trim()).filter(Boolean);
    try {
      const answer = await ask(`/recordings/${recording.id}`, { method: "PATCH", json: { title: said.get("title"), recorded: said.get("recorded"), tags } });
      made.replaceWith(row(await answer.json(), may));
    } catch (error) {
      failed(error);
    }
  });
  form.addEventListener("keydown", (event) => { if (event.key === "Escape") made.replaceWith(row(recording, may)); });
  made.replaceChildren(form);
  form.elements.title.focus();
}

// Nothing is deleted before the time to undo is over, nor when the page is closed within it.
function remove(recording, made) {
  made.hidden = true;
  let undone = false;
  toast(`“${recording.title}” is deleted.`, { action: "Undo", act: () => { undone = true; made.hidden = false; }, seconds: UNDO_SECONDS }).then(async () => {
    if (undone) return;
    try {
      await ask(`/recordings/${recording.id}`, { method: "DELETE" });
      made.remove();
      reload();
    } catch (error) {
      made.hidden = false;
      failed(error);
    }
  });
}
