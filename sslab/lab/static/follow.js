// The dashboard of a run that trains elsewhere: what would act on it is taken away, its knobs are words. Follows dashboard.js.

class FollowView extends View {
  constructor(model, root) {
    super(model, root);
    root.classList.add("sslab-following");
    this.$(".status").setAttribute("title", "This run trains in another process");
    for (const select of root.querySelectorAll(".pick select")) select.disabled = true;
    this.$(".knobs").setAttribute("aria-label", "Knobs of this run, set where it trains");
  }

  makeKnobs() {}                                          // there is no way to turn one from here

  setNews(content, arrays) {
    super.setNews(content, arrays);
    const key = JSON.stringify(content.values);
    if (key === this.valuesKey) return;
    this.valuesKey = key;
    const panel = this.$(".knobs"), list = document.createElement("dl");
    for (const [name, value] of Object.entries(content.values)) {
      const term = document.createElement("dt"), said = document.createElement("dd");
      term.textContent = words(name);
      said.textContent = say(value);
      list.append(term, said);
    }
    panel.innerHTML = "<h4>Knobs, as they are set there</h4>";
    panel.append(list);
  }
}

function follow({ model, el }) {
  const root = document.createElement("div");
  el.append(root);
  const view = new FollowView(model, root);
  return () => view.close();
}

export default { render: follow };
