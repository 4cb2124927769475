// Keeps the parts of a page as they are now, and shows times as the reader's clock has them.
const main = document.querySelector("main[data-path]");
const live = document.getElementById("live");
const units = [["day", 86400], ["h", 3600], ["min", 60]];

function ago(seconds) {
  if (seconds < 60) return "just now";
  for (const [name, size] of units) {
    const count = Math.floor(seconds / size);
    if (count >= 1) return `${count} ${name}${name === "day" && count > 1 ? "s" : ""} ago`;
  }
  return "";
}

function since(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  return s < 3600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

function tick(root = document) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    const text = "ago" in time.dataset ? ago((now - at) / 1000) : since((now - at) / 1000);
    if (time.textContent !== text) time.textContent = text;
    if (!time.title) time.title = new Date(at).toLocaleString();
  }
}

function settle(part) {
  tick(part);
  for (const log of part.querySelectorAll("[data-end]")) log.scrollTop = log.scrollHeight;
}

// A part in which somebody is typing is left alone until they have gone on.
const shown = new Map(), later = new Map();

function busy(part) {
  const at = document.activeElement;
  return at && part.contains(at) && /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName);
}

function replace(part, html) {
  const open = [...part.querySelectorAll("details[open][id]")].map((one) => one.id);
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const key = focused && [focused.tagName, focused.getAttribute("href"), focused.textContent];
  const log = part.querySelector("[data-end]");
  const above = log && log.scrollHeight - log.scrollTop - log.clientHeight > 40 ? log.scrollTop : null;
  part.innerHTML = html;
  for (const id of open) part.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  settle(part);
  const fresh = part.querySelector("[data-end]");
  if (fresh && above !== null) fresh.scrollTop = above;
  if (key) {
    const again = [...part.querySelectorAll(key[0])].find((one) => one.getAttribute("href") === key[1] && one.textContent === key[2]);
    again?.focus({ preventScroll: true });
  }
}

async function take(parts) {
  for (const [name, html] of Object.entries(parts)) {
    const part = main.querySelector(`[data-part="${CSS.escape(name)}"]`);
    if (!part || html === "") { await again(); return; }
    if (shown.get(name) === html) continue;
    const first = !shown.has(name);
    shown.set(name, html);
    if (first && part.innerHTML === normal(html)) continue;
    if (busy(part)) later.set(part, html); else replace(part, html);
  }
}

function normal(html) {
  const box = document.createElement("template");
  box.innerHTML = html;
  const root = document.createElement("div");
  root.append(box.content);
  return root.innerHTML;
}

// Parts came or went: the whole content is asked for once more.
async function again() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("main[data-path]");
  if (fresh) { main.innerHTML = fresh.innerHTML; shown.clear(); settle(main); }
}

function say(text, good) {
  if (!live) return;
  live.textContent = text;
  live.classList.toggle("on", good);
}

function listen() {
  const source = new EventSource(`/live?path=${encodeURIComponent(main.dataset.path)}`);
  source.addEventListener("open", () => say("live", true));
  source.addEventListener("parts", (event) => take(JSON.parse(event.data)));
  source.addEventListener("leave", () => { source.close(); location.assign(`/login?to=${encodeURIComponent(main.dataset.path)}`); });
  source.addEventListener("error", () => {
    say("connection lost, trying again", false);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
  addEventListener("pagehide", () => source.close(), { once: true });
}

document.addEventListener("focusout", () => setTimeout(() => {
  for (const [part, html] of later) if (!busy(part)) { later.delete(part); replace(part, html); }
}, 50));
document.addEventListener("submit", (event) => {
  const asked = event.submitter?.dataset.ask;
  if (asked && !confirm(asked)) { event.preventDefault(); return; }
  // A second press would be a second workflow.
  setTimeout(() => { if (event.submitter) event.submitter.disabled = true; });
});
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

settle(document);
setInterval(tick, 1000);
if (main) listen(); else say("", false);
