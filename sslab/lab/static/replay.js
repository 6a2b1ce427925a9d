// Recorded runs: a slider over the moments of two runs, each drawn by the dashboard. Follows follow.js. No kernel is asked.

const PLAY_EVERY = 450;                                   // ms from one moment to the next
const ARRAYS = { ...{ float32: Float32Array, int32: Int32Array, uint8: Uint8Array }, int16: Int16Array };
const FINE = 1 / 2048;                                    // of the map's half width: how places are stored
const ACROSS = 25;                                        // pictures in a row of the sprite

/** The bytes of a recording (zlib) -> { header, moments, arrays, shapes }. */
async function opened(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const plain = await new Response(stream).arrayBuffer(), length = new DataView(plain).getUint32(0, true);
  const said = JSON.parse(new TextDecoder().decode(new Uint8Array(plain, 4, length)));
  const arrays = {}, shapes = {};
  for (const [name, [kind, shape, offset]] of Object.entries(said.layout)) {
    arrays[name] = new ARRAYS[kind](plain, 4 + length + offset, shape.reduce((a, b) => a * b, 1));
    shapes[name] = shape;
  }
  return { ...said, arrays, shapes };
}

/** What a recording is called beside others of its objective: the knobs that were set or turned. */
function setting({ header }) {
  const set = Object.entries(header.set).map(([name, value]) => `${words(name)} ${say(value)}`);
  const turned = header.changes.map(({ name, new: value, step }) => `${words(name)} ${say(value)} from step ${step}`);
  return [...set, ...turned].join(", ") || "as it comes";
}

/** One recorded run on a dashboard of its own. */
class ReplayPane extends FollowView {
  constructor(root) {
    super({ on() {}, off() {}, get: () => "", send: () => {} }, root);
    root.classList.add("sslab-replayed");
    this.$(".knobs").setAttribute("aria-label", "Knobs of this run");
    this.$(".status").removeAttribute("title");
    this.$("[name=umap]").hidden = true;
  }

  hello() {}                                              // nobody is there to ask

  load(recording, sprite) {
    this.recording = recording;
    const { header, arrays, moments } = recording;
    this.setEverything({ ...header, objectives: [header.objective], datasets: [header.dataset], knobs: [], ghosts: [], question: null,
                         sprite: { tile: 0, across: ACROSS } }, { labels: arrays.labels });
    this.valuesKey = null;
    if (sprite) this.setPictures(sprite);
    this.moment = -1;
    this.show(moments.length - 1);
  }

  async setPictures(bytes) {
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    Object.assign(this.map, { pictured: true, sprite: picture, tile: picture.width / ACROSS, across: ACROSS });
  }

  /** What the run looked like then. */
  show(moment) {
    if (moment === this.moment) return;
    const { header, moments, arrays, shapes } = this.recording, now = moments[moment], width = header.columns.length;
    const pictured = moments.findLastIndex((one, index) => index <= moment && one.examples);
    const values = Object.fromEntries(Object.entries(now.values).filter(([name, value]) =>
      !header.of_views.includes(name) || value !== header.defaults[name]));          // of the views what was changed
    const content = { ...now, values, from: 0, changes: header.changes.filter(({ step }) => step <= now.step), controls: header.controls,
                      state: "stopped", total: header.total, examples: pictured < 0 ? null : moments[pictured].examples, layout_of_buffer: {} };
    const shown = { rows: arrays.rows.subarray(0, now.steps * width), spectrum: arrays[`spectrum${moment}`],
                    points: Float32Array.from(arrays[`points${moment}`], (place) => place * FINE) };
    (content.examples?.rows || []).forEach((_, index) => {
      shown[`examples${index}`] = arrays[`examples${pictured}_${index}`];
      content.layout_of_buffer[`examples${index}`] = ["uint8", shapes[`examples${pictured}_${index}`], 0];
    });
    this.changes = [];
    this.setNews(content, shown);
    this.$(".knobs h4").textContent = "Knobs of this run";
    if (Math.abs(moment - this.moment) > 1) this.map.move(shown.points, true);
    this.moment = moment;
    this.news = 1;
    if (!this.ticking && !document.hidden) this.tick();
  }
}

class ReplayView {
  constructor(root, recordings, sprites) {
    Object.assign(this, { root, recordings, sprites, panes: [], id: Math.random().toString(36).slice(2) });
    root.className = "sslab sslab-replay";
    root.innerHTML = `<div class="scrub"><button type="button" class="primary" name="play"></button>
      <label for="${this.id}">Step</label><input type="range" id="${this.id}" min="0" step="1"><output for="${this.id}"></output></div>
      <div class="panes"></div>`;
    this.$ = (selector) => root.querySelector(selector);
    this.slider = this.$("input");
    const { header, moments } = recordings[0], beside = recordings.length > 1;
    for (const index of beside ? [0, 1] : [0]) this.addPane(index, beside);
    this.slider.max = Math.max(...recordings.map((one) => one.moments.length)) - 1;
    this.slider.setAttribute("aria-label", `Moment of the recorded runs of ${header.title} on ${header.dataset}`);
    this.slider.oninput = () => { this.pause(); this.go(Number(this.slider.value)); };
    this.$("[name=play]").onclick = () => (this.timer ? this.pause() : this.play());
    this.pause();
    this.go(moments.length - 1);
  }

  addPane(index, beside) {
    const box = document.createElement("section"), root = document.createElement("div");
    box.setAttribute("aria-label", beside ? ["Left run", "Right run"][index] : "The run");
    const label = document.createElement("label"), select = document.createElement("select");
    label.append(beside ? ["Left: ", "Right: "][index] : "", select);
    this.recordings.forEach((one, number) => select.add(new Option(setting(one), number)));
    select.value = index;
    box.append(label, root);
    if (!beside) label.hidden = true;
    this.$(".panes").append(box);
    const pane = new ReplayPane(root);
    pane.load(this.recordings[index], this.sprites[index]);
    select.onchange = () => {
      pane.load(this.recordings[select.value], this.sprites[select.value]);
      this.go(Number(this.slider.value));
    };
    this.panes.push(pane);
  }

  /** All panes to one moment; a run with fewer of them stays at its last. */
  go(moment) {
    this.slider.value = moment;
    for (const pane of this.panes) pane.show(Math.min(moment, pane.recording.moments.length - 1));
    const { moments, header } = this.panes[0].recording, now = moments[Math.min(moment, moments.length - 1)];
    const said = `${now.steps.toLocaleString("en")} of ${header.total.toLocaleString("en")}`;
    this.$("output").textContent = said;
    this.slider.setAttribute("aria-valuetext", `step ${said}`);
  }

  play() {
    const last = Number(this.slider.max);
    if (Number(this.slider.value) >= last) this.go(0);
    this.$("[name=play]").innerHTML = `<i aria-hidden="true">❚❚</i><span>Pause</span>`;
    this.timer = setInterval(() => {
      const next = Number(this.slider.value) + 1;
      if (next <= last) this.go(next);
      if (next >= last) this.pause();
    }, PLAY_EVERY);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.$("[name=play]").innerHTML = `<i aria-hidden="true">▶</i><span>Play</span>`;
  }

  close() {
    this.pause();
    this.panes.forEach((pane) => pane.close());
  }
}

async function show(root, recordings, sprites) {
  const bytes = (data) => (data.byteLength ? data : null);
  const view = new ReplayView(root, await Promise.all(recordings.map(opened)), sprites.map(bytes));
  root.sslab = view;                                      // for the tests and for the curious
  return view;
}

function replayWidget({ model, el }) {
  const root = document.createElement("div");
  el.append(root);
  const view = show(root, model.get("recordings"), model.get("sprites"));
  return () => view.then((shown) => shown.close());
}

function replayPage(root, recordings, sprites) {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return show(root, recordings.map(bytes), sprites.map(bytes));
}
