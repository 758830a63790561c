// The page: which address shows which view, signing in, keys. Views know nothing of each other.

import { address, ask, get } from "./api.js";
import { library, resumeJobs } from "./library.js";
import { marks } from "./marks.js";
import { skip, toggle } from "./player.js";
import { recording } from "./recording.js";
import { search, searchKey, typed } from "./search.js";
import { element, failed, sentence } from "./ui.js";

const main = document.getElementById("main");
const form = document.getElementById("ask");
const input = document.getElementById("query");
const wrong = document.getElementById("query-error");
let leave = () => {};
let may = null; // {write, admin}

const ROUTES = [
  [/^\/$/, () => library(main, may)],
  [/^\/search$/, (here) => search(main, here, { queryError, go })],
  [/^\/marks$/, () => marks(main)],
  [/^\/recordings\/[0-9a-f]{12}$/, (here) => recording(main, here, { go })],
];

function go(path, replace = false) {
  const same = replace && location.pathname === new URL(path, location.href).pathname;
  history[same ? "replaceState" : "pushState"](null, "", path);
  show();
  if (!replace) { main.focus({ preventScroll: true }); scrollTo(0, 0); }
}

function show() {
  leave();
  leave = () => {};
  queryError(null);
  const here = new URL(location.href);
  if (document.activeElement !== input) input.value = here.pathname === "/search" ? here.searchParams.get("q") ?? "" : "";
  for (const one of document.querySelectorAll("nav a")) {
    if (one.pathname === here.pathname) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  const route = ROUTES.find(([path]) => path.test(here.pathname));
  if (!may) return;
  if (route) leave = route[1](here) ?? leave;
  else main.replaceChildren(element("h1", {}, "There is no such page"));
}

// A query that cannot be searched for: the sentence, and the place in the box.
function queryError(error) {
  wrong.hidden = !error;
  input.toggleAttribute("aria-invalid", Boolean(error));
  if (!error) return;
  wrong.replaceChildren();
  if (error.position !== null && error.position !== undefined && input.value) {
    const text = input.value;
    wrong.append(element("code", {}, text.slice(0, error.position), element("mark", {}, text.slice(error.position, error.position + 1) || "␣"), text.slice(error.position + 1)), " ");
  }
  wrong.append(sentence(error));
}

async function start() {
  try {
    const { scope, keyless } = await get("/session");
    may = { write: scope !== "read", admin: scope === "admin" };
    document.getElementById("sign-out").hidden = keyless;
    show();
    if (may.write) resumeJobs();
  } catch (error) {
    if (error.status !== 401) main.replaceChildren(element("p", { class: "query-error", role: "alert" }, sentence(error)));
  }
}

function signIn() {
  may = null;
  leave();
  leave = () => {};
  if (main.querySelector("form.sign-in")) return;
  const key = element("input", { type: "password", name: "key", autocomplete: "current-password", required: true });
  const told = element("p", { class: "query-error", role: "alert", hidden: true });
  main.replaceChildren(element("form", { class: "sign-in", onsubmit: async (event) => {
    event.preventDefault();
    try {
      await ask("/session", { method: "POST", json: { key: key.value.trim() } });
      await start();
    } catch (error) {
      told.textContent = sentence(error);
      told.hidden = false;
    }
  } }, element("h1", {}, "Sign in"), element("p", {}, "This server asks for an API key."),
  element("label", {}, "API key ", key), element("button", { type: "submit" }, "Sign in"), told));
  key.focus();
}

document.addEventListener("signed-out", signIn);
document.getElementById("sign-out").addEventListener("click", () => ask("/session", { method: "DELETE" }).then(() => { signIn(); }, failed));
document.getElementById("keys").addEventListener("click", () => document.getElementById("help").showModal());
addEventListener("popstate", show);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (text) go(address("/search", { q: text }));
});
input.addEventListener("input", typed(input, go));

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-link]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  go(link.pathname + link.search);
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=range]), textarea, select, dialog");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const onButton = event.target.closest?.("button, a");
  if (event.key === "/") { input.focus(); input.select(); }
  else if (event.key === "?") document.getElementById("help").showModal();
  else if (event.key === " " && !onButton) toggle();
  else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && event.target.type !== "range") skip(event.key === "ArrowLeft" ? -1 : 1);
  else if (!(event.key === "Enter" && onButton) && searchKey(event.key, go)) { /* done */ }
  else return;
  event.preventDefault();
});

start();
