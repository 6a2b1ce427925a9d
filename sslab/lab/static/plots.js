// Small line plots on a canvas. No library: a frame must cost a millisecond or two, because training pays for it.

const FADED = [0.75, 0.5, 0.35];                          // opacity of ghosts, the latest first
const DASHES = [[5, 3], [2, 3], [8, 3, 2, 3]];

/** Colours of the theme in force, read from the style sheet's custom properties. */
function themeOf(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    ink: colour("--ink"), muted: colour("--muted"), line: colour("--line"), paper: colour("--paper"),
    accent: colour("--accent"), second: colour("--second"), font: style.fontFamily,
  };
}

/** Fit a canvas to its box at the screen's resolution; returns its context in CSS pixels, or null if it is hidden. */
function fit(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width || !height) return null;
  const ratio = window.devicePixelRatio || 1;
  const wide = Math.round(width * ratio), high = Math.round(height * ratio);
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** A few round numbers between low and high. */
function roundTicks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  const ticks = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) {
    ticks.push(Math.abs(value) < step * 1e-6 ? 0 : value);
  }
  return ticks;
}

function short(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
}

/** The end of the step axis: grows by doubling, so that a long run's beginning is not squeezed into a corner. */
function lastStep(steps, total) {
  let end = 50;
  while (end < steps) end *= 2;
  return total ? Math.min(end, Math.max(total, steps)) : end;
}

class Plot {
  /**
   * options: title, about (one sentence), range ([low, high] or null for the data's own), format, logY,
   * labelChanges (write what was changed beside its line), xName.
   */
  constructor(parent, options) {
    this.options = { format: short, range: null, xName: "step", ...options };
    this.figure = document.createElement("figure");
    this.figure.className = `plot ${options.className || ""}`;
    this.figure.innerHTML = `<figcaption><span class="title"></span><span class="value"></span></figcaption>
      <div><canvas role="img"></canvas></div>`;
    this.figure.querySelector(".title").textContent = options.title;
    this.figure.title = options.about || "";
    this.value = this.figure.querySelector(".value");
    this.canvas = this.figure.querySelector("canvas");
    this.series = [];
    this.levels = [];
    this.changes = [];
    this.hover = null;
    parent.append(this.figure);
  }

  /** series: [{x, y, colour, ghost, points, name}], levels: [{y, name}], changes: [{step, text}], end of the x axis. */
  show(series, levels = [], changes = [], end = 1) {
    Object.assign(this, { series, levels, changes, end });
  }

  /** The step under the pointer at offset x in the canvas. */
  stepAt(x) {
    const { left, right } = this.box || {};
    return this.box ? (Math.min(Math.max(x - left, 0), right - left) / (right - left)) * this.end : null;
  }

  span() {
    if (this.options.range) return this.options.range;
    let low = Infinity, high = -Infinity;
    const see = (value) => {
      if (Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
    };
    for (const { y } of this.series) for (let i = 0; i < y.length; i++) see(y[i]);
    this.levels.forEach((level) => see(level.y));
    if (low > high) return [0, 1];
    const room = Math.max((high - low) * 0.08, Math.abs(high) * 0.01, 1e-6);
    return [low - room, high + room];
  }

  /** All that the picture depends on, in short. */
  signature(theme) {
    const { series, levels, changes, end, hover, options, canvas } = this;
    return JSON.stringify([series.map(({ x, y }) => [x.length, x[x.length - 1], y[0], y[y.length - 1]]), levels, changes, end, hover,
                           options.range, canvas.clientWidth, canvas.clientHeight, window.devicePixelRatio, theme]);
  }

  draw(theme) {
    const signature = this.signature(theme);
    if (signature === this.drawnAs) return;               // most frames change one or two plots only
    const fitted = fit(this.canvas);
    if (!fitted) return;
    this.drawnAs = signature;
    const { context: c, width, height } = fitted;
    const rows = this.options.labelChanges ? Math.min(this.changes.length, 2) : 0;
    const left = 38, right = width - 8, top = 6 + 13 * rows, bottom = height - 18;
    this.box = { left, right };
    let [low, high] = this.span();
    const project = this.options.logY ? (v) => Math.log10(Math.max(v, low)) : (v) => v;
    const [bottomValue, topValue] = [project(low), project(high)];
    const px = (x) => left + (x / (this.end || 1)) * (right - left);
    const py = (y) => bottom - ((project(y) - bottomValue) / (topValue - bottomValue || 1)) * (bottom - top);

    c.font = `10px ${theme.font}`;
    c.lineWidth = 1;
    c.textBaseline = "middle";
    c.textAlign = "right";
    const marks = this.options.logY
      ? roundTicks(bottomValue, topValue, 3).filter(Number.isInteger).map((power) => 10 ** power)
      : roundTicks(low, high, Math.max(2, (bottom - top) / 32));
    for (const mark of marks) {
      c.strokeStyle = theme.line;
      c.beginPath(); c.moveTo(left, py(mark)); c.lineTo(right, py(mark)); c.stroke();
      c.fillStyle = theme.muted;
      c.fillText(this.options.logY ? mark.toExponential(0).replace("e+0", "").replace("1e-", "10^-")
        .replace(/10\^-(\d)/, (_, d) => `10⁻${"⁰¹²³⁴⁵⁶⁷⁸⁹"[d]}`) : this.options.format(mark), left - 5, py(mark));
    }
    c.textBaseline = "top";
    const steps = roundTicks(0, this.end, Math.max(2, (right - left) / 70));
    for (const step of steps) {
      c.textAlign = step === 0 ? "left" : px(step) > right - 12 ? "right" : "center";
      c.fillText(step.toFixed(0), px(step), bottom + 5);
    }

    this.drawChanges(c, theme, px, top, bottom, right);
    c.save();
    c.beginPath(); c.rect(left, top - 4, right - left + 3, bottom - top + 8); c.clip();
    for (const one of this.series) this.drawSeries(c, one, px, py, right - left);
    c.restore();
    this.drawLevels(c, theme, py, left, right, top);
    if (this.hover !== null && this.hover <= this.end) {
      c.strokeStyle = theme.muted;
      c.beginPath(); c.moveTo(px(this.hover), top); c.lineTo(px(this.hover), bottom); c.stroke();
    }
  }

  drawSeries(c, { x, y, colour, ghost, points, area, label }, px, py, width) {
    c.strokeStyle = c.fillStyle = colour;
    c.globalAlpha = ghost === undefined ? 1 : FADED[ghost] ?? 0.3;
    c.lineWidth = ghost === undefined ? 1.8 : 1.2;
    c.setLineDash(ghost === undefined ? [] : DASHES[ghost] ?? []);
    c.lineJoin = "round";
    const stride = Math.max(1, Math.floor(x.length / (2 * width)));          // two points a pixel are enough
    c.beginPath();
    let started = false, first = 0, last = 0;
    for (let i = 0; i < x.length; i += stride) {
      if (!Number.isFinite(y[i])) continue;
      last = px(x[i]);
      if (!started) first = last;
      started ? c.lineTo(last, py(y[i])) : c.moveTo(last, py(y[i]));
      started = true;
    }
    c.stroke();
    if (area && started && ghost === undefined) {
      c.lineTo(last, 1e4); c.lineTo(first, 1e4); c.closePath();
      c.globalAlpha = 0.15;
      c.fill();
    }
    if (label && started) {
      c.textAlign = last > px(this.end) - 80 ? "right" : "left";
      c.textBaseline = "bottom";
      c.fillText(label, last + (c.textAlign === "left" ? 4 : -4), py(y[y.length - 1]) - 2);
    }
    if (points && ghost === undefined) {
      for (let i = 0; i < x.length; i++) {
        if (Number.isFinite(y[i])) { c.beginPath(); c.arc(px(x[i]), py(y[i]), 2.4, 0, 7); c.fill(); }
      }
    }
    c.globalAlpha = 1;
    c.setLineDash([]);
  }

  drawLevels(c, theme, py, left, right, top) {
    const taken = [];
    c.textAlign = "right";
    c.textBaseline = "alphabetic";
    for (const { y, name } of this.levels) {
      c.strokeStyle = theme.muted;
      c.lineWidth = 1;
      c.setLineDash([3, 3]);
      c.beginPath(); c.moveTo(left, py(y)); c.lineTo(right, py(y)); c.stroke();
      c.setLineDash([]);
      let at = py(y) - 3;
      if (at < top + 7) at = py(y) + 10;
      while (taken.some((other) => Math.abs(other - at) < 10)) at += 10;
      taken.push(at);
      c.lineWidth = 3;
      c.strokeStyle = theme.paper;
      c.strokeText(name, right - 2, at);
      c.fillStyle = theme.ink;
      c.fillText(name, right - 2, at);
    }
  }

  drawChanges(c, theme, px, top, bottom, right) {
    c.textBaseline = "top";
    this.changes.slice(-12).forEach(({ step, text }, index, shown) => {
      c.strokeStyle = theme.second;
      c.lineWidth = 1;
      c.setLineDash([2, 2]);
      c.beginPath(); c.moveTo(px(step), this.options.labelChanges ? 2 : top); c.lineTo(px(step), bottom); c.stroke();
      c.setLineDash([]);
      if (!this.options.labelChanges || index < shown.length - 4) return;
      const before = px(step) + c.measureText(text).width > right;
      c.textAlign = before ? "right" : "left";
      c.fillStyle = theme.second;
      c.fillText(text, px(step) + (before ? -4 : 4), 2 + 13 * ((shown.length - 1 - index) % 2));
    });
  }
}
