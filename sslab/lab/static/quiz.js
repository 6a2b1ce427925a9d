// Questions with native radio buttons. The kernel answers; the reply is read out and keeps its place under its question.

function asked(question, place, send) {
  const form = document.createElement("fieldset");
  const legend = document.createElement("legend");
  const button = document.createElement("button");
  const reply = document.createElement("div");
  const name = `quiz-${question.id}-${Math.random().toString(36).slice(2)}`;
  let open = false;                                        // an answer is on its way

  legend.innerHTML = `${place}. ${question.text}`;         // written and escaped by the package
  form.append(legend);
  question.answers.forEach((answer, number) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    const text = document.createElement("span");
    Object.assign(input, { type: "radio", name, value: String(number) });
    text.innerHTML = answer;
    label.append(input, text);
    Object.assign(label.style, { display: "flex", gap: "0.5em", alignItems: "baseline", padding: "2px 0" });
    input.style.flex = "none";
    form.append(label);
  });
  Object.assign(button, { type: "button", textContent: "Check my answer" });
  button.style.marginTop = "0.4em";
  reply.setAttribute("role", "status");
  reply.style.marginTop = "0.4em";
  Object.assign(form.style, { border: "0", borderTop: "1px solid var(--line)", padding: "0.8em 0", margin: "0", minWidth: "0" });
  Object.assign(legend.style, { float: "left", width: "100%", padding: "0", marginBottom: "0.4em", fontWeight: "600" });
  if (legend.nextSibling) legend.nextSibling.style.clear = "both";
  form.append(button, reply);

  button.addEventListener("click", () => {
    const chosen = form.querySelector("input:checked");
    if (!chosen) { reply.textContent = "Choose an answer first."; return; }
    open = true;
    send({ question: question.id, number: Number(chosen.value) });
  });
  const show = (given) => {
    if (!given) return;
    const text = given.text;
    if (reply.dataset.text === text && !open) return;      // another question's reply came
    open = false;
    reply.dataset.text = text;
    reply.innerHTML = text;
    reply.style.borderLeft = `3px solid var(${given.right ? "--good" : "--bad"})`;
    reply.style.paddingLeft = "0.6em";
    if (!form.querySelector("input:checked")) form.querySelectorAll("input")[given.chosen].checked = true;
  };
  return { form, show };
}

function render({ model, el }) {
  const box = document.createElement("section");
  const title = document.createElement("h4");
  const score = document.createElement("p");
  box.className = "sslab";
  title.textContent = model.get("title");
  box.setAttribute("aria-label", model.get("title"));
  const questions = model.get("questions").map((question, index) => ({
    id: question.id, ...asked(question, index + 1, (content) => model.send(content)),
  }));
  box.append(title, ...questions.map((one) => one.form), score);
  const showReplies = () => questions.forEach((one) => one.show(model.get("replies")[one.id]));
  const showScore = () => { score.textContent = model.get("score"); };
  model.on("change:replies", showReplies);
  model.on("change:score", showScore);
  showReplies();
  showScore();
  el.append(box);
  const release = ownKeys(box);
  return () => { release(); model.off("change:replies", showReplies); model.off("change:score", showScore); };
}

export default { render };
