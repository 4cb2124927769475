import { showAnswer, showBusy, showProblem } from "./answer.js";
import { startBoard } from "./board.js";
import { asWav, startRecorder } from "./recorder.js";

const settings = JSON.parse(document.getElementById("settings").textContent);
let latest = 0;

/** Send one input and show its answer; an answer that a newer input has overtaken is dropped. */
async function recognise(blob, shown = {}) {
  const turn = ++latest;
  if (blob.size > settings.max_bytes) {
    showProblem(`This file has ${mega(blob.size)}, and at most ${mega(settings.max_bytes)} are read here.`);
    return;
  }
  showBusy(true);
  try {
    let { body, response, milliseconds } = await send(blob);
    if (response.status === 415) {
      const converted = await convert(blob);
      if (converted) {
        blob = converted;
        ({ body, response, milliseconds } = await send(blob));
      }
    }
    if (turn !== latest) return;
    if (!response.ok) {
      showProblem(sentence(body, response.status));
      return;
    }
    showAnswer(body, { ...shown, blob, milliseconds, kind: settings.kind, threshold: settings.threshold, task: settings.task });
  } catch {
    if (turn === latest) showProblem("The server did not answer. Is it still running?");
  } finally {
    if (turn === latest) showBusy(false);
  }
}

async function send(blob) {
  const began = performance.now();
  const response = await fetch("/predict", { method: "POST", body: blob, headers: { "content-type": "application/octet-stream" } });
  const body = await response.json().catch(() => ({}));
  return { body, response, milliseconds: performance.now() - began };
}

/** What the browser can read and the server cannot (m4a, webm, webp, gif), as WAV or PNG; null if neither can. */
async function convert(blob) {
  try {
    if (settings.kind === "audio") return await asWav(blob);
    const bitmap = await createImageBitmap(blob);
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    return await canvas.convertToBlob({ type: "image/png" });
  } catch {
    return null;
  }
}

function sentence(body, status) {
  if (!body.message) return `The server answered ${status}.`;
  const text = body.message[0].toUpperCase() + body.message.slice(1);
  return body.allowed ? `${text}. Allowed: ${body.allowed}.` : `${text}.`;
}

const mega = (bytes) => `${(bytes / 1048576).toFixed(1)} MB`;

function watchFiles(board) {
  const input = document.getElementById("file");
  const drop = document.getElementById("drop");
  const take = (file) => {
    board?.clear();
    recognise(file);
  };
  input.addEventListener("change", () => {
    if (input.files.length) take(input.files[0]);
    input.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file) take(file);
  });
  for (const button of document.querySelectorAll("[data-example]")) {
    button.addEventListener("click", async () => {
      const response = await fetch(`/examples/${button.dataset.example}`);
      if (response.ok) take(await response.blob());
    });
  }
}

const board = settings.draw ? startBoard(settings.draw_size, (blob) => recognise(blob, { drawn: true })) : null;
if (settings.kind === "audio") startRecorder(settings.max_seconds, recognise);
watchFiles(board);
