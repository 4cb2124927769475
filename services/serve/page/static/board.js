/*
 * A board to draw on, and its drawing as the scans that the model was trained with look.
 *
 * The scans (UCI "Optical Recognition of Handwritten Digits") are bitmaps of 32 by 32, filled by the character in
 * height and centred, counted in blocks of 4 by 4. So the strokes, not their pixels, are moved and scaled to fill
 * four times the wanted size, drawn again with a pen of the scans' width, and averaged in blocks: neither the size
 * of the drawing nor the width of the pen on the screen matters. In the scans 30 % of the area is ink, whatever the
 * digit, because slim ones were widened: a slim drawing gets a wider pen.
 */
const GRAIN = 4;
const PEN = 0.15;
const SLIM_PEN = 0.07;
const SLIM = 0.6;
const SCREEN_PEN = 0.055;
const WAIT = 250;

export function startBoard(side, onDrawing) {
  const canvas = document.getElementById("board");
  const undo = document.getElementById("undo");
  const clear = document.getElementById("clear");
  const hint = document.getElementById("hint");
  const seen = document.getElementById("seen");
  const strokes = [];
  let current = null;
  let timer = 0;

  function resize() {
    const size = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    if (canvas.width !== size) canvas.width = canvas.height = size;
    paint();
  }

  function paint() {
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    trace(pen, strokes, canvas.width, 0, 0, SCREEN_PEN * canvas.width, "#f6f3ea");
    hint.hidden = strokes.length > 0;
    undo.disabled = clear.disabled = strokes.length === 0;
  }

  function point(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  function changed() {
    clearTimeout(timer);
    paint();
    if (!strokes.length) {
      seen.hidden = true;
      return;
    }
    timer = setTimeout(async () => {
      const small = document.getElementById("small");
      shrink(strokes, side, small);
      seen.hidden = false;
      onDrawing(await new Promise((done) => small.toBlob(done, "image/png")));
    }, WAIT);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || current) return;
    event.preventDefault();
    clearTimeout(timer);
    canvas.setPointerCapture(event.pointerId);
    current = { id: event.pointerId, points: [point(event)] };
    strokes.push(current.points);
    paint();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== current?.id) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) current.points.push(point(move));
    paint();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (event.pointerId !== current?.id) return;
      current = null;
      changed();
    });
  }
  undo.addEventListener("click", () => {
    strokes.pop();
    changed();
  });
  const wipe = () => {
    strokes.length = 0;
    changed();
  };
  clear.addEventListener("click", wipe);
  new ResizeObserver(resize).observe(canvas);
  resize();
  return { clear: wipe };
}

/** Paint the strokes, given in parts of the board, into `target` as a picture of side by side pixels. */
export function shrink(strokes, side, target) {
  const large = side * GRAIN;
  const xs = strokes.flat().map(([x]) => x);
  const ys = strokes.flat().map(([, y]) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const extent = Math.max(right - left, bottom - top, 0.02);
  const slimness = Math.max(0, 1 - Math.min(right - left, bottom - top) / extent / SLIM);
  const width = (PEN + SLIM_PEN * slimness) * large;
  const scale = (large - width) / extent;
  const shiftX = large / 2 - (scale * (left + right)) / 2;
  const shiftY = large / 2 - (scale * (top + bottom)) / 2;
  const sheet = new OffscreenCanvas(large, large);
  const pen = sheet.getContext("2d");
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, large, large);
  trace(pen, strokes, scale, shiftX, shiftY, width, "#fff");
  const { data } = pen.getImageData(0, 0, large, large);
  target.width = target.height = side;
  const out = new ImageData(side, side);
  for (let row = 0; row < side; row += 1) {
    for (let column = 0; column < side; column += 1) {
      let sum = 0;
      for (let at = 0; at < GRAIN * GRAIN; at += 1) {
        const y = row * GRAIN + Math.floor(at / GRAIN);
        sum += data[(y * large + column * GRAIN + (at % GRAIN)) * 4];
      }
      const place = (row * side + column) * 4;
      out.data.fill(sum / (GRAIN * GRAIN), place, place + 3);
      out.data[place + 3] = 255;
    }
  }
  target.getContext("2d").putImageData(out, 0, 0);
}

function trace(pen, strokes, scale, shiftX, shiftY, width, colour) {
  pen.lineWidth = width;
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = colour;
  for (const points of strokes) {
    pen.beginPath();
    pen.moveTo(points[0][0] * scale + shiftX, points[0][1] * scale + shiftY);
    for (const [x, y] of points) pen.lineTo(x * scale + shiftX, y * scale + shiftY);
    pen.stroke();
  }
}
