// The player at the foot of the page: a waveform, mentions as regions, sound or picture.

import { address, link } from "./api.js";
import { peaks } from "./peaks.js";
import { clock, colour, element } from "./ui.js";
import WaveSurfer from "./wavesurfer.esm.js";
import Regions from "./wavesurfer-regions.esm.js";
import Timeline from "./wavesurfer-timeline.esm.js";

export const LEAD = 2; // seconds that are heard before a mention
const STEP = 5;
const nonce = document.querySelector('meta[name="nonce"]').content;

const place = document.getElementById("player");
const medium = element("video", { preload: "metadata", playsInline: true });
let shown = null; // {id, title, surfer, regions}

export const playing = () => (shown ? { id: shown.id, at: medium.currentTime, paused: medium.paused } : null);

// Opens a recording ({id, title, duration}); at where it was if it is open already.
export async function open(recording) {
  if (shown?.id === recording.id) return shown;
  close();
  const wave = element("div", { class: "waveform" });
  const time = element("output", { class: "time", ariaLabel: "Time" }, clock(0, true));
  const button = element("button", { type: "button", class: "play", ariaLabel: "Play", onclick: toggle }, "▶");
  place.replaceChildren(
    element("div", { class: "bar" }, button,
      element("div", { class: "now" }, element("a", { href: `/recordings/${recording.id}`, data: { link: "" } }, recording.title), time),
      element("button", { type: "button", class: "quiet", ariaLabel: "Close the player", onclick: close }, "×")),
    medium, wave);
  place.hidden = false;
  medium.className = "sound";
  medium.src = link(`/recordings/${recording.id}/media`);
  medium.onloadedmetadata = () => { medium.className = medium.videoWidth ? "picture" : "sound"; };
  medium.ontimeupdate = () => { time.textContent = `${clock(medium.currentTime, true)} / ${clock(recording.duration)}`; };
  medium.onplay = medium.onpause = () => {
    button.textContent = medium.paused ? "▶" : "❚❚";
    button.ariaLabel = medium.paused ? "Play" : "Pause";
  };
  medium.onerror = () => { time.textContent = "The browser cannot play this file; clips of it can be played."; };
  const opened = { id: recording.id, title: recording.title, ready: null };
  shown = opened;
  opened.ready = peaks(recording.id, 2000).catch(() => []).then((found) => {
    if (shown !== opened) return;
    opened.surfer = WaveSurfer.create({
      container: wave, media: medium, height: 56, cspNonce: nonce, normalize: true,
      peaks: [found.flat()], duration: recording.duration,
      waveColor: colour("--wave"), progressColor: colour("--accent"), cursorColor: colour("--ink"),
    });
    opened.regions = opened.surfer.registerPlugin(Regions.create());
    opened.surfer.registerPlugin(Timeline.create({ height: 14 }));
  });
  await opened.ready;
  return opened;
}

export function close() {
  if (!shown) return;
  medium.pause();
  shown.surfer?.unAll();
  shown.surfer?.destroy();
  shown = null;
  medium.removeAttribute("src");
  medium.load();
  place.replaceChildren();
  place.hidden = true;
}

// Plays from LEAD seconds before a mention, which is shown on the waveform.
export async function play(recording, mention) {
  const opened = await open(recording);
  highlight([{ mentions: [mention], shade: colour("--accent") }], mention);
  seek(Math.max(0, mention.start - LEAD));
  await medium.play().catch(() => {}); // a browser may want a click first
  return opened;
}

// Regions for mentions: [{mentions, shade, query}], the one that is sought in full colour.
export function highlight(groups, sought) {
  const regions = shown?.regions;
  if (!regions) return;
  regions.clearRegions();
  for (const { mentions, shade, query } of groups) {
    for (const one of mentions) {
      const strong = sought && one.start === sought.start && one.end === sought.end;
      const region = regions.addRegion({
        start: one.start, end: one.end, drag: false, resize: false,
        color: `color-mix(in srgb, ${shade} ${strong ? 55 : 25}%, transparent)`,
      });
      region.element?.setAttribute("title", `${query ?? ""} ${Math.round(100 * one.confidence)} %`);
      region.on("click", (event) => { event.stopPropagation(); seek(Math.max(0, one.start - LEAD)); medium.play(); });
    }
  }
}

export function seek(seconds) {
  medium.currentTime = seconds;
}

export function toggle() {
  if (!shown) return;
  if (medium.paused) medium.play().catch(() => {});
  else medium.pause();
}

export function skip(direction) {
  if (shown) seek(Math.max(0, medium.currentTime + direction * STEP));
}

export const clipLink = (mention, form) =>
  link(`/recordings/${mention.recording}/clip`, { start: mention.start.toFixed(2), end: mention.end.toFixed(2), around: 2, format: form });

export const momentLink = (mention, query) => address(`/recordings/${mention.recording}`, { q: query, t: mention.start.toFixed(2) });
