// The dashboard of a lab. The kernel sends "state" (everything) and "frame" (what is new); we answer those that
// ask for it with "ack" once they are drawn, and send what a person does. No network, no library, no build step.

const SEND_EVERY = 100;                                   // ms between two values of a slider that is being moved
const TWEEN_EVERY = 200;                                  // ms from one picture of a moving map to the next, at least
const SHARE = 0.15;                                       // of this page's time that moving the map may take
const HANDS_OFF = 800;                                    // ms in which the kernel does not move a slider under a hand
const MERGE = 12;                                         // steps within which changes of one knob are one change
const CALM = 2000;                                        // ms between two pictures of what moves in steps, at least

const PAGE = `
  <div class="top">
    <div class="pick"><label>Objective <select name="objective"></select></label>
      <label>Data <select name="dataset"></select></label></div>
    <div class="buttons" role="group" aria-label="Training">
      <button type="button" name="start" class="primary"><i aria-hidden="true">▶</i><span>Start</span></button>
      <button type="button" name="pause"><i aria-hidden="true">❚❚</i><span>Pause</span></button>
      <button type="button" name="stop"><i aria-hidden="true">■</i><span>Stop</span></button>
      <button type="button" name="reset"><i aria-hidden="true">↺</i><span>Reset</span></button></div>
    <label class="check"><input type="checkbox" name="compare" checked> Compare with earlier runs</label>
    <label class="motion">Motion <select name="motion"><option value="smooth">smooth</option><option value="steps">in steps</option>
      <option value="held">held still</option></select></label>
  </div>
  <div class="status"><span class="pill" hidden></span><span class="sentence">Connecting to the kernel.</span></div>
  <div class="progress" role="progressbar" aria-label="Steps done" aria-valuemin="0" aria-valuemax="100"><b></b></div>
  <p class="notice" role="alert" hidden><span></span><button type="button" name="dismiss" class="small">Dismiss</button></p>
  <div class="body">
    <section class="knobs" aria-label="Knobs"></section>
    <section class="readings" hidden></section>
    <section class="map" aria-label="Map of the embeddings">
      <div class="heading"><h4>Map of <span class="count"></span> validation <span class="what">images</span></h4>
        <button type="button" name="fold" class="small" aria-expanded="false" hidden>Show the map</button>
        <button type="button" name="umap" class="small">UMAP of this moment</button></div>
      <p class="caption"></p><div class="mapbox"></div></section>
    <section class="curves" aria-label="Curves"></section>
    <section class="pictures" aria-label="What it makes of pictures" hidden>
      <div class="heading"><h4>What it makes of pictures</h4><span class="caption"></span></div><div class="rows"></div></section>
    <section class="gauges" aria-label="Collapse gauges"></section>
  </div>
  <ul class="runs" aria-label="Runs shown"></ul>
  <div class="hidden" aria-live="polite"></div>`;

const words = (name) => name.replaceAll("_", " ");
const percent = (value) => `${Number((100 * value).toPrecision(2))} %`;
const say = (value) => (typeof value === "boolean" ? (value ? "on" : "off") : typeof value === "number" ? short(value) : value);

/** One buffer -> named typed arrays. */
function unpack(layout, view) {
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  const kinds = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };
  return Object.fromEntries(Object.entries(layout).map(([name, [kind, shape, offset]]) =>
    [name, new kinds[kind](bytes, offset, shape.reduce((a, b) => a * b, 1))]));
}

/** One knob: a native control with its label, its value and its help. */
class Control {
  constructor(knob, id, changed, describe) {
    Object.assign(this, { knob, changed, touched: -Infinity });
    this.root = document.createElement("div");
    this.root.className = `knob ${knob.kind}`;
    const help = `${id}-help`;
    if (knob.kind === "switch") {
      this.root.innerHTML = `<label for="${id}"><input type="checkbox" id="${id}"><span></span></label>`;
    } else if (knob.kind === "choice") {
      this.root.innerHTML = `<label for="${id}"><span></span></label><select id="${id}"></select>`;
      knob.options.forEach((option) => this.root.querySelector("select").add(new Option(option)));
    } else {
      this.root.innerHTML = `<label for="${id}"><span></span></label><output for="${id}"></output>
        <input type="range" id="${id}" min="0" max="${knob.integer && !knob.log ? knob.high - knob.low : 1000}" step="1">`;
      this.output = this.root.querySelector("output");
    }
    this.root.querySelector("label span").textContent = words(knob.name);
    this.input = this.root.querySelector("input, select");
    this.back = document.createElement("button");
    Object.assign(this.back, { type: "button", className: "back", textContent: "↺", hidden: true,
                               title: `Back to ${say(knob.default)}`, onclick: () => this.pick(knob.default) });
    this.back.setAttribute("aria-label", `${words(knob.name)} back to ${say(knob.default)}`);
    this.root.append(this.back);
    this.root.title = knob.help;
    this.input.setAttribute("aria-describedby", help);
    this.root.insertAdjacentHTML("beforeend", `<p id="${help}" class="${describe ? "help" : "hidden"}"></p>`);
    this.root.lastElementChild.textContent = knob.help;
    this.input.addEventListener("input", () => this.pick(this.read()));
    if (this.output) this.input.addEventListener("keydown", (event) => this.nudge(event));
  }

  /** One press of an arrow changes the value that is seen, though a pointer goes in finer steps. */
  nudge(event) {
    const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key], { input } = this, before = this.read();
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    for (let at; this.read() === before && at !== input.value;) {
      at = input.value;
      input.stepUp(way);
    }
    this.pick(this.read());
  }

  read() {
    const { kind, low, high, log, integer } = this.knob;
    if (kind === "switch") return this.input.checked;
    if (kind === "choice") return this.input.value;
    const share = this.input.value / this.input.max;
    const value = log ? low * (high / low) ** share : low + share * (high - low);
    return integer ? Math.round(value) : Math.min(high, Math.max(low, Number(value.toPrecision(log ? 2 : 3))));
  }

  pick(value) {
    this.touched = performance.now();
    this.write(value);
    this.changed(this.knob.name, value);
  }

  write(value) {
    const { kind, low, high, log } = this.knob;
    this.value = value;
    this.back.hidden = value === this.knob.default;
    this.root.classList.toggle("moved", value !== this.knob.default);
    if (kind === "switch") { this.input.checked = value; return; }
    if (kind === "choice") { this.input.value = value; return; }
    const share = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    if (this.read() !== value) this.input.value = Math.round(share * this.input.max);
    this.output.value = short(value);
    this.input.setAttribute("aria-valuetext", short(value));
    this.root.style.setProperty("--share", `${100 * share}%`);
  }

  follow(value) {                                         // the kernel's value, unless a hand is on it
    if (value !== this.value && performance.now() - this.touched > HANDS_OFF) this.write(value);
  }
}

class View {
  constructor(model, root) {
    Object.assign(this, { model, root, id: Math.random().toString(36).slice(2), known: false, controls: {}, waiting: {}, answered: 0, cost: 10, news: null });
    root.className = "sslab sslab-lab";
    root.innerHTML = PAGE;
    this.$ = (selector) => root.querySelector(selector);
    this.map = new EmbeddingMap(this.$(".mapbox"), (text) => { this.$("[aria-live]").textContent = text; });
    this.pictures = new PictureRows(this.$(".pictures"));
    this.readings = new ReadingCards(this.$(".readings"), this.id, (message) => this.say(message),
                                     (text) => { this.$("[aria-live]").textContent = text; });
    this.$("[name=fold]").onclick = () => this.fold(this.folded);
    this.makePlots();
    for (const name of ["start", "pause", "stop", "reset", "umap"]) {
      this.$(`button[name=${name}]`).onclick = (event) => this.press(name, event.currentTarget);
    }
    for (const name of ["objective", "dataset"]) {
      this.$(`select[name=${name}]`).onchange = (event) => this.say({ kind: "swap", [name]: event.target.value });
    }
    this.$("[name=compare]").onchange = () => this.draw();
    this.$("[name=dismiss]").onclick = () => { this.notice(""); this.$("[name=start]").focus(); };
    this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.$("[name=motion]").onchange = (event) => this.setMotion(event.target.value);
    this.follows = () => this.setMotion(this.calm.matches ? "steps" : "smooth");
    this.calm.addEventListener("change", this.follows);
    this.follows();
    this.release = ownKeys(root);
    this.hear = (content, buffers) => this.receive(content, buffers);
    model.on("msg:custom", this.hear);
    this.observers = [new ResizeObserver(() => this.draw()), new MutationObserver(() => this.retheme()),
                      new IntersectionObserver((seen) => this.setSeen(seen.at(-1).isIntersecting))];
    this.observers[0].observe(root);
    this.observers[1].observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "class"] });
    this.observers[2].observe(root);
    this.shown = () => this.setSeen(this.onScreen);
    document.addEventListener("visibilitychange", this.shown);
    this.style = document.head.appendChild(document.createElement("style"));      // the still picture is for later
    this.hideStill = () => { this.style.textContent = model.get("still") ? `.${model.get("still")} { display: none; }` : ""; };
    model.on("change:still", this.hideStill);
    this.hideStill();
    this.heart = setInterval(() => this.beat(), 2000);
    root.sslab = this;                                    // for the tests and for the curious
  }

  say(message) { this.model.send({ ...message, view: this.id }); }

  hello() { this.said = performance.now(); this.say({ kind: "hello" }); }

  /** Off the screen or in a hidden tab we ask for nothing, and training gets the time. */
  setSeen(onScreen) {
    this.onScreen = onScreen;
    const active = onScreen && !document.hidden;
    if (active === this.active) return;
    this.active = active;
    if (active) this.hello(); else this.say({ kind: "bye" });
  }

  beat() {                                                // a frame was lost, or the kernel was away
    const quiet = performance.now() - Math.max(this.heard || 0, this.said || 0);
    if (this.active && quiet > 3000 && (!this.known || this.state === "running")) this.hello();
  }

  close() {
    this.say({ kind: "bye" });
    this.model.off("msg:custom", this.hear);
    this.model.off("change:still", this.hideStill);
    this.style.remove();
    this.observers.forEach((observer) => observer.disconnect());
    document.removeEventListener("visibilitychange", this.shown);
    this.calm.removeEventListener("change", this.follows);
    this.release();
    clearInterval(this.heart);
    clearTimeout(this.tween);
    clearTimeout(this.soon);
  }

  // ---- what comes from the kernel

  receive(content, buffers) {
    if (content.kind !== "state" && (content.kind !== "frame" || !this.known)) return;
    this.heard = performance.now();
    const arrays = unpack(content.layout_of_buffer, buffers[0]);
    if (content.kind === "state") this.setEverything(content, arrays);
    if (content.from > this.rows.length) { this.hello(); return; }
    this.setNews(content, arrays);
    this.news = content.number;
    if (content.answer) this.owed = content.number;
    if (!this.ticking && !document.hidden) this.tick();
  }

  /**
   * Draw what is new and, while the map moves, a picture of it every now and then: news wait for the next picture, so
   * that the page is painted once for both. Each picture costs training time; slow pages draw fewer.
   */
  tick() {
    this.ticking = true;
    const due = performance.now() + TWEEN_EVERY;            // counted from here, so that a slow paint does not add to it
    requestAnimationFrame(() => {
      const start = performance.now(), news = this.news;
      this.news = null;
      if (news) this.drawNews(); else this.map.draw(start);
      setTimeout(() => {                                  // now the page is painted
        this.cost = 0.8 * this.cost + 0.2 * (performance.now() - start);
        if (news) this.answered += 1;
        if (news && this.owed && this.active) {
          this.say({ kind: "ack", number: this.owed, cost: this.cost / 1000 });
          this.owed = null;
        }
        this.ticking = this.active && ((this.map.moving && this.motion === "smooth") || this.news !== null);
        if (this.ticking) this.tween = setTimeout(() => this.tick(), Math.max(due - performance.now(), this.cost / SHARE - this.cost));
      });
    });
  }

  /** Smooth, as it comes; in steps, every now and then; held still, when a person asks for it: a touch, another size or theme. */
  drawNews() {
    const wait = this.motion === "smooth" || this.state !== "running" ? 0 : CALM - (performance.now() - (this.drawnAt ?? -Infinity));
    if (this.motion === "held") return;
    if (wait <= 0) this.draw();
    else this.soon ??= setTimeout(() => { this.soon = null; if (this.motion !== "held") this.draw(); }, wait);
  }

  setMotion(motion) {
    this.motion = this.$("[name=motion]").value = motion;
    this.map.glides = motion === "smooth";
    if (this.live && !this.umap?.points && motion !== "held") this.map.move(this.live.points);
    this.draw();
    if (motion === "smooth" && this.map.moving && !this.ticking) this.tick();
  }

  setEverything(content, arrays) {
    this.known = true;
    Object.assign(this, { columns: content.columns, title: content.title, dataset: content.dataset, ghosts: content.ghosts,
                          rows: [], changes: [], gauges: null, spectrum: null, live: null, umap: null });
    this.ghosts.forEach((ghost, index) => {
      ghost.columns = columnsOf(arrays[`ghost${index}`], content.columns.slice(0, 6));
      ghost.spectrum = arrays[`ghost_spectrum${index}`];
    });
    this.map.setClasses(content.class_names, arrays.labels);
    this.map.forget();
    this.pictures.forget(content.pictorial);
    this.$(".body").classList.toggle("pictorial", content.pictorial);
    this.setKind(content);
    if (arrays.sprite) this.map.setSprite(arrays.sprite, content.sprite);
    this.$(".count").textContent = arrays.labels.length;
    for (const [name, options] of [["objective", content.objectives], ["dataset", content.datasets]]) {
      const select = this.$(`select[name=${name}]`);
      select.replaceChildren(...options.map((option) => new Option(option === content.objective ? content.title : option, option)));
      select.value = content[name];
    }
    this.makeKnobs(content.knobs, new Set(content.of_views));
    const compare = this.$("[name=compare]");
    compare.disabled = !this.ghosts.length;
    compare.parentElement.title = this.ghosts.length ? "" : "The curves of a run stay when the next one starts";
    this.retheme();
  }

  /** A lab of texts: what the model says in place of the map, which comes last, folded. Of pairs: what it finds, above the map. */
  setKind({ learns_from: kind, texts, asks, question }) {
    const textual = kind === "text";
    this.readings.expect(asks, question);
    if (texts || kind === "images") this.map.texts = texts ?? null;
    if (kind === this.learnsFrom) return;
    Object.assign(this, { learnsFrom: kind, textual });
    this.$(".body").classList.toggle("textual", textual);
    this.$(".body").classList.toggle("paired", kind === "pairs");
    this.$(".what").textContent = { images: "images", text: "texts", pairs: "drawings" }[kind];
    this.$("[name=fold]").hidden = !textual;
    if (textual) {
      this.$(".body").append(this.$("section.map"));       // in the order of the page, for the keyboard too
      this.plots.std.options.about = this.plots.std.options.about.replace("projections", "embeddings");
      this.plots.rank.options.about = this.plots.rank.options.about.replace("projections", "embeddings");
      this.plots.spectrum.options.about = this.plots.spectrum.options.about.replace("projections", "embeddings");
      this.plots.loss.options.about = "What is minimised, in nats a token. Dashed: all tokens equally likely, and each as often as it comes.";
    }
    if (kind === "pairs") {
      this.plots.probe.options.about = "A linear classifier of the groups, on the frozen picture encoder. Dashed: the same labels without pretraining.";
      this.plots.loss.options.about = "What is minimised. Dashed: what guessing, and what collapse, scores in a batch of this size.";
    }
    this.fold(false);
  }

  fold(open) {
    this.folded = this.textual && !open;
    const button = this.$("[name=fold]");
    button.textContent = open ? "Hide the map" : "Show the map";
    button.setAttribute("aria-expanded", String(!this.folded));
    this.$("section.map").classList.toggle("folded", this.folded);
    if (this.textual && open) this.say({ kind: "map" });
    this.draw();
  }

  setNews(content, arrays) {
    const width = this.columns.length;
    this.rows.length = content.from;
    for (let i = 0; i < arrays.rows.length; i += width) this.rows.push(arrays.rows.subarray(i, i + width));
    this.changes.push(...content.changes);
    const before = this.state;
    Object.assign(this, { state: content.state, total: content.total, levels: content.levels, baselines: content.controls });
    if (content.gauges) { this.gauges = content.gauges; this.spectrum = arrays.spectrum; }
    if (arrays.points) {
      this.live = { ...content.map, points: arrays.points };
      if (!this.umap?.points && (this.motion !== "held" || !this.map.points)) this.map.move(arrays.points, this.folded);
    }
    if (content.examples) {
      this.pictures.show(content.examples, content.examples.rows.map((name, index) =>
        ({ name, bytes: arrays[`examples${index}`], shape: content.layout_of_buffer[`examples${index}`][1] })));
    }
    if (content.readings) {
      this.readings.show({ ...content.readings, rows: content.readings.rows.map((row, index) =>
        ({ ...row, bytes: arrays[`found${index}`], shape: content.layout_of_buffer[`found${index}`]?.[1] })) });
    }
    if (content.umap) this.setUmap(content.umap, arrays.umap);
    for (const [name, value] of Object.entries(content.values)) this.controls[name]?.follow(value);
    this.$(".sentence").textContent = content.status;
    if (content.notice) this.notice(content.notice);
    this.setStatus(before !== this.state, content);
  }

  setStatus(changed, content) {
    const { state, total } = this, busy = ["running", "paused", "pausing"].includes(state);
    const able = { start: state !== "running", pause: state === "running", stop: busy, reset: true, umap: this.live !== null };
    for (const [name, on] of Object.entries(able)) this.$(`button[name=${name}]`).setAttribute("aria-disabled", String(!on));
    this.$("[name=start] span").textContent = state === "paused" || state === "pausing" ? "Resume"
      : state === "ready" || state === "running" ? "Start" : "Start again";
    const share = total ? (100 * content.steps) / total : 0, bar = this.$(".progress");
    bar.firstElementChild.style.width = `${share}%`;
    bar.setAttribute("aria-valuenow", share.toFixed(0));
    this.root.dataset.state = state;
    const pill = this.$(".pill"), kind = state === "failed" ? "error" : this.gauges?.kind;
    pill.hidden = !kind;
    pill.className = `pill ${kind === "healthy" ? "good" : (kind || "").startsWith("too few") ? "unsure" : "bad"}`;
    pill.textContent = `${kind === "healthy" ? "●" : "▲"} ${kind || ""}`;
    if (changed || kind !== this.saidKind) this.$("[aria-live]").textContent = content.status;
    this.saidKind = kind;
    this.caption();
  }

  setUmap({ progress, step, error }, points) {
    const button = this.$("[name=umap]");
    this.umap = { progress, step, points };
    button.textContent = points ? "Back to the live map" : progress < 1 && !error
      ? `UMAP ${Math.round(100 * progress)} %` : "UMAP of this moment";
    if (error) { this.notice(error); this.umap = null; }
    if (points) this.map.move(points, true);
  }

  caption() {
    const { umap, live } = this;
    this.$(".map .caption").textContent = umap?.points ? `UMAP, step ${umap.step}: near neighbours stay near, distances between groups mean little`
      : live ? `Two principal components, ${percent(live.explained)} of the variance, step ${live.step}` : "";
    this.map.canvas.setAttribute("aria-label", `Map of ${this.map.labels.length} embeddings in ${this.map.names?.length} classes. `
      + "Arrow keys go from point to point.");
  }

  // ---- what a person does

  press(name, button) {
    if (button.getAttribute("aria-disabled") === "true") return;
    if (name === "umap" && this.umap?.points) {
      this.umap = null;
      button.textContent = "UMAP of this moment";
      this.map.move(this.live.points, true);
      this.caption();
      this.draw();
      return;
    }
    this.notice("");
    this.say({ kind: name });
  }

  /** What went wrong, until it is dismissed or something else is done. */
  notice(text) {
    this.$(".notice span").textContent = text;
    this.$(".notice").hidden = !text;
  }

  /** A moved slider says so ten times a second, and its last value always. */
  turn(name, value) {
    this.waiting[name] = value;
    this.later ??= setTimeout(() => {
      this.later = null;
      this.say({ kind: "set", values: this.waiting });
      this.waiting = {};
    }, Math.max(0, SEND_EVERY - (performance.now() - (this.turned || -Infinity))));
    this.turned = performance.now();
  }

  makeKnobs(knobs, ofViews) {
    const panel = this.$(".knobs"), key = JSON.stringify([knobs, [...ofViews]]);
    if (key === this.knobsKey) return;
    this.knobsKey = key;
    const open = panel.querySelector("details")?.open;
    panel.innerHTML = `<h4>Knobs</h4><div class="numbers"></div><div class="switches"><h4>What breaks it?</h4></div>
      <details><summary>Views: what is changed in a picture</summary><div class="views"></div></details>`;
    panel.querySelector("details").open = Boolean(open);
    this.controls = {};
    for (const knob of knobs) {
      const views = ofViews.has(knob.name);
      const control = new Control(knob, `${this.id}-${knob.name}`, (name, value) => this.turn(name, value), !views);
      this.controls[knob.name] = control;
      control.write(knob.default);
      panel.querySelector(views ? ".views" : knob.kind === "switch" ? ".switches" : ".numbers").append(control.root);
    }
    for (const part of [".numbers", ".switches", ".views"]) {
      const box = panel.querySelector(part);
      if (!box.querySelector(".knob")) (part === ".views" ? box.parentElement : box).hidden = true;
    }
  }

  // ---- drawing

  makePlots() {
    const curves = this.$(".curves"), gauges = this.$(".gauges");
    this.plots = {
      loss: new Plot(curves, { title: "Loss", labelChanges: true, className: "tall",
                               about: "What is minimised. Dashed: what chance and collapse score." }),
      probe: new Plot(curves, { title: "Probe accuracy, 10 labels a class", range: [0, 1], format: percent, className: "tall",
                                about: "A linear classifier on the frozen encoder. Dashed: the same labels without pretraining." }),
      std: new Plot(gauges, { title: "Spread", range: [0, 1.15],
                              about: "Std of the normalised projections times sqrt(D): 1 evenly spread, 0 all in one point." }),
      rank: new Plot(gauges, { title: "Effective rank", about: "How many directions the projections use." }),
      spectrum: new Plot(gauges, { title: "Singular values", range: [1e-4, 1.3], logY: true,
                                   about: "How far the cloud of projections reaches along each axis, the longest being 1." }),
    };
    const terms = document.createElement("label");
    terms.className = "check terms";
    terms.innerHTML = `<input type="checkbox" name="terms"> its terms`;
    terms.onchange = () => this.draw();
    this.plots.loss.figure.querySelector(".title").after(terms);
    for (const name of ["loss", "probe", "std", "rank"]) {
      const canvas = this.plots[name].canvas;
      canvas.addEventListener("pointermove", (event) => this.point(this.plots[name].stepAt(event.offsetX)));
      canvas.addEventListener("pointerleave", () => this.point(null));
      canvas.addEventListener("keydown", (event) => this.walk(this.plots[name], event));
      canvas.addEventListener("blur", () => this.point(null));
      canvas.tabIndex = 0;
      canvas.setAttribute("role", "slider");              // what arrow keys read a value from
      canvas.setAttribute("aria-valuemin", "0");
    }
  }

  /** Arrow keys read a curve measurement by measurement, Escape goes back to the last one. */
  walk(plot, event) {
    const x = plot.series.at(-1)?.x ?? [], now = plot.hover === null ? x.length - 1 : x.findLastIndex((step) => step <= plot.hover);
    const to = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, PageDown: now - 10, PageUp: now + 10,
                 Home: 0, End: x.length - 1 }[event.key];
    if (event.key === "Escape") { this.point(null); this.speak(plot, x.at(-1) ?? 0); }
    if (to === undefined || !x.length || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.point(x[Math.max(0, Math.min(x.length - 1, to))]);
  }

  point(step) {
    for (const name of ["loss", "probe", "std", "rank"]) this.plots[name].hover = step === null ? null : Math.round(step);
    this.draw();
  }

  retheme() {
    this.theme = themeOf(this.root);
    this.map.theme = this.theme;
    this.map.stamps = null;
    this.draw();
  }

  draw() {
    if (!this.known || !this.theme || !this.root.clientWidth) return;
    this.drawnAt = performance.now();
    const ghosts = this.$("[name=compare]").checked ? [...this.ghosts].reverse() : [];
    const mine = columnsOf(this.rows, this.columns), steps = mine.step.length ? mine.step.at(-1) + 1 : 0;
    const end = lastStep(Math.max(steps, ...ghosts.map((ghost) => ghost.columns.step.length)), this.total);
    const changes = merged(this.changes);
    const { theme, plots } = this;
    const curve = (name, points) => [
      ...ghosts.map(({ columns }, index) => ({ x: columns.step, y: columns[name], colour: theme.ink, ghost: index })).reverse()
        .map(measuredOnly), measuredOnly({ x: mine.step, y: mine[name], colour: theme.accent, points, name })];
    const levels = (all) => Object.entries(all || {}).map(([name, y]) => ({ name, y }));
    const terms = this.columns.slice(6);
    this.$(".terms").hidden = terms.length < 2;
    const parts = terms.length < 2 || !this.$("[name=terms]").checked ? [] : terms.map((name, index) =>
      measuredOnly({ x: mine.step, y: mine[name], colour: COLOURS[(index + 4) % COLOURS.length], label: name }));
    plots.loss.show([...parts, ...curve("loss")], levels(this.levels), changes, end);
    plots.probe.show(curve("probe", true), levels(this.baselines).map((level) =>
      ({ ...level, name: `${level.name} ${percent(level.y)}` })), changes, end);
    plots.std.show(curve("std"), [{ y: 1, name: "even" }, { y: 0, name: "collapsed" }], changes, end);
    const dimensions = this.gauges?.dimensions;
    plots.rank.options.range = dimensions ? [0, dimensions * 1.1] : null;
    plots.rank.show(curve("effective_rank"), dimensions ? [{ y: dimensions, name: `all ${dimensions}` }] : [], changes, end);
    const axis = (values) => Float32Array.from(values, (_, index) => index + 1);
    plots.spectrum.show([
      ...ghosts.map(({ spectrum }, index) => spectrum && { x: axis(spectrum), y: spectrum, colour: theme.ink, ghost: index }),
      this.spectrum && { x: axis(this.spectrum), y: this.spectrum, colour: theme.accent, area: true }].filter(Boolean),
      [], [], Math.max(1, this.spectrum?.length || 0, ...ghosts.map(({ spectrum }) => spectrum?.length || 0)));
    this.writeValues(mine, dimensions);
    Object.values(plots).forEach((plot) => plot.draw(theme));
    this.listRuns(ghosts);
    this.pictures.draw();
    this.readings.draw();
    this.map.draw(performance.now());
  }

  writeValues(mine, dimensions) {
    const write = (name, column, text) => {
      const plot = this.plots[name], step = plot.hover;
      const value = lastMeasured(mine.step, column, step);
      plot.value.textContent = value === null ? "" : text(value) + (step === null ? "" : ` at step ${step}`);
      plot.canvas.setAttribute("aria-label", `${plot.options.title}. ${plot.options.about} Arrow keys read it step by step.`);
      if (step !== null || document.activeElement !== plot.canvas) this.speak(plot, step ?? mine.step.at(-1) ?? 0);
    };
    write("loss", mine.loss, (value) => value.toFixed(3));
    write("probe", mine.probe, (value) => `${(100 * value).toFixed(1)} %`);
    write("std", mine.std, (value) => value.toFixed(2));
    write("rank", mine.effective_rank, (value) => `${value.toFixed(0)} of ${dimensions}`);
    this.plots.spectrum.canvas.setAttribute("aria-label", `Singular values. ${this.plots.spectrum.options.about}`);
  }

  /** What is read aloud of a curve. While it has the focus and nobody presses a key, nothing new is: that would never end. */
  speak({ canvas, value, end }, step) {
    canvas.setAttribute("aria-valuemax", end);
    canvas.setAttribute("aria-valuenow", step);
    canvas.setAttribute("aria-valuetext", value.textContent || "not measured yet");
  }

  listRuns(ghosts) {
    const text = ({ title, dataset, changed }) => `${title} on ${dataset}: ` + (Object.entries(changed).map(([name, value]) =>
      `${words(name)} ${say(value)}`).join(", ") || "as it comes");
    const runs = [`<li class="now"><s></s>this run</li>`, ...ghosts.map((_, index) => `<li class="ghost${index}"><s></s></li>`)];
    const key = runs.length + ghosts.map(text).join("|");
    if (key === this.runsKey) return;
    this.runsKey = key;
    const list = this.$(".runs");
    list.hidden = !ghosts.length;
    list.innerHTML = runs.join("");
    ghosts.forEach((ghost, index) => list.children[index + 1].append(text(ghost)));
  }
}

/** Rows (arrays, or one flat array) -> name -> values. */
function columnsOf(rows, names) {
  const width = names.length, flat = rows.BYTES_PER_ELEMENT !== undefined, count = flat ? rows.length / width : rows.length;
  return Object.fromEntries(names.map((name, column) => {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = flat ? rows[i * width + column] : rows[i][column];
    return [name, values];
  }));
}

/** A series without the steps at which nothing was measured. */
function measuredOnly(series) {
  const keep = [];
  for (let i = 0; i < series.y.length; i++) if (Number.isFinite(series.y[i])) keep.push(i);
  return { ...series, x: keep.map((i) => series.x[i]), y: keep.map((i) => series.y[i]) };
}

function lastMeasured(x, y, step) {
  for (let i = y.length - 1; i >= 0; i--) if (Number.isFinite(y[i]) && (step === null || x[i] <= step)) return y[i];
  return null;
}

/** A slider on its way makes many changes: one line for all of them. */
function merged(changes) {
  const result = [];
  for (const { step, name, old, new: value } of changes) {
    const last = result.findLast((one) => one.name === name);
    if (last && step - last.until <= MERGE) Object.assign(last, { until: step, value });
    else result.push({ step, until: step, name, old, value });
  }
  return result.filter(({ old, value }) => old !== value)
    .map(({ step, name, old, value }) => ({ step, text: `${words(name)} ${say(old)} → ${say(value)}` }));
}

function render({ model, el }) {
  const root = document.createElement("div");
  el.append(root);
  const view = new View(model, root);
  return () => view.close();
}

export default { render };
