// The one state of the page: the point and the product that all pictures show, and who follows it.

class Selection {
  constructor(record, front, marked) {
    Object.assign(this, { record, front, marked, product: 0, listeners: [], hovered: null });
    this.scenario = record.headline_scenario;
    this.chosen = marked.find((point) => point.kind === "recommended" && point.scenario === this.scenario)
      || marked[0] || (front.size ? front.point(0) : null);
  }

  // What the pictures show: the hovered point while there is one, else the chosen one.
  get point() { return this.hovered || this.chosen; }

  // The shown point's product of that index.
  productAt(index) {
    return this.point ? this.point.products[Math.min(index, this.point.products.length - 1)] : null;
  }

  follow(listener) { this.listeners.push(listener); }

  notify(change) { for (const listener of this.listeners) listener(change); }

  choose(point, spoken = true) {
    this.hovered = null;
    this.chosen = point;
    const before = this.scenario;
    this.scenario = this.scenarioOf(point);
    this.notify({ point: true, scenario: before !== this.scenario });
    if (spoken) say(`Showing ${point.label}. ${describePoint(point, this.product)}`);
  }

  // Shown while the pointer rests on it; a frame is enough of a wait.
  hover(point) {
    if (this.hovered === point) return;
    this.hovered = point;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.notify({ point: true, hover: true }));
  }

  chooseScenario(index) {
    const point = this.marked.find((p) => p.kind === "recommended" && p.scenario === index);
    this.scenario = index;
    if (point) this.choose(point);
    else this.notify({ scenario: true });
  }

  chooseProduct(index) {
    this.product = index;
    this.notify({ point: true, product: true });
  }

  // A front point belongs to the scenario with its cap and metric, if there is one.
  scenarioOf(point) {
    if (point.scenario >= 0) return point.scenario;
    const found = this.record.scenarios.findIndex((s) =>
      Math.abs(s.kl_cap_nats - point.cap) < 1e-9 && String(s.objective).startsWith(point.metric));
    return found >= 0 ? found : this.scenario;
  }
}

function lossWords(numbers) {
  if (numbers.measured_kl_nats !== undefined) {
    return `loss ${digits(numbers.measured_kl_nats)} ± ${digits(2 * (numbers.measured_kl_stderr_nats || 0), 2)} measured`;
  }
  if (numbers.expected_kl_nats !== undefined) return `loss ${digits(numbers.expected_kl_nats)} expected, not measured`;
  return `loss ${digits(numbers.predicted_kl_nats)} predicted`;
}

function describePoint(point, product) {
  const numbers = (point.products[product] || point.products[0]).numbers;
  return [
    numbers.latency_ns !== undefined && `${show("latency_ns", numbers.latency_ns)} a request`,
    numbers.energy_pj_per_token !== undefined && `${show("energy_pj", numbers.energy_pj_per_token)} a token`,
    point.limits.area_mm2 !== undefined && show("area_mm2", point.limits.area_mm2),
    point.limits.price_usd !== undefined && show("price_usd", point.limits.price_usd),
    numbers.predicted_kl_nats !== undefined && lossWords(numbers),
  ].filter(Boolean).join(" · ");
}

// The strip under the navigation that says what is shown.
function shownStrip(selection) {
  const { record, marked } = selection;
  const label = element("strong");
  const what = element("span", { class: "what" });
  const values = marked.map((point, i) => [String(i), capital(point.label)]);
  const pick = picker("Point", values, "0", (value) => selection.choose(marked[Number(value)]));
  const select = pick.querySelector("select");
  const products = record.products.length > 1
    ? picker("Product", record.products.map((p, i) => [String(i), p.name]), "0", (value) => selection.chooseProduct(Number(value)))
    : null;
  const node = element("div", { class: "shown", id: "shown", role: "region", "aria-label": "What the pictures show" },
    element("div", { class: "wrap" }, label, what, element("span", { class: "controls", style: "margin:0" }, marked.length ? pick : null, products)));
  document.getElementById("bar").after(node);
  const update = () => {
    const point = selection.point;
    if (!point) return node.remove();
    label.textContent = `Showing ${point.label}`;
    what.textContent = describePoint(point, selection.product);
    const index = marked.indexOf(selection.chosen);
    if (index >= 0) select.value = String(index);
    else {
      let other = select.querySelector("option[data-front]");
      if (!other) select.append((other = element("option", { "data-front": true, value: "front" })));
      other.textContent = capital(selection.chosen.label);
      select.value = "front";
    }
    node.dataset.point = point.label;
  };
  selection.follow(update);
  update();
}
