// Waveforms: asked for when they come into view, kept, drawn as one path.

import { get } from "./api.js";

const kept = new Map();
const SVG = "http://www.w3.org/2000/svg";
const waiting = new WeakMap();
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    peaks(waiting.get(target), 200).then((found) => draw(target, found), () => {});
  }
}, { rootMargin: "200px" });

export function peaks(id, width) {
  const name = `${id} ${width}`;
  if (!kept.has(name)) {
    const asked = get(`/recordings/${id}/peaks`, { width }).then((answer) => answer.peaks);
    asked.catch(() => kept.delete(name));
    kept.set(name, asked);
  }
  return kept.get(name);
}

export function thumbnail(id) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("class", "wave");
  made.setAttribute("viewBox", "0 -1 200 2");
  made.setAttribute("preserveAspectRatio", "none");
  made.setAttribute("aria-hidden", "true");
  waiting.set(made, id);
  seen.observe(made);
  return made;
}

function draw(target, found) {
  const loudest = Math.max(0.05, ...found.map(([low, high]) => Math.max(-low, high)));
  const path = document.createElementNS(SVG, "path");
  const line = found.map(([low, high], at) => `M${at} ${(low / loudest).toFixed(2)}V${(high / loudest + 0.02).toFixed(2)}`);
  path.setAttribute("d", line.join(""));
  target.append(path);
}
