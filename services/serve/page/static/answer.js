/* Shows an answer. Labels come from a model, so they are only ever set as text. */

const part = (id) => document.getElementById(id);
const percent = (value) => (value >= 0.9995 ? "> 99.9\u00a0%" : value < 0.001 ? "< 0.1\u00a0%" : `${(value * 100).toFixed(1)}\u00a0%`);
const BARS = 10;
const LANES = 8;
let url = "";
let drawing = 0;
let watcher;

export function showBusy(on) {
  part("busy").hidden = !on;
  part("answer").setAttribute("aria-busy", String(on));
}

export function showProblem(text) {
  showBusy(false);
  part("problem").textContent = text;
  part("problem").hidden = false;
  part("result").hidden = true;
  part("empty").hidden = true;
}

export function showAnswer(answer, input) {
  part("problem").hidden = part("empty").hidden = true;
  part("result").hidden = false;
  part("label").textContent = answer.label;
  part("label").classList.toggle("short", [...answer.label].length <= 2);
  part("probability").textContent = percent(answer.probability);
  part("novel").hidden = !answer.novel;
  part("novel-text").textContent = novelText(answer);
  part("timing").textContent = `Answered in ${input.milliseconds.toFixed(0)} ms, there and back.`;
  showBars(answer);
  peek(`${answer.novel ? "⚠ " : ""}${answer.label} · ${percent(answer.probability)}`);
  if (url) URL.revokeObjectURL(url);
  url = input.drawn ? "" : URL.createObjectURL(input.blob);
  if (input.kind === "audio") showSound(answer, input);
  else showPicture(input);
}

/* On a phone the answer lies below the board: a short one floats over the page while the whole one is out of sight. */
function peek(text) {
  part("peek").textContent = text;
  watcher ??= new IntersectionObserver(([entry]) => {
    part("peek").hidden = entry.isIntersecting;
  });
  watcher.disconnect();
  watcher.observe(part("label"));
}

function novelText(answer) {
  const windows = answer.timeline ?? [];
  const odd = windows.filter((window) => window.novel).length;
  const where = windows.length > 1 && odd < windows.length ? `${odd} of ${windows.length} windows are, shown striped. ` : "";
  return `${where}The answer may be wrong with confidence (novelty ${answer.novelty.toPrecision(3)}, usual up to ${answer.novelty_threshold.toPrecision(3)}).`;
}

function showBars(answer) {
  const list = part("bars");
  const shown = answer.labels.slice(0, BARS);
  list.classList.toggle("long", shown.some(({ label }) => label.length > 4));
  list.replaceChildren(
    ...shown.map(({ label, probability }, place) => {
      const bar = element("progress");
      bar.max = 1;
      bar.value = probability;
      bar.setAttribute("aria-label", label);
      const item = element("li");
      item.classList.toggle("best", place === 0);
      item.append(element("span", "name", label), bar, element("span", "value", percent(probability)));
      item.firstChild.title = label;
      return item;
    }),
  );
}

function showPicture(input) {
  const picture = part("picture");
  picture.hidden = !url;
  if (!url) return;
  picture.onload = () => picture.classList.toggle("tiny", picture.naturalWidth < 64);
  picture.onerror = () => {
    picture.hidden = true;
  };
  picture.src = url;
}

function showSound(answer, input) {
  const player = part("player");
  part("heard").hidden = false;
  player.src = url;
  player.ontimeupdate = () => {
    part("playhead").style.left = `${(100 * player.currentTime) / answer.duration}%`;
  };
  part("playhead").style.left = "0";
  showAxis(answer.duration);
  showLanes(answer, player);
  drawSpectrogram(input.blob);
}

async function drawSpectrogram(blob) {
  const turn = ++drawing;
  const image = part("spectrogram");
  const response = await fetch("/spectrogram", { method: "POST", body: blob, headers: { "content-type": "application/octet-stream" } });
  if (!response.ok || turn !== drawing) return;
  const old = image.src;
  image.src = URL.createObjectURL(await response.blob());
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
}

function showAxis(duration) {
  const marks = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const mark = element("span", "", `${(share * duration).toFixed(duration < 20 ? 1 : 0)} s`);
    mark.style.left = `${share * 100}%`;
    return mark;
  });
  part("axis").replaceChildren(...marks);
}

function showLanes(answer, player) {
  const lanes = new Map();
  for (const segment of answer.segments) {
    if (!lanes.has(segment.label)) lanes.set(segment.label, []);
    lanes.get(segment.label).push(segment);
  }
  const rows = [...lanes].slice(0, LANES).map(([label, segments]) => lane(label, segments, answer, player));
  const odd = answer.timeline.filter((window) => window.novel).map((window) => ({ ...window, odd: true }));
  if (odd.length) rows.push(lane("unlike the training data", odd, answer, player));
  if (lanes.size > LANES) rows.push(element("p", "note", `and ${lanes.size - LANES} more labels in the answer`));
  if (!lanes.size) rows.unshift(element("p", "note", "No label reaches its threshold in any window."));
  part("lanes").replaceChildren(...rows);
}

function lane(label, segments, answer, player) {
  const row = element("div", "lane");
  const track = element("div", "track");
  for (const segment of segments) {
    const block = element("button", segment.odd ? "novel" : "");
    const chance = segment.odd ? "" : `, ${percent(segment.probability)}`;
    block.type = "button";
    block.title = `${label}: ${segment.start.toFixed(1)} to ${segment.end.toFixed(1)} s${chance}`;
    block.setAttribute("aria-label", `Play ${block.title}`);
    block.style.left = `${(100 * segment.start) / answer.duration}%`;
    block.style.width = `calc(${(100 * (segment.end - segment.start)) / answer.duration}% - 1px)`;
    if (!segment.odd) block.style.opacity = String(0.45 + 0.55 * segment.probability);
    block.addEventListener("click", () => {
      player.currentTime = segment.start;
      player.play();
    });
    track.append(block);
  }
  row.append(element("span", "", label), track);
  return row;
}

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
