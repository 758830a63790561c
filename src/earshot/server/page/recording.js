// One recording: its waveform, searches in it in colours, and a moment as the network heard it.

import { get, link } from "./api.js";
import { clipLink, highlight, LEAD, momentLink, open, play, playing, seek } from "./player.js";
import { clock, colour, element, failed, percent, sentence } from "./ui.js";
import WaveSurfer from "./wavesurfer.esm.js";
import Spectrogram from "./wavesurfer-spectrogram.esm.js";

const COLOURS = ["#1b6ca8", "#c8553d", "#4a8f4a", "#8a5fb0", "#b8860b", "#2a9d8f"];
const AROUND = 4; // seconds to each side of a moment
const nonce = document.querySelector('meta[name="nonce"]').content;

export function recording(main, address, { go }) {
  const id = address.pathname.split("/")[2];
  const queries = address.searchParams.getAll("q");
  const stop = new AbortController();
  let moment = null;
  main.replaceChildren(element("p", { class: "count", role: "status" }, "Loading …"));

  async function load() {
    const known = await get(`/recordings/${id}`, {}, stop.signal);
    document.title = `${known.title} · Earshot`;
    const found = await Promise.all(queries.map((query, at) => mentionsOf(query, id, stop.signal).then(
      (mentions) => ({ query, mentions, shade: COLOURS[at % COLOURS.length] }),
      (error) => ({ query, mentions: [], shade: COLOURS[at % COLOURS.length], error }))));
    const panel = element("section", { class: "moment", ariaLabel: "What the network heard" });
    const show = (mention, group) => {
      highlight(found, mention);
      moment?.destroy();
      moment = heard(panel, known, mention, group);
    };
    const add = element("input", { type: "search", placeholder: "Search in this recording", ariaLabel: "Search in this recording", autocomplete: "off" });
    main.replaceChildren(
      element("h1", {}, known.title),
      element("p", { class: "facts" }, `${clock(known.duration)} · ${known.recorded ?? known.added.slice(0, 10)}${known.channels > 1 ? ` · ${known.channels} channels` : ""} `, ...known.tags.map((tag) => element("span", { class: "tag" }, tag))),
      element("dl", { class: "meta" }, ...Object.entries(known.meta).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])),
      element("form", { class: "tools", onsubmit: (event) => { event.preventDefault(); if (add.value.trim()) go(here(id, [...queries, add.value.trim()])); } },
        add, element("button", { type: "submit" }, "Add a search"),
        element("a", { class: "button", href: link(`/recordings/${id}/media`), download: known.title }, "Download")),
      ...found.map((group) => searched(known, group, show, () => go(here(id, queries.filter((query) => query !== group.query))))),
      panel);
    await open(known);
    highlight(found, null);
    const at = Number(address.searchParams.get("t") ?? NaN);
    const all = found.flatMap((group) => group.mentions.map((mention) => ({ mention, group })));
    const sought = Number.isNaN(at) ? all[0] : all.find(({ mention }) => Math.abs(mention.start - at) < 0.5) ?? { mention: { start: at, end: Math.min(at + 2, known.duration), confidence: 1, channel: 0, recording: id }, group: null };
    if (!Number.isNaN(at) && playing()?.paused) seek(Math.max(0, at - LEAD));
    if (sought) show(sought.mention, sought.group);
  }
  load().catch((error) => {
    if (error.name !== "AbortError") main.replaceChildren(element("p", { class: "query-error", role: "alert" }, sentence(error)));
  });
  return () => { stop.abort(); moment?.destroy(); document.title = "Earshot"; };
}

const here = (id, queries) => `/recordings/${id}?${new URLSearchParams(queries.map((query) => ["q", query]))}`;

async function mentionsOf(query, id, signal) {
  const found = await get("/search", { q: query, where: `id:${id}`, top: 500, order: "time" }, signal);
  return found.mentions;
}

function searched(known, group, show, remove) {
  const list = element("ol", { class: "mentions" }, ...group.mentions.map((mention) => element("li", { class: "mention" },
    element("button", { type: "button", class: "play", ariaLabel: `Play at ${clock(mention.start)}`, onclick: () => { play(known, mention).then(() => show(mention, group), failed); } }, "▶"),
    element("a", { class: "at", href: momentLink(mention, group.query), data: { link: "" } }, clock(mention.start)),
    element("span", { class: "sure", style: { "--sure": mention.confidence } }, percent(mention.confidence)),
    known.channels > 1 ? element("span", { class: "channel" }, `channel ${mention.channel + 1}`) : null,
    element("a", { class: "quiet", href: clipLink(mention, "mp3"), download: "", ariaLabel: "Download this clip" }, "⤓"))));
  return element("section", { class: "searched", style: { "--colour": group.shade }, ariaLabel: `Mentions of ${group.query}` },
    element("h2", {}, element("span", { class: "dot", ariaHidden: "true" }), group.query, " ",
      element("span", { class: "facts" }, group.error ? sentence(group.error) : group.mentions.length === 1 ? "1 mention" : `${group.mentions.length} mentions`),
      element("button", { type: "button", class: "quiet", ariaLabel: `Take away the search for ${group.query}`, onclick: remove }, "×")),
    list);
}

// A moment: waveform and spectrogram of a few seconds, and the activations over them.
function heard(panel, known, mention, group) {
  const start = Math.max(0, mention.start - AROUND), end = Math.min(known.duration, mention.end + AROUND);
  const wave = element("div", { class: "waveform" });
  const picture = element("img", { class: "activations", alt: `Probabilities of each sound from ${clock(start)} to ${clock(end)}${group ? `, with the alignment of ${group.query}` : ""}`,
    src: link(`/recordings/${known.id}/activations`, { start: start.toFixed(2), end: end.toFixed(2), channel: mention.channel, q: group?.query, format: "svg" }) });
  panel.replaceChildren(
    element("h2", {}, `What the network heard, ${clock(start)} to ${clock(end)}`), wave, element("div", { class: "wide" }, picture));
  const surfer = WaveSurfer.create({
    container: wave, height: 64, cspNonce: nonce, normalize: true, interact: false, splitChannels: known.channels > 1,
    waveColor: colour("--wave"), cursorWidth: 0,
    url: link(`/recordings/${known.id}/clip`, { start: start.toFixed(2), end: end.toFixed(2), format: "wav" }),
    plugins: [Spectrogram.create({ height: 140, labels: true, frequencyMax: 8000, scale: "mel", cspNonce: nonce })],
  });
  surfer.on("error", () => {});
  return surfer;
}
