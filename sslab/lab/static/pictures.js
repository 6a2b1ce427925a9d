// Pictures as bytes on a canvas: small ones, enlarged without a blur.

const GAP = 2;                                            // between two pictures, in their pixels
const TALLEST = 64;                                       // CSS px of a picture in a row

/** Pictures side by side, bytes [N, H, W, C] with C 1 or 3, on a canvas of just as many pixels. */
function paintPictures(canvas, bytes, [count, height, width, channels], gap = GAP) {
  canvas.width = count * (width + gap) - gap;
  canvas.height = height;
  const c = canvas.getContext("2d"), image = c.createImageData(width, height), { data } = image, size = width * height;
  for (let i = 0; i < count; i++) {
    for (let p = 0; p < size; p++) {
      for (let k = 0; k < 3; k++) data[4 * p + k] = bytes[(i * size + p) * channels + (channels === 1 ? 0 : k)];
      data[4 * p + 3] = 255;
    }
    c.putImageData(image, i * (width + gap), 0);
  }
}

/** Enlarge a canvas to at most `wide` times `high` CSS px, each pixel to a whole number of the screen's unless that wastes room. */
function enlarge(canvas, wide, high) {
  const ratio = window.devicePixelRatio || 1, most = ratio * Math.min(wide / canvas.width, high / canvas.height);
  const scale = (Math.floor(most) > 0.7 * most ? Math.floor(most) : most) / ratio;
  canvas.style.width = `${canvas.width * scale}px`;
  canvas.style.height = `${canvas.height * scale}px`;
}

/** The rows of pictures that an objective has to show, each with its name. No rows, no panel. */
class PictureRows {
  constructor(section) {
    this.section = section;
    this.caption = section.querySelector(".caption");
    this.box = section.querySelector(".rows");
    this.box.setAttribute("role", "img");
  }

  forget(expected) {
    this.section.hidden = !expected;
    this.caption.textContent = expected ? "They appear when training starts." : "";
    this.box.replaceChildren();
    this.box.setAttribute("aria-label", this.caption.textContent);
    this.news = null;
  }

  show({ step }, rows) { this.news = { step, rows }; }

  draw() {
    if (this.news) this.paint(this.news);
    this.news = null;
    const [name, canvas] = this.box.children, wide = canvas ? this.box.clientWidth - name.offsetWidth - 10 : 0;
    const key = `${wide} ${window.devicePixelRatio}`;
    if (wide <= 0 || key === this.fitted) return;
    this.fitted = key;
    this.box.querySelectorAll("canvas").forEach((one) => enlarge(one, wide, TALLEST));
  }

  paint({ step, rows }) {
    const names = rows.map((row) => row.name), key = JSON.stringify(rows.map(({ name, shape }) => [name, shape]));
    this.section.hidden = !rows.length;
    if (key !== this.key || this.box.children.length !== 2 * rows.length) {
      this.key = key;
      this.fitted = null;
      this.box.replaceChildren(...names.flatMap((name) =>
        [Object.assign(document.createElement("span"), { textContent: name }), document.createElement("canvas")]));
    }
    this.box.querySelectorAll("canvas").forEach((canvas, index) => paintPictures(canvas, rows[index].bytes, rows[index].shape));
    this.caption.textContent = `Always the same validation images, step ${step}`;
    this.box.setAttribute("aria-label", `${rows.length} rows of pictures at step ${step}, from top to bottom: ${names.join(", ")}`);
  }
}
