// A search: mentions by recording, with a strip that shows where in each they lie.

import { address, get, link } from "./api.js";
import { marksOf } from "./marks.js";
import { clipLink, momentLink, play } from "./player.js";
import { clock, element, failed, later, percent, sentence } from "./ui.js";

const PAGE = 25; // recordings
const LEAST = 0.03; // confidence that is shown unless told otherwise
let asking = null;
let view = null; // of the search that is shown

export function search(main, here, { queryError, go }) {
  const asked = Object.fromEntries(here.searchParams);
  asked.min = Number(asked.min ?? LEAST);
  asking?.abort();
  asking = new AbortController();
  const results = element("ol", { class: "results" });
  const told = element("p", { class: "count", role: "status" }, "Searching …");
  const shown = element("output", {}, percent(asked.min));
  const slider = element("input", { type: "range", min: 0, max: 0.95, step: 0.01, value: asked.min, ariaLabel: "Least confidence" });
  const where = element("input", { type: "search", value: asked.where ?? "", placeholder: "tag:news after:2020", ariaLabel: "Filters", autocomplete: "off" });
  const order = element("select", { ariaLabel: "Order" }, element("option", { value: "confidence" }, "Surest first"), element("option", { value: "time", selected: asked.order === "time" }, "By time"));
  const change = () => go(address("/search", { q: asked.q, where: where.value.trim(), order: order.value === "time" ? "time" : "", min: Number(slider.value) === LEAST ? "" : slider.value }), true);
  slider.addEventListener("input", () => { shown.textContent = percent(slider.value); });
  slider.addEventListener("change", change);
  where.addEventListener("change", change);
  order.addEventListener("change", change);
  const query = { q: asked.q, where: asked.where, order: asked.order, min_confidence: asked.min };
  const more = element("button", { type: "button", class: "more", hidden: true }, "More recordings");
  main.replaceChildren(
    element("h1", { class: "unseen" }, `Search for ${asked.q}`),
    element("div", { class: "tools" },
      element("label", { class: "slider" }, "Confidence from ", slider, shown), where, order,
      element("a", { class: "button", href: link("/search", { ...query, top: 1000, format: "csv" }), download: `${asked.q}.csv` }, "CSV")),
    told, results, more);
  const mine = view = { asked, results, mentions: [], at: -1, marks: null };
  let offset = 0;
  async function load() {
    const begun = performance.now();
    try {
      const [found, marks] = await Promise.all([
        get("/search", { ...query, by_recording: true, top: PAGE, offset }, asking.signal),
        mine.marks ?? marksOf(asked.q)]);
      if (view !== mine) return;
      queryError(null);
      mine.marks = marks;
      found.recordings ??= []; // an answer without mentions has none
      mine.lengths ??= new Map();
      await lengths(mine, found.recordings);
      for (const group of found.recordings) results.append(grouped(mine, group));
      spell(mine, { ...query, by_recording: true, top: PAGE, offset }, asking.signal);
      offset += found.recordings.length;
      more.hidden = offset >= found.total;
      tell(mine, told, found, performance.now() - begun);
      if (mine.at < 0) select(mine, 0, false);
    } catch (error) {
      if (error.name === "AbortError" || view !== mine) return;
      told.textContent = "";
      if (error.position !== null && error.position !== undefined || error.status === 422 || error.status === 400) queryError(error);
      else told.textContent = sentence(error);
    }
  }
  more.addEventListener("click", load);
  load();
  return () => { asking.abort(); if (view === mine) view = null; };
}

function tell(mine, told, found, milliseconds) {
  const { right, all } = mine.marks.tally();
  const measured = all ? ` Of ${all} marked, ${percent(right / all)} are right.` : "";
  const note = found.note ? ` ${found.note}` : "";
  const recordings = found.total === 1 ? "1 recording" : `${found.total} recordings`;
  told.textContent = found.total
    ? `${recordings}, in ${found.searched_hours.toFixed(1)} hours searched in ${(milliseconds / 1000).toFixed(2)} s.${measured}${note}`
    : `Nothing like it was heard in ${found.searched_hours.toFixed(1)} hours. Try fewer or other words, or a lower confidence.${note}`;
}

async function lengths(mine, groups) {
  const ids = groups.map((one) => one.recording).filter((id) => !mine.lengths.has(id));
  if (!ids.length) return;
  const where = ids.map((id) => `id:${id}`).join(" OR ");
  const { recordings } = await get("/recordings", { where, limit: ids.length }).catch(() => ({ recordings: [] }));
  for (const one of recordings) mine.lengths.set(one.id, one);
}

function grouped(mine, group) {
  const recording = mine.lengths.get(group.recording) ?? { id: group.recording, title: group.title, duration: Math.max(...group.mentions.map((one) => one.end)) };
  const strip = element("div", { class: "strip" });
  const list = element("ol", { class: "mentions" });
  for (const mention of group.mentions) {
    const index = mine.mentions.length;
    const tick = element("button", { type: "button", class: "tick", tabIndex: -1, ariaHidden: "true", title: `${clock(mention.start)}, ${percent(mention.confidence)}`, style: { left: `${100 * mention.start / recording.duration}%`, "--sure": mention.confidence }, onclick: () => select(mine, index, true) });
    const item = element("li", { class: "mention", tabIndex: -1, data: { index } },
      element("button", { type: "button", class: "play", ariaLabel: `Play at ${clock(mention.start)}`, onclick: () => select(mine, index, true) }, "▶"),
      element("a", { class: "at", href: momentLink(mention, mine.asked.q), data: { link: "" } }, clock(mention.start)),
      element("span", { class: "sure", style: { "--sure": mention.confidence }, title: "Confidence" }, percent(mention.confidence)),
      recording.channels > 1 ? element("span", { class: "channel" }, `channel ${mention.channel + 1}`) : null,
      element("span", { class: "snippet" }),
      element("span", { class: "judge", role: "group", ariaLabel: "Right or wrong?" },
        ...[[true, "✓", "right"], [false, "✗", "wrong"]].map(([right, sign, word]) => element("button", { type: "button", class: word, ariaLabel: `Mark as ${word}`, ariaPressed: "false", onclick: () => judge(mine, index, right) }, sign))),
      element("a", { class: "quiet", href: clipLink(mention, "mp3"), download: `${recording.title} ${clock(mention.start)}.mp3`, ariaLabel: "Download this clip" }, "⤓"));
    mine.mentions.push({ mention, recording, item, tick });
    strip.append(tick);
    list.append(item);
    paint(mine, index);
  }
  return element("li", { class: "group" },
    element("h2", {}, element("a", { href: address(`/recordings/${recording.id}`, { q: mine.asked.q }), data: { link: "" } }, recording.title),
      element("span", { class: "facts" }, ` ${clock(recording.duration)} · ${group.mentions.length === 1 ? "1 mention" : `${group.mentions.length} mentions`}`)),
    strip, list);
}

// What was said around the mentions comes later than they: it takes longer to spell than to find.
async function spell(mine, query, signal) {
  const found = await get("/search", { ...query, snippets: true }, signal).catch(() => ({}));
  const spelled = (found.recordings ?? []).flatMap((group) => group.mentions).filter((one) => one.snippet);
  const name = (one) => `${one.recording} ${one.channel} ${one.start}`;
  const by = new Map(spelled.map((one) => [name(one), one]));
  for (const { mention, item } of mine.mentions) {
    const one = by.get(name(mention));
    if (one) item.querySelector(".snippet").replaceWith(snippet(one));
  }
}

function snippet(mention) {
  const made = element("span", { class: "snippet", title: "Spelled by ear: approximate" });
  let done = 0;
  for (const [start, end] of mention.snippet_sought ?? []) {
    made.append(mention.snippet.slice(done, start), element("mark", {}, mention.snippet.slice(start, end)));
    done = end;
  }
  made.append(mention.snippet.slice(done));
  return made;
}

function select(mine, index, sound) {
  const one = mine.mentions[index];
  if (!one) return;
  const before = mine.mentions[mine.at];
  before?.item.removeAttribute("aria-current");
  before?.tick.classList.remove("current");
  mine.at = index;
  one.item.setAttribute("aria-current", "true");
  one.tick.classList.add("current");
  if (sound) {
    one.item.scrollIntoView({ block: "nearest" });
    play(one.recording, one.mention).catch(failed);
  }
}

async function judge(mine, index, right) {
  const { mention } = mine.mentions[index];
  try {
    await mine.marks.set(mention, mine.marks.of(mention) === right ? null : right);
    paint(mine, index);
  } catch (error) {
    failed(error);
  }
}

function paint(mine, index) {
  const { mention, item } = mine.mentions[index];
  const right = mine.marks.of(mention);
  item.querySelector(".judge .right").ariaPressed = String(right === true);
  item.querySelector(".judge .wrong").ariaPressed = String(right === false);
}

// Keys of a search; true if one was meant.
export function searchKey(key, go) {
  if (!view?.mentions.length) return false;
  const one = view.mentions[view.at];
  if (key === "j" || key === "k") select(view, Math.min(view.mentions.length - 1, Math.max(0, view.at + (key === "j" ? 1 : -1))), true);
  else if (key === "r" || key === "w") judge(view, view.at, key === "r");
  else if (key === "u") view.marks.set(one.mention, null).then(() => paint(view, view.at), failed);
  else if (key === "Enter") go(momentLink(one.mention, view.asked.q));
  else return false;
  return true;
}

export const typed = (input, go) => later(() => {
  const text = input.value.trim();
  const shown = location.pathname === "/search" ? new URLSearchParams(location.search).get("q") : null;
  if (text.length > 2 && text !== shown) go(address("/search", { q: text }), true);
}, 350);
