// Elements, times, toasts: what every view is made of. It knows nothing of recordings.

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "style") for (const [one, of] of Object.entries(value)) made.style.setProperty(one, of);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((one) => one !== null && one !== undefined));
  return made;
}

export function clock(seconds, fine = false) {
  const whole = Math.floor(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const text = hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  return fine ? `${text}.${Math.floor((seconds - whole) * 10)}` : text;
}

// A colour of the sheet as canvases understand it, in the scheme that is shown.
export function colour(name) {
  const probe = element("span", { style: { color: `var(${name})` } });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

export const percent = (share) => `${Math.round(100 * share)} %`;

export function toast(text, { action, act, seconds = 6, bad = false } = {}) {
  let over;
  const gone = new Promise((resolve) => { over = resolve; });
  const made = element("div", { class: bad ? "toast bad" : "toast", role: bad ? "alert" : "status" }, text);
  const close = () => { made.remove(); clearTimeout(timer); over(); };
  if (action) made.append(element("button", { type: "button", onclick: () => { act(); close(); } }, action));
  made.append(element("button", { type: "button", class: "quiet", ariaLabel: "Close", onclick: close }, "×"));
  document.getElementById("toasts").append(made);
  const timer = setTimeout(close, 1000 * seconds);
  return gone;
}

export function sentence(error) {
  const text = error.message;
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

export const failed = (error) => {
  if (error.name !== "AbortError") toast(sentence(error), { bad: true, seconds: 10 });
};

export function later(act, milliseconds) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...given), milliseconds);
  };
}
