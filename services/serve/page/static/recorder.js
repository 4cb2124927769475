/* Records from the microphone and turns whatever the browser can decode into a WAV file, which the server reads. */

export function startRecorder(maxSeconds, onSound) {
  const button = document.getElementById("record");
  const text = document.getElementById("record-text");
  const clock = document.getElementById("clock");
  const note = document.getElementById("record-note");
  let active = null;

  function say(message) {
    note.textContent = message;
    note.hidden = !message;
  }

  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
    button.disabled = true;
    say("Recording needs a microphone and an address that starts with https or is this machine. Files work anyway.");
    return;
  }

  async function start() {
    say("");
    let stream;
    try {
      const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    } catch {
      say("The microphone is not allowed or not there.");
      return;
    }
    const chunks = [];
    const recorder = new MediaRecorder(stream);
    const context = new AudioContext();
    const meter = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(meter);
    recorder.addEventListener("dataavailable", (event) => chunks.push(event.data));
    recorder.addEventListener("stop", async () => {
      for (const track of stream.getTracks()) track.stop();
      await context.close();
      try {
        onSound(await asWav(new Blob(chunks, { type: recorder.mimeType })));
      } catch {
        say("The browser cannot read its own recording; try a file.");
      }
    });
    recorder.start();
    active = { recorder, meter, began: performance.now() };
    button.setAttribute("aria-pressed", "true");
    text.textContent = "Stop";
    requestAnimationFrame(tick);
  }

  function stop() {
    active?.recorder.stop();
    active = null;
    button.setAttribute("aria-pressed", "false");
    text.textContent = "Record";
  }

  function tick() {
    if (!active) return;
    const seconds = (performance.now() - active.began) / 1000;
    clock.textContent = `${seconds.toFixed(1)} s`;
    drawWave(active.meter);
    if (seconds >= maxSeconds) stop();
    else requestAnimationFrame(tick);
  }

  button.addEventListener("click", () => (active ? stop() : start()));
}

function drawWave(meter) {
  const canvas = document.getElementById("level");
  const pen = canvas.getContext("2d");
  const samples = new Float32Array(meter.fftSize);
  meter.getFloatTimeDomainData(samples);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.beginPath();
  samples.forEach((sample, index) => {
    const x = (index / samples.length) * canvas.width;
    pen.lineTo(x, canvas.height / 2 - sample * canvas.height * 0.9);
  });
  pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  pen.lineWidth = 3;
  pen.stroke();
}

/** Any sound that the browser decodes as a mono 16-bit WAV file. */
export async function asWav(blob) {
  const context = new OfflineAudioContext(1, 1, 48000);
  const sound = await context.decodeAudioData(await blob.arrayBuffer());
  const mono = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
    const samples = sound.getChannelData(channel);
    for (let at = 0; at < mono.length; at += 1) mono[at] += samples[at] / sound.numberOfChannels;
  }
  return new Blob([header(mono.length, sound.sampleRate), pcm(mono)], { type: "audio/wav" });
}

function header(samples, rate) {
  const view = new DataView(new ArrayBuffer(44));
  const word = (place, text) => [...text].forEach((letter, at) => view.setUint8(place + at, letter.charCodeAt(0)));
  word(0, "RIFF");
  view.setUint32(4, 36 + samples * 2, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  word(36, "data");
  view.setUint32(40, samples * 2, true);
  return view.buffer;
}

function pcm(samples) {
  const view = new DataView(new ArrayBuffer(samples.length * 2));
  samples.forEach((sample, at) => view.setInt16(at * 2, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return view.buffer;
}
