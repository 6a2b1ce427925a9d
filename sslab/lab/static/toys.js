// What is tried by hand on a trained model: patches to hide, latents to move. The kernel owns `shown`, a hand `chosen`.

const LARGE = 240, SMALL = 170, APART = 20;               // CSS px: a picture at most, in a row of three at least, between two
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

const FILLING = `
  <div class="panes"></div>
  <div class="buttons" role="group" aria-label="Mask and picture">
    <button type="button" name="random">Random mask, 75 %</button><button type="button" name="clear">Hide nothing</button>
    <button type="button" name="next">Next picture</button></div>
  <p role="status"></p>`;

const LATENTS = `
  <div class="beside"><div class="panes"></div><div class="sliders" role="group" aria-label="Latents"></div></div>
  <div class="buttons" role="group" aria-label="Code and picture">
    <button type="button" name="random">Random code</button><button type="button" name="back">Back to the picture's code</button>
    <button type="button" name="next">Next picture</button></div>
  <p role="status"></p>`;

/** Panes of pictures, buttons and a sentence; what else there is, a subclass adds. */
class ToyView {
  constructor(model, root, page) {
    Object.assign(this, { model, root });
    root.className = "sslab sslab-toy";
    root.innerHTML = page;
    this.$ = (selector) => root.querySelector(selector);
    this.panes = model.get("shown").titles.map((title) => {
      const figure = document.createElement("figure");
      figure.innerHTML = `<figcaption></figcaption><div class="frame"><canvas role="img"></canvas></div>`;
      figure.firstElementChild.textContent = title;
      this.$(".panes").append(figure);
      return figure.querySelector("canvas");
    });
    root.querySelectorAll("button[name]").forEach((button) => { button.onclick = () => model.send({ press: button.name }); });
    this.hear = () => this.show();
    this.follow = () => this.take(model.get("chosen"));
    this.observer = new ResizeObserver(() => this.fit());
    this.release = ownKeys(root);                         // the arrows and the space bar are ours, not the notebook's
    root.sslab = this;                                    // for the tests and for the curious
  }

  open() {
    this.follow();
    this.show();
    this.model.on("change:shown", this.hear);
    this.model.on("change:chosen", this.follow);
    this.observer.observe(this.root);
  }

  close() {
    this.model.off("change:shown", this.hear);
    this.model.off("change:chosen", this.follow);
    this.observer.disconnect();
    this.release();
  }

  choose(value) {
    this.model.set("chosen", value);
    this.model.save_changes();                            // one on its way at a time, and then the latest
  }

  show() {
    const { titles, shape, pictures, status } = this.model.get("shown");
    this.panes.forEach((canvas, index) => {
      const { buffer, byteOffset, byteLength } = pictures[index];
      paintPictures(canvas, new Uint8Array(buffer, byteOffset, byteLength), [1, ...shape]);
      canvas.setAttribute("aria-label", `${titles[index]}. ${status}`);
    });
    this.$("[role=status]").textContent = status;
    this.fit();
  }

  /** All panes in one row; where that makes them small, the first is as large as it can be and the others share a row. */
  fit() {
    const room = this.root.clientWidth - 30, count = this.panes.length, each = (room - APART * (count - 1)) / count;
    if (room <= 0) return;
    this.panes.forEach((canvas, index) => {
      const wide = each >= SMALL || count < 3 ? each : index ? (room - APART) / 2 : room;
      enlarge(canvas, Math.min(LARGE, wide), LARGE);
    });
  }
}

/** Patches over the first picture, one cell each: hidden or seen. */
class FillingView extends ToyView {
  constructor(model, root) {
    super(model, root, FILLING);
    this.grid = model.get("shown").grid;
    this.hidden = new Array(this.grid ** 2).fill(false);
    this.board = document.createElement("div");
    Object.assign(this.board, { className: "board", tabIndex: -1 });
    this.board.setAttribute("role", "grid");
    this.board.setAttribute("aria-multiselectable", "true");
    this.board.setAttribute("aria-label", `Patches, ${this.grid} rows of ${this.grid}. Arrow keys go from patch to patch, space hides or reveals it.`);
    this.cells = this.hidden.map((_, index) => {
      const cell = document.createElement("div");
      cell.setAttribute("role", "gridcell");
      cell.tabIndex = index ? -1 : 0;
      return cell;
    });
    for (let row = 0; row < this.grid; row++) {
      const line = document.createElement("div");
      line.setAttribute("role", "row");
      line.append(...this.cells.slice(row * this.grid, (row + 1) * this.grid));
      this.board.append(line);
    }
    this.cells.forEach((_, index) => this.mark(index));
    this.panes[0].removeAttribute("role");
    this.panes[0].setAttribute("aria-hidden", "true");    // the grid says it
    this.panes[0].after(this.board);
    this.panes[0].closest("figure").firstElementChild.textContent = "Click or drag to hide";
    this.board.addEventListener("pointerdown", (event) => this.press(event));
    this.board.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      this.board.addEventListener(end, () => { this.painting = null; });
    }
    this.board.addEventListener("keydown", (event) => this.key(event));
    this.open();
  }

  take(chosen) {                                          // a hand that paints goes first
    if (this.painting === null || this.painting === undefined) [...chosen].forEach((one, index) => this.set(index, one === "#"));
  }

  show() {
    super.show();
    const { shape, pictures } = this.model.get("shown"), { buffer, byteOffset, byteLength } = pictures.at(-1);
    paintPictures(this.panes[0], new Uint8Array(buffer, byteOffset, byteLength), [1, ...shape]);   // the cells hide it
  }

  set(index, hidden) {
    if (this.hidden[index] === hidden) return false;
    this.hidden[index] = hidden;
    this.mark(index);
    return true;
  }

  mark(index) {
    const hidden = this.hidden[index], row = Math.floor(index / this.grid) + 1, column = (index % this.grid) + 1;
    this.cells[index].setAttribute("aria-selected", String(hidden));
    this.cells[index].setAttribute("aria-label", `row ${row}, column ${column}, ${hidden ? "hidden" : "seen"}`);
  }

  tell() { this.choose(this.hidden.map((hidden) => (hidden ? "#" : ".")).join("")); }

  focus(index) {
    this.cells.forEach((cell, other) => { cell.tabIndex = other === index ? 0 : -1; });
    this.cells[index].focus({ preventScroll: true });
  }

  at({ clientX, clientY }) {
    const box = this.board.getBoundingClientRect();
    const place = (value, from, size) => Math.max(0, Math.min(this.grid - 1, Math.floor((this.grid * (value - from)) / size)));
    return [place(clientY, box.top, box.height), place(clientX, box.left, box.width)];
  }

  press(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();                               // no selection of text
    const [row, column] = this.at(event), index = row * this.grid + column;
    try { this.board.setPointerCapture(event.pointerId); } catch { /* a pointer of a test */ }
    this.focus(index);
    this.painting = !this.hidden[index];                  // one stroke hides, or reveals
    this.last = [row, column];
    this.set(index, this.painting);
    this.tell();
  }

  drag(event) {
    if (this.painting === null || this.painting === undefined) return;
    const [row, column] = this.at(event), [y, x] = this.last, steps = Math.max(Math.abs(row - y), Math.abs(column - x));
    let changed = false;
    for (let i = 1; i <= steps; i++) {                    // a fast hand skips patches
      const index = Math.round(y + ((row - y) * i) / steps) * this.grid + Math.round(x + ((column - x) * i) / steps);
      changed = this.set(index, this.painting) || changed;
    }
    this.last = [row, column];
    if (changed) this.tell();
  }

  key(event) {
    const index = this.cells.indexOf(event.target), move = ARROWS[event.key];
    if (index < 0 || event.ctrlKey || event.metaKey || event.altKey || !(move || event.key === " " || event.key === "Enter")) return;
    event.preventDefault();
    event.stopPropagation();
    if (!move) { this.set(index, !this.hidden[index]); this.tell(); return; }
    const clamp = (value) => Math.max(0, Math.min(this.grid - 1, value));
    this.focus(clamp(Math.floor(index / this.grid) + move[0]) * this.grid + clamp((index % this.grid) + move[1]));
  }
}

/** A slider a latent. */
class LatentsView extends ToyView {
  constructor(model, root) {
    super(model, root, LATENTS);
    const { names, low, high } = model.get("shown"), id = Math.random().toString(36).slice(2);
    this.sliders = names.map((name, index) => {
      const line = document.createElement("div");
      line.className = "slider";
      line.innerHTML = `<label for="${id}-${index}">${name}</label><span aria-hidden="true"></span>
        <input type="range" id="${id}-${index}" min="${low[index]}" max="${high[index]}" step="any">`;
      const input = line.querySelector("input");
      input.step = (high[index] - low[index]) / 400;
      input.addEventListener("input", () => {
        this.touched = performance.now();
        this.values[index] = Number(input.valueAsNumber.toFixed(3));
        this.label(index);
        this.choose([...this.values]);
      });
      this.$(".sliders").append(line);
      return input;
    });
    this.values = [];
    this.open();
  }

  take(chosen) {
    chosen.forEach((value, index) => {
      const held = document.activeElement === this.sliders[index] && performance.now() - (this.touched ?? -Infinity) < 800;
      if (value === this.values[index] || held) return;   // not under a hand
      this.values[index] = value;
      this.sliders[index].value = value;
      this.label(index);
    });
  }

  label(index) {
    const text = this.values[index].toFixed(2);
    this.sliders[index].setAttribute("aria-valuetext", text);
    this.sliders[index].previousElementSibling.textContent = text;
  }
}

function render({ model, el }) {
  const root = document.createElement("div");
  el.append(root);
  const view = new (model.get("shown").toy === "Filling" ? FillingView : LatentsView)(model, root);
  return () => view.close();
}

export default { render };
