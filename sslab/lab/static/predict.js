// A question with native controls: radio buttons, or a number, and a button that records the guess.

function radios(options, name) {
  const group = document.createElement("div");
  for (const option of options) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name, value: option });
    label.append(input, ` ${option}`);
    label.style.display = "block";
    group.append(label);
  }
  return { element: group, read: () => group.querySelector("input:checked")?.value ?? null };
}

function number(low, high, unit) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  Object.assign(input, { type: "number", step: "any" });
  if (low !== null) input.min = low;
  if (high !== null) input.max = high;
  const range = low === null || high === null ? "" : ` (${low} to ${high})`;
  label.append(`Your guess${range}: `, input, ` ${unit}`);
  return { element: label, read: () => (input.value === "" ? null : input.valueAsNumber) };
}

function render({ model, el }) {
  const form = document.createElement("fieldset");
  const legend = document.createElement("legend");
  const button = document.createElement("button");
  const status = document.createElement("p");
  const options = model.get("options");
  const field = options.length
    ? radios(options, `predict-${Math.random().toString(36).slice(2)}`)
    : number(model.get("low"), model.get("high"), model.get("unit"));

  legend.textContent = model.get("question");
  Object.assign(button, { type: "button", textContent: "Record my guess" });
  button.classList.add("jupyter-button");
  Object.assign(button.style, { display: "block", marginTop: "0.5em" });
  status.setAttribute("role", "status");
  form.className = "sslab";
  Object.assign(form.style, { padding: "0.6em 1em", fontSize: "inherit" });

  const show = () => { status.textContent = model.get("status"); };
  button.addEventListener("click", () => {
    const answer = field.read();
    if (answer === null) { status.textContent = "Choose or type your guess first."; return; }
    model.send({ guess: answer });
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.type === "number") button.click();
  });
  model.on("change:status", show);
  show();
  form.append(legend, field.element, button, status);
  el.append(form);
  const release = ownKeys(form);
  return () => { release(); model.off("change:status", show); };
}

export default { render };
