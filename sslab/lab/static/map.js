// The moving map: one marker an image, colour and shape by class, the image itself under the pointer.

const COLOURS = ["#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"];   // Okabe-Ito, no black, no yellow
const SHAPES = ["circle", "square", "triangle", "diamond", "down", "plus", "cross", "star"];
const GLIDE = 1600;                                       // ms in which points go most of their way (1 - 1/e) to the newest map
const THERE = 0.003;                                      // of the map's half width: nearer than this is arrived
const NEAR = 14;                                          // px within which the pointer finds a point

const classColour = (label) => (label < 0 ? "#888888" : COLOURS[label % COLOURS.length]);
const classShape = (label) => (label < 0 ? "circle" : SHAPES[label % SHAPES.length]);

/** Trace a marker of radius r around (x, y). */
function trace(c, shape, x, y, r) {
  const polygon = (corners, turn, radius = r) => {
    for (let i = 0; i < corners; i++) {
      const angle = turn + (2 * Math.PI * i) / corners;
      c.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
    c.closePath();
  };
  c.beginPath();
  if (shape === "circle") c.arc(x, y, r * 0.9, 0, 7);
  else if (shape === "square") c.rect(x - r * 0.8, y - r * 0.8, r * 1.6, r * 1.6);
  else if (shape === "triangle") polygon(3, -Math.PI / 2, r * 1.15);
  else if (shape === "down") polygon(3, Math.PI / 2, r * 1.15);
  else if (shape === "diamond") polygon(4, 0, r * 1.1);
  else if (shape === "star") {
    for (let i = 0; i < 10; i++) {
      const angle = -Math.PI / 2 + (Math.PI * i) / 5, radius = i % 2 ? r * 0.5 : r * 1.2;
      c.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
    c.closePath();
  } else {
    const t = r * 0.38, turn = shape === "cross" ? Math.PI / 4 : 0, l = r * 1.1;
    const corners = [[-t, -l], [t, -l], [t, -t], [l, -t], [l, t], [t, t], [t, l], [-t, l], [-t, t], [-l, t], [-l, -t], [-t, -t]];
    corners.forEach(([u, v]) => c.lineTo(x + u * Math.cos(turn) - v * Math.sin(turn), y + u * Math.sin(turn) + v * Math.cos(turn)));
    c.closePath();
  }
}

/** A marker drawn once, to be stamped many times. */
function stamp(label, theme, ratio, radius) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.ceil((2 * radius + 6) * ratio);
  const c = canvas.getContext("2d");
  c.scale(ratio, ratio);
  trace(c, classShape(label), radius + 3, radius + 3, radius);
  c.lineWidth = 1.6;
  c.strokeStyle = theme.paper;
  c.stroke();
  c.fillStyle = classColour(label);
  c.fill();
  return canvas;
}

class EmbeddingMap {
  constructor(parent, announce) {
    this.announce = announce;
    parent.innerHTML = `<div class="stage"><canvas tabindex="0" role="application" aria-roledescription="map"></canvas>
        <div class="tip" hidden><canvas width="84" height="84"></canvas><span></span></div>
        <p class="empty">The map appears when training starts.</p></div>
      <ul class="legend" aria-label="Classes: press one to see it alone"></ul>`;
    this.canvas = parent.querySelector(".stage canvas");
    this.tip = parent.querySelector(".tip");
    this.empty = parent.querySelector(".empty");
    this.legend = parent.querySelector(".legend");
    this.texts = null;                                    // what stands under the pointer, with the picture or in its place
    this.pictured = false;
    this.points = this.target = null;
    this.labels = [];
    this.only = null;
    this.pointed = -1;
    this.drawn = 0;
    this.glides = true;
    this.canvas.addEventListener("pointermove", (event) => this.pick(this.nearest(event.offsetX, event.offsetY)));
    this.canvas.addEventListener("pointerleave", () => this.pick(-1));
    this.canvas.addEventListener("blur", () => this.pick(-1));
    this.canvas.addEventListener("keydown", (event) => this.walk(event));
  }

  setClasses(names, labels) {
    this.names = names;
    this.labels = labels;
    this.only = null;
    this.stamps = null;
    this.legend.replaceChildren(...names.slice(0, 30).map((name, label) => {
      const item = document.createElement("li"), button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "false");
      button.innerHTML = `<svg viewBox="-8 -8 16 16" width="13" height="13" aria-hidden="true"></svg><span></span>`;
      button.querySelector("svg").append(svgMarker(label));
      button.querySelector("span").textContent = name;
      button.onclick = () => {
        this.only = this.only === label ? null : label;
        this.legend.querySelectorAll("button").forEach((other, index) =>
          other.setAttribute("aria-pressed", String(index === this.only)));
        this.draw(performance.now());
      };
      item.append(button);
      return item;
    }));
    if (names.length > 30) this.legend.append(`and ${names.length - 30} more`);
  }

  async setSprite(bytes, { tile, across }) {
    this.pictured = true;
    this.tile = tile;
    this.across = across;
    this.sprite = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  }

  forget() {
    this.points = this.target = null;
    this.pick(-1);
  }

  /**
   * New places, Float32Array [2 N]. The points glide there, ever slower, so that they still move if the next map is late:
   * how long it takes is not known beforehand.
   */
  move(target, jump = false) {
    const first = !this.points || this.points.length !== target.length;
    this.target = target;
    this.began = performance.now();
    if (first || jump || !this.glides) this.points = target.slice();
    this.settled = false;
  }

  get moving() {
    return this.points !== null && !this.settled;
  }

  draw(now) {
    this.empty.hidden = this.points !== null;
    const fitted = fit(this.canvas);
    if (!fitted || !this.theme) return;
    if (!this.points) return;
    const { context: c, width, height } = fitted, ratio = window.devicePixelRatio || 1;
    const share = 1 - Math.exp(-Math.max(0, now - this.began) / GLIDE);
    this.began = now;
    let left = 0;
    for (let i = 0; i < this.points.length; i++) {
      left = Math.max(left, Math.abs(this.target[i] - this.points[i]));
      this.points[i] += share * (this.target[i] - this.points[i]);
    }
    this.settled = left < THERE;
    const radius = Math.max(3.2, Math.min(width, height) / 95);
    if (!this.stamps || this.stampedFor !== `${radius} ${ratio}`) {
      this.stamps = new Map([...new Set(this.labels)].map((label) => [label, stamp(label, this.theme, ratio, radius)]));
      this.stampedFor = `${radius} ${ratio}`;
    }
    const side = 2 * radius + 6;
    c.imageSmoothingEnabled = true;
    for (const front of [false, true]) {
      for (let i = 0; i < this.labels.length; i++) {
        const chosen = this.only === null || this.labels[i] === this.only;
        if (chosen !== front) continue;
        c.globalAlpha = chosen ? 0.9 : 0.1;
        const [x, y] = this.place(i, width, height);
        c.drawImage(this.stamps.get(this.labels[i]), x - side / 2, y - side / 2, side, side);
      }
    }
    c.globalAlpha = 1;
    if (this.pointed >= 0) {
      const [x, y] = this.place(this.pointed, width, height);
      c.strokeStyle = this.theme.ink;
      c.lineWidth = 2;
      c.beginPath(); c.arc(x, y, radius + 4, 0, 7); c.stroke();
      this.showTip(x, y, width, height);
    }
    this.drawn += 1;
  }

  place(i, width, height) {
    const half = Math.min(width, height) / 2 - 6;
    const clip = (value, limit) => Math.max(-limit, Math.min(limit, value));
    return [width / 2 + clip(this.points[2 * i] * half, width / 2 - 6),
            height / 2 - clip(this.points[2 * i + 1] * half, height / 2 - 6)];
  }

  nearest(x, y) {
    if (!this.points) return -1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    let best = -1, least = NEAR * NEAR;
    for (let i = 0; i < this.labels.length; i++) {
      if (this.only !== null && this.labels[i] !== this.only) continue;
      const [u, v] = this.place(i, width, height), distance = (u - x) ** 2 + (v - y) ** 2;
      if (distance < least) { least = distance; best = i; }
    }
    return best;
  }

  /** Arrow keys go to the nearest point in their direction. */
  walk(event) {
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") this.pick(-1);
    if (!direction || !this.points) return;
    event.preventDefault();
    event.stopPropagation();
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const [x, y] = this.pointed < 0 ? [width / 2, height / 2] : this.place(this.pointed, width, height);
    let best = this.pointed, least = Infinity;
    for (let i = 0; i < this.labels.length; i++) {
      const [u, v] = this.place(i, width, height);
      const along = (u - x) * direction[0] + (v - y) * direction[1];
      const aside = Math.abs((u - x) * direction[1]) + Math.abs((v - y) * direction[0]);
      if (i !== this.pointed && along > 0.5 && along + 2 * aside < least) { least = along + 2 * aside; best = i; }
    }
    this.pick(best);
    if (best >= 0) this.announce(this.describe(best));
  }

  describe(i) {
    const name = this.labels[i] < 0 ? "no label" : this.names[this.labels[i]];
    return this.texts ? `${name}: ${this.texts[i]}` : name;
  }

  pick(i) {
    if (i === this.pointed) return;
    this.pointed = i;
    this.tip.hidden = i < 0;
    this.draw(performance.now());
  }

  showTip(x, y, width, height) {
    const alone = this.texts !== null && !this.pictured;
    this.tip.classList.toggle("text", alone);
    this.tip.classList.toggle("both", this.texts !== null && !alone);
    if (this.texts) this.tip.querySelector("span").textContent = this.describe(this.pointed);
    const c = this.tip.querySelector("canvas").getContext("2d"), wide = alone ? 230 : this.texts ? 150 : 98;
    if (this.sprite && this.tippedFor !== this.pointed) {
      c.imageSmoothingEnabled = false;
      c.clearRect(0, 0, 84, 84);
      c.drawImage(this.sprite, (this.pointed % this.across) * this.tile, Math.floor(this.pointed / this.across) * this.tile,
                  this.tile, this.tile, 0, 0, 84, 84);
      this.tip.querySelector("span").textContent = this.describe(this.pointed);
      this.tippedFor = this.pointed;
    }
    this.tip.style.left = `${Math.min(Math.max(0, x > width / 2 ? x - wide - 16 : x + 16), width - wide)}px`;
    this.tip.style.top = `${Math.min(Math.max(0, y - 50), height - (this.texts && !alone ? this.tip.offsetHeight : 118))}px`;
  }
}

function svgMarker(label) {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const steps = [];
  trace({
    beginPath() {}, closePath() { steps.push("Z"); },
    lineTo(x, y) { steps.push(`${steps.length && steps.at(-1) !== "Z" ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`); },
    rect(x, y, w, h) { steps.push(`M${x} ${y}h${w}v${h}h${-w}Z`); },
    arc(x, y, r) { steps.push(`M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`); },
  }, classShape(label), 0, 0, 6);
  path.setAttribute("d", steps.join(""));
  path.setAttribute("fill", classColour(label));
  return path;
}
