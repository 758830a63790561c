// Marks: what people said of mentions, right or wrong; kept by the server.

import { address, ask, get, link } from "./api.js";
import { momentLink } from "./player.js";
import { clock, element, failed, percent } from "./ui.js";

const near = (one, other) => one.recording === other.recording && one.channel === other.channel && Math.abs(one.start - other.start) <= 0.5;

// The marks of a query: `of(mention)` is true, false or null; `set` changes it.
export async function marksOf(query) {
  const { marks } = await get("/marks", { query }).catch(() => ({ marks: [] }));
  return {
    of: (mention) => marks.find((one) => near(one, mention))?.right ?? null,
    async set(mention, right) {
      const { recording, channel, start, end, confidence } = mention;
      await ask("/marks", { method: "PUT", json: { query, recording, channel, start, end, confidence, right } });
      const at = marks.findIndex((one) => near(one, mention));
      if (at >= 0) marks.splice(at, 1);
      if (right !== null) marks.push({ recording, channel, start, end, right });
    },
    tally: () => ({ right: marks.filter((one) => one.right).length, all: marks.length }),
  };
}

export function marks(main) {
  const rows = element("tbody");
  const told = element("p", { class: "count", role: "status" });
  main.replaceChildren(element("h1", {}, "Marks"), told,
    element("p", {}, element("a", { class: "button", href: link("/marks", { format: "csv" }), download: "marks.csv" }, "Download as CSV"), " to learn from, or to keep."),
    element("div", { class: "wide" }, element("table", {},
      element("thead", {}, element("tr", {}, ...["Query", "Recording", "Time", "Confidence", "Mark"].map((text) => element("th", { scope: "col" }, text)))), rows)));
  get("/marks").then(({ marks: found, right, wrong, precision }) => {
    told.textContent = precision === null ? "Nothing has been marked yet. In a search, press r for right and w for wrong."
      : `${right} right, ${wrong} wrong: a measured precision of ${percent(precision)}.`;
    rows.replaceChildren(...found.map((one) => element("tr", {},
      element("td", {}, element("a", { href: address("/search", { q: one.query }), data: { link: "" } }, one.query)),
      element("td", {}, element("a", { href: momentLink(one, one.query), data: { link: "" } }, one.recording)),
      element("td", {}, clock(one.start)),
      element("td", {}, one.confidence === null ? "" : percent(one.confidence)),
      element("td", { class: one.right ? "right" : "wrong" }, one.right ? "right" : "wrong"))));
  }, failed);
  return () => {};
}
