// What a language model says while it trains: bars for the words of a blank, or how a text goes on; what a model of pictures
// and words finds for a phrase: the pictures that fit best; and a box to ask it.

const PAUSE = 600;                                        // ms without a key after which a typed text is sent
const AROUND = 160;                                       // characters of a text that are shown on each side of a blank
const MASK = "[MASK]";
const ASKS = {                                            // what can be asked, by what the objective learned to do
  hidden: { title: "What it says", box: `A text of yours, with ${MASK} for the word to guess`, waits: "It speaks when training starts." },
  next: { title: "What it says", box: "A beginning of yours", waits: "It speaks when training starts." },
  pictures: { title: "Which pictures fit a phrase", box: "A phrase of yours, to find pictures for", waits: "It searches when training starts." },
};

const part = (name, text) => Object.assign(document.createElement("span"), { className: name, textContent: text });
const likely = (share) => (share < 0.0005 ? "< 0.1 %" : `${Number((100 * share).toPrecision(share < 0.01 ? 1 : 2))} %`);

/** One card a text. Everything is written as text, nothing as HTML. */
class ReadingCards {
  constructor(section, id, say, announce) {
    Object.assign(this, { section, say, announce, news: null, asks: null });
    section.innerHTML = `<div class="heading"><h4>What it says</h4><span class="caption"></span></div>
      <div class="cards"></div>
      <form><label class="typed" for="${id}-ask"><span></span>
          <input type="text" id="${id}-ask" maxlength="500" autocomplete="off" spellcheck="false" aria-describedby="${id}-hint"></label>
        <label class="heat" for="${id}-heat">Temperature
          <input type="number" id="${id}-heat" min="0" max="5" step="0.1"></label></form>
      <p class="hint" id="${id}-hint"></p>`;
    this.$ = (selector) => section.querySelector(selector);
    [this.text, this.heat] = section.querySelectorAll("input");
    for (const input of [this.text, this.heat]) {
      input.addEventListener("keydown", (event) => event.stopPropagation());
      input.addEventListener("input", () => { clearTimeout(this.later); this.later = setTimeout(() => this.ask(), PAUSE); });
      input.addEventListener("change", () => this.ask());
    }
    this.$("form").onsubmit = (event) => { event.preventDefault(); this.ask(); };
  }

  /** Before the first reading. */
  expect(asks, question) {
    const { title, box, waits } = ASKS[asks] || ASKS.hidden;
    this.section.hidden = !asks;                          // one that guesses no words may still have something to say
    const other = asks !== this.asks;                     // then its question is another one, even under a hand
    if (other) clearTimeout(this.later);
    this.asks = asks;
    this.news = null;
    this.section.setAttribute("aria-label", title);
    this.$("h4").textContent = title;
    this.$(".cards").replaceChildren();
    this.$(".caption").textContent = waits;
    this.$("form").hidden = !asks;
    this.$(".heat").hidden = asks !== "next";
    this.$(".typed span").textContent = box;
    this.hint("");
    if (!question) return;
    this.asked = question;
    if (other || document.activeElement !== this.text) this.text.value = question.text;
    if (other || document.activeElement !== this.heat) this.heat.value = question.temperature;
  }

  hint(text) {
    this.$(".hint").textContent = text;
    this.text.setAttribute("aria-invalid", String(text !== ""));
  }

  ask() {
    clearTimeout(this.later);
    const text = this.text.value, temperature = this.heat.value === "" ? NaN : Number(this.heat.value);
    const masks = text.split(MASK).length - 1;
    if (this.asks === "hidden" && masks !== 1) return this.hint(masks ? `Write ${MASK} only once.` : `Write ${MASK} where a word is to be guessed.`);
    if (this.asks === "next" && !(temperature >= 0 && temperature <= 5)) return this.hint("The temperature goes from 0 to 5.");
    this.hint("");
    if (text === this.asked?.text && (this.asks !== "next" || temperature === this.asked.temperature)) return undefined;
    this.asked = { text, temperature };
    this.waiting = text;                                  // its answer is read aloud
    return this.say(this.asks === "next" ? { kind: "ask", text, temperature } : { kind: "ask", text });
  }

  show(readings) { this.news = readings; }

  draw() {
    if (!this.news) return;
    const { step, rows } = this.news;
    this.news = null;
    this.section.hidden = !this.asks && !rows.length;
    this.$(".caption").textContent = this.asks === "pictures" ? `The best of ${rows[0].among} held-out drawings with their cosines, step ${step}` : `Step ${step}`;
    if (this.asks === "pictures") this.pictures(rows);
    else this.$(".cards").replaceChildren(...rows.map((row) => this.card(row)));
    const answer = rows.find((row) => row.prompt === this.waiting && !row.source);
    if (!answer) return;
    this.waiting = null;
    this.announce(answer.error || (answer.found ? `Best first: ${answer.found.map(([name]) => name).join(", ")}` : answer.words.length
      ? answer.words.map(([word, share]) => `${word} ${likely(share)}`).join(", ") : answer.follows));
  }

  /** A row of pictures a phrase. What is there already is painted over, so that a pointer or a reader on it stays. */
  pictures(rows) {
    const box = this.$(".cards");
    while (box.children.length > rows.length) box.lastElementChild.remove();
    rows.forEach((row, index) => {
      if (!box.children[index]) {
        const card = document.createElement("div");
        card.className = "reading";
        card.append(...["h5", "p", "ol", "p"].map((tag) => document.createElement(tag)));
        card.children[2].className = "found";
        box.append(card);
      }
      this.fitting(box.children[index], row);
    });
  }

  fitting(card, { name, prompt, found, bytes, shape, own, place, chance, among, source, error }) {
    const [heading, phrase, list, below] = card.children;
    heading.textContent = source ? `${name} (${source})` : name;
    phrase.textContent = `“${prompt}”`;
    list.setAttribute("aria-label", `Pictures for “${prompt}”, the best first`);
    while (list.children.length > found.length) list.lastElementChild.remove();
    found.forEach(([title, cosine, right], index) => {
      if (!list.children[index]) {
        const item = document.createElement("li"), canvas = document.createElement("canvas");
        canvas.setAttribute("role", "img");
        item.append(canvas, part("", ""));
        list.append(item);
      }
      const item = list.children[index], [canvas, number] = item.children;
      const [, high, wide, channels] = shape, size = high * wide * channels;
      paintPictures(canvas, bytes.subarray(index * size, (index + 1) * size), [1, high, wide, channels], 0);
      item.classList.toggle("right", right);
      item.title = `${title}. Cosine with the phrase: ${cosine.toFixed(2)}.`;
      canvas.setAttribute("aria-label", right ? `${title}: what was meant` : title);
      number.textContent = cosine.toFixed(2);
    });
    below.className = error ? "hint" : "truth";
    const whose = own === 1 ? "Its own drawing is" : `The best of its own ${own} drawings is`;
    below.textContent = error || (own ? `${whose} at place ${place} of ${among}; by luck it would be at about ${Math.round(chance)}.` : "");
  }

  card({ name, prompt, follows, words, truth, place, source, error }) {
    const card = document.createElement("div"), text = document.createElement("p");
    card.className = "reading";
    card.append(Object.assign(document.createElement("h5"), { textContent: source ? `${name} (${source})` : name }), text);
    const hidden = words.length > 0;
    if (hidden) {
      const [before, after] = prompt.split(MASK), right = after.length > AROUND ? `${after.slice(0, AROUND)} …` : after;
      const blank = part("blank", "\u00a0");
      blank.setAttribute("role", "img");
      blank.setAttribute("aria-label", "blank");
      text.append(before.length > AROUND ? `… ${before.slice(-AROUND)}` : before, blank, right);
      card.append(this.bars(words, place));
    } else text.append(part("given", prompt), part("added", follows));
    if (error) card.append(Object.assign(document.createElement("p"), { className: "hint", textContent: error }));
    if (truth && !error) {
      const where = !hidden ? "" : place === null ? ", not among its first 100" : place === 1 ? ", its first guess" : `, place ${place} in its list`;
      card.append(Object.assign(document.createElement("p"),
        { className: "truth", textContent: hidden ? `It was “${truth}”${where}.` : `What followed there:${truth.startsWith(" ") ? "" : " "}${truth}` }));
    }
    return card;
  }

  bars(words, place) {
    const list = document.createElement("ol");
    list.append(...words.map(([word, share], index) => {
      const item = document.createElement("li"), bar = document.createElement("i");
      item.classList.toggle("right", index + 1 === place);
      bar.setAttribute("aria-hidden", "true");
      bar.style.setProperty("--share", `${100 * share}%`);
      item.append(part("", word), bar, part("", likely(share)));
      return item;
    }));
    return list;
  }
}
