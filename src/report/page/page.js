// Puts the page together: unpacks the record, draws every section, keeps navigation and theme.

const SECTIONS = [["decision", "Decision"], ["front", "Front"], ["baselines", "Baselines"], ["recipe", "Recipe"], ["chip", "Chip"], ["cost", "Cost"],
  ["prediction", "Prediction"], ["accuracy", "Accuracy"], ["worth", "Worth"], ["robustness", "Robustness"], ["targets", "Targets"], ["assumptions", "Assumptions"]];

// One strip of large figures: of the chip, then of each product on it.
function figureStrip(title, cells) {
  return [element("h3", { class: "strip" }, title), element("div", { class: "figures" }, cells.map(([label, value, tierName, under]) =>
    element("div", {}, element("div", { class: "label" }, label), element("div", { class: "value" }, value),
      element("div", { class: "under" }, tier(tierName), under ? ` ${under}` : ""))))];
}

function productCells(product, scenario) {
  const { numbers } = product;
  const measured = numbers.measured_kl_nats !== undefined;
  const loss = numbers.measured_kl_nats ?? numbers.expected_kl_nats ?? numbers.predicted_kl_nats;
  return [
    ["Request latency", show("latency_ns", numbers.latency_ns), "analytical", numbers.bound_latency_ns ? `lower bound ${show("latency_ns", numbers.bound_latency_ns)}` : ""],
    ["Time per token", show("time_per_token_ns", numbers.time_per_token_ns), "analytical", numbers.throughput_tokens_per_s ? show("throughput_tokens_per_s", numbers.throughput_tokens_per_s) : ""],
    ["Energy per token", show("energy_pj", numbers.energy_pj_per_token), "analytical", ""],
    ["Loss, nats per token", digits(loss), measured ? "measured" : "predicted", `${numbers.measured_kl_stderr_nats ? `± ${digits(2 * numbers.measured_kl_stderr_nats, 2)}, ` : ""}cap ${digits(scenario.kl_cap_nats)}`],
    ["Bits per weight", digits(numbers.bits_per_weight), "analytical", "uncompressed 16"],
  ];
}

function chipCells(point, scenario) {
  const fits = (scenario.baselines || []).filter((b) => b.feasible && Number.isFinite(b.ratio));
  const closest = fits.reduce((a, b) => (!a || b.ratio < a.ratio ? b : a), null);
  const verdict = closest && { "same point": "no gain", established: "established" }[closest.verdict];
  return [
    ["Die area", show("area_mm2", point.limits.area_mm2), "analytical", ""],
    ["Price with DRAM", show("price_usd", point.limits.price_usd), "analytical", point.limits.die_price_usd ? `die ${show("price_usd", point.limits.die_price_usd)}` : ""],
    ["Peak power", show("peak_power_mw", point.limits.peak_power_mw), "analytical", ""],
    ["Best other way of working", closest ? (closest.verdict === "same point" ? "same point" : times(closest.ratio)) : "–", "analytical",
      closest ? `${verdict || "not established"}: ${words(closest.name)}` : "no baseline in this study"],
  ];
}

function keyFigures(selection) {
  const { record } = selection;
  const point = selection.marked.find((p) => p.kind === "recommended" && p.scenario === record.headline_scenario);
  if (!point) return;
  const scenario = record.scenarios[record.headline_scenario];
  document.getElementById("figures").append(...figureStrip(`The chip, for ${scenarioWords(scenario)}`, chipCells(point, scenario)),
    ...point.products.flatMap((product) => figureStrip(`${capital(product.name)} on it`, productCells(product, scenario))));
}

function navigation() {
  const list = document.getElementById("sections");
  const links = new Map(SECTIONS.filter(([id]) => document.getElementById(id)).map(([id, name]) => [id, element("a", { href: `#${id}` }, name)]));
  list.append(...[...links.values()].map((link) => element("li", {}, link)));
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const [id, link] of links) link.toggleAttribute("aria-current", id === entry.target.id);
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const id of links.keys()) watch.observe(document.getElementById(id));
}

// The system's choice until the button is pressed. Pictures on canvas are drawn again.
function themeButton(redraw) {
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const apply = () => {
    const dark = chosen ?? system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${dark ? "light" : "dark"} colours`);
    redraw();
  };
  button.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme !== "dark";
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}

// On paper there is nothing to unfold: small tables are opened, light colours are used. Pictures are drawn
// for the width of the paper; scaled down, their text could not be read.
function printing(redraw) {
  let before = null;
  addEventListener("beforeprint", () => {
    before = { theme: document.documentElement.dataset.theme, closed: [] };
    document.documentElement.dataset.theme = "light";
    document.documentElement.dataset.paper = "";
    for (const details of document.querySelectorAll("figure details.rows:not([open]), #assumptions details.rows:not([open])")) {
      const rows = Number((/\((\d+) row/.exec(details.firstChild.textContent) || [])[1]);
      if (!(rows <= 40) || details.closest(".trio:not(.even)")) continue;
      details.open = true;
      before.closed.push(details);
    }
    redraw();
  });
  addEventListener("afterprint", () => {
    if (!before) return;
    document.documentElement.dataset.theme = before.theme;
    delete document.documentElement.dataset.paper;
    for (const details of before.closed) details.open = false;
    redraw();
  });
}

function drawAll(selection) {
  const { record } = selection;
  keyFigures(selection);
  const pictures = [];
  const add = (Picture, ...rest) => pictures.push(new Picture(...rest));
  const front = section("front", "The front and its points", "");
  if (selection.point) {
    add(FrontPicture, front, selection);
    pictures.push(...baselineSection(selection));
    const products = record.products.map((_, index) => index);
    const recipe = section("recipe", "The recipe", "How each place in the model is stored and computed, for the point shown.");
    for (const product of products) add(RecipePicture, recipe, selection, product);
    const chip = section("chip", "The chip", "What the silicon is spent on, for the point shown.");
    const pair = element("div", { class: "pair" });
    chip.append(pair);
    add(BlockPicture, pair, selection);
    add(TreemapPicture, pair, selection);
    const cost = section("cost", "Where time, energy and bytes go", "Every operation of one request, prefill and decode, for the point shown.");
    for (const product of products) {
      const trio = element("div", { class: "trio" });
      const lower = element("div", { class: "pair" });
      cost.append(trio, lower);
      for (const quantity of QUANTITIES) add(BreakdownPicture, trio, selection, product, quantity);
      add(RooflinePicture, lower, selection, product);
      add(BindingPicture, lower, selection, product);
    }
  } else {
    front.append(element("p", { class: "plain" }, "No point fits the limits, so there is nothing to draw."));
    pictures.push(...baselineSection(selection));
  }
  pictures.push(...predictionSection(selection));
  pictures.push(...accuracySection(selection));
  add(WorthPicture, null, selection);
  add(TornadoPicture, null, selection);
  add(TargetPicture, null, selection);
  assumptionSection(record);
  return () => pictures.forEach((picture) => picture.refresh());
}

async function main() {
  const started = performance.now();
  let redraw = () => {};
  themeButton(() => redraw());
  if (typeof DecompressionStream === "undefined") throw new Error("this browser is too old: it has no DecompressionStream");
  const record = await unpackRecord();
  const front = new Front(record.front, record);
  const selection = new Selection(record, front, markedPoints(record));
  if (selection.point) shownStrip(selection);
  redraw = drawAll(selection);
  navigation();
  printing(redraw);
  document.documentElement.dataset.ready = String(Math.round(performance.now() - started));
  // From the start of the navigation to the frame after the one that shows the pictures.
  requestAnimationFrame(() => requestAnimationFrame(() => {
    document.documentElement.dataset.drawn = String(Math.round(performance.now()));
  }));
}

main().catch((error) => {
  const trouble = document.getElementById("trouble");
  trouble.hidden = false;
  trouble.textContent = `The pictures could not be drawn: ${error.message}. The sentences above are complete.`;
  document.documentElement.dataset.failed = error.message;
  console.error(error);
});
