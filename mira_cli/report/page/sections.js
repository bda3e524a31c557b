// The sections that are words and plain tables.

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function summary() {
  const counts = DATA.counts, ok = DATA.models.reduce((sum, model) => sum + (model.statuses.ok || 0), 0), all = counts.rows * NAMES.length;
  return h("section", { id: "summary", "aria-label": "Summary" },
    h("div", { class: "tiles" }, [["Structures", whole(counts.rows), counts.distinct < counts.rows ? `${whole(counts.distinct)} distinct` : ""], ["Atoms", whole(counts.atoms), ""], ["Models", whole(NAMES.length), ""], ["Answers", whole(ok), `of ${whole(all)} ok`]].map(([name, value, note]) =>
      h("div", { class: "tile" }, h("span", { class: "name" }, name), h("span", { class: "value" }, value), h("span", { class: "unit" }, note)))),
    DATA.banners.map((banner) => h("div", { class: `banner banner-${banner.level}`, role: "note" }, h("strong", {}, banner.text), banner.details.length > 0 && h("ul", {}, banner.details.map((text) => h("li", {}, text))))),
    DATA.findings.length > 0 && [h("h2", {}, "Main findings"), h("ul", { class: "findings" }, DATA.findings.map((text) => h("li", {}, text)))],
    h("h2", {}, "Models"), modelsTable());
}

function modelsTable() {
  const unknown = h("span", { class: "unit" }, "not known");
  const known = (value) => value || unknown.cloneNode(true);
  return plainTable("Models, and what decides what a comparison with them means", [
    { text: "Model", show: (m) => [h("strong", {}, m.name), h("span", { class: "under" }, m.title)] },
    { text: "Level of theory", show: (m) => known(m.level_of_theory) },
    { text: "Dispersion", show: (m) => known(m.dispersion) },
    { text: "Energy correction", show: (m) => known(m.energy_correction) },
    { text: "Forces", show: (m) => (m.conservative === null ? known(null) : m.conservative ? "gradient" : "direct") },
    { text: "Precision", show: (m) => m.dtype },
    { text: "ok", number: true, show: (m) => [whole(m.statuses.ok || 0), h("span", { class: "unit" }, `of ${whole(DATA.counts.rows)}`)] },
  ], DATA.models);
}

function disagreement() {
  const some = DATA.distributions.filter((one) => one.force || one.energy);
  if (!some.length || NAMES.length < 2) return null;
  const place = h("div", {});
  const draw = (k) => {
    const one = some[k], words = (d) => `${plural(d.n, "structure")}: median ${num(d.median)}, 95th percentile ${num(d.p95)}, largest ${num(d.largest)}.` + (d.zeros ? ` ${whole(d.zeros)} with less than ${num(d.least, 1)} are not drawn.` : "");
    const chart = (d, name, unit) => d && d.counts.length && histogram({ name, ...d, xLabel: `${unit}, logarithmic`, summary: words(d), marks: [[d.median, "median"], [d.p95, "95 %"]] });
    const outliers = Object.entries(one.outliers).sort((a, b) => b[1] - a[1]);
    place.replaceChildren(...[
      one.theory === "different" && h("p", { class: "caution" }, "These models are of different levels of theory: their spread holds that difference too."),
      h("div", { class: "charts" }, chart(one.force, "Largest force spread of a structure", "eV/Å"), chart(one.energy, ALIGNED.replace(/^./, (letter) => `Spread of ${letter.toLowerCase()}`), "eV/atom")),
      outliers.length > 0 && bars("How often each model is the one furthest from the mean of the others, where there is a spread", outliers.map(([name, n]) => [name, n, plural(n, "structure")])),
    ].filter(Boolean));
  };
  draw(0);
  return section("spread", "Disagreement between models", "The spread is the standard deviation of the models' answers. It is no error bar: models can be wrong together.",
    some.length > 1 && h("div", { class: "controls" }, choice("Models", some.map((one, k) => [k, one.name === "all" ? "all" : `of ${one.name}`]), 0, (k) => draw(Number(k)))), place);
}

function references() {
  const all = DATA.reference.filter((row) => row.subset === "all");
  if (!all.length) return null;
  const between = (row, name, unit, digits = 3) => [num(row[`${name}_${unit}`], digits), isNumber(row[`${name}_low_${unit}`]) && h("span", { class: "unit" }, `${num(row[`${name}_low_${unit}`], 2)} to ${num(row[`${name}_high_${unit}`], 2)}`)];
  const count = (n, noun) => h("span", { class: "unit" }, n ? plural(n, noun) : "");
  const parts = [["element", "Force errors by element"], ["reference_force_ev_per_ang", "Force errors by size of the reference's force (eV/Å)"]];
  return section("reference", "Errors against the reference", `${DATA.reference_model ? `The reference is what ${DATA.reference_model} answers.` : "The reference is what the input files give. Its level of theory is not known here, so a difference may be one of theories."} Ranges are 95 % bootstrap intervals over structures.`,
    plainTable("Errors of each model", [
      { text: "Model", show: (row) => [row.model, h("span", { class: "under" }, row.level_of_theory || "level of theory not known")] },
      { text: "Forces, MAE", unit: "eV/Å", number: true, show: (row) => between(row, "force_mae", "ev_per_ang") },
      { text: "Mean cosine", number: true, show: (row) => fixed(row.force_cosine_mean, 3) },
      { text: "Slope", number: true, show: (row) => fixed(row.softening, 3) },
      { text: "Atoms", number: true, show: (row) => whole(row.n_force_atoms) },
      { text: `${ALIGNED}, MAE`, unit: "eV/atom", number: true, show: (row) => (row.energy_refusal ? h("span", { class: "unit" }, row.energy_refusal) : [between(row, "energy_aligned_mae", "ev_per_atom"), count(row.energy_alignment_dof, "degree") && h("span", { class: "unit" }, `${whole(row.energy_alignment_dof)} dof; left out, RMS ${num(row.energy_aligned_left_out_rmse_ev_per_atom, 2)}`)]) },
      { text: "Energies as they are, MAE", unit: "eV/atom", number: true, show: (row) => num(row.energy_raw_mae_ev_per_atom) },
      { text: "Structures", number: true, show: (row) => whole(row.n_energies) },
      { text: "Stress, MAE", unit: "GPa", number: true, show: (row) => [between(row, "stress_mae", "gpa"), count(row.n_stresses, "structure")] },
    ], all),
    parts.map(([subset, title]) => {
      const rows = DATA.reference.filter((row) => row.subset === subset);
      const values = [...new Set(rows.map((row) => row.subset_value))];
      const at = new Map(rows.map((row) => [`${row.model} ${row.subset_value}`, row]));
      return rows.length > 0 && h("details", {}, h("summary", {}, title), plainTable(`${title}: mean absolute error, eV/Å, and atoms`, [
        { text: subset === "element" ? "Element" : "Range", show: (value) => value },
        { text: "Atoms", number: true, show: (value) => whole(Math.max(...NAMES.map((name) => at.get(`${name} ${value}`)?.n_force_atoms || 0))) },
        ...NAMES.map((name) => ({ text: name, number: true, show: (value) => num(at.get(`${name} ${value}`)?.force_mae_ev_per_ang) })),
      ], values));
    }),
    groupErrors());
}

function groupErrors() {
  if (!DATA.groups) return false;
  const { key, all, rows } = DATA.groups, models = NAMES.length > 1;
  const shown = new Set(rows.map((row) => row.subset_value)).size;
  const title = `Errors by ${key}`;
  return h("details", { open: shown <= 12 }, h("summary", {}, title), plainTable(`${title}: mean absolute errors; energies are aligned by one fit over all structures`, [
    { text: "Group", show: (row) => row.subset_value ?? h("span", { class: "unit" }, "without a label") },
    ...(models ? [{ text: "Model", show: (row) => row.model }] : []),
    { text: "Structures", number: true, show: (row) => whole(row.n_input) },
    { text: "Forces", unit: "eV/Å", number: true, show: (row) => num(row.force_mae_ev_per_ang) },
    { text: "Atoms", number: true, show: (row) => whole(row.n_force_atoms) },
    { text: ALIGNED, unit: "eV/atom", number: true, show: (row) => [num(row.energy_aligned_mae_ev_per_atom), h("span", { class: "unit" }, `n ${whole(row.n_energies_aligned || 0)}`)] },
    { text: "Stress", unit: "GPa", number: true, show: (row) => num(row.stress_mae_gpa) },
  ], rows), shown < all && h("p", { class: "note" }, `The ${whole(shown)} largest of ${whole(all)} groups; reference.csv has up to 1,000.`));
}

function failed() {
  const { groups, left_out } = DATA.failures;
  if (!groups.length) return section("failures", "Failures", null, h("p", { class: "plain" }, "Every model answered for every structure."));
  return section("failures", "Failures", "Answers that are missing, and why. Missing values are never filled in.",
    plainTable("Answers that are not ok", [
      { text: "Model", show: (g) => g.model || "input" },
      { text: "Status", show: (g) => h("span", { class: "bad" }, g.status.replaceAll("_", " ")) },
      { text: "Structures", number: true, show: (g) => whole(g.count) },
      { text: "Reason", wide: true, show: (g) => g.error || NONE },
      { text: "Such as", show: (g) => g.examples.join(", ") },
    ], groups), left_out > 0 && h("p", { class: "note" }, `${whole(left_out)} rarer reasons are in comparison.csv.`));
}

function timing() {
  const rows = DATA.timing.filter((row) => row.structures > 0);
  if (!rows.length) return null;
  return section("timing", "Time and memory", "Evaluation alone, without the start of jobs. Times of different processors do not compare models.",
    bars("Time per atom", rows.filter((row) => isNumber(row.ms_per_atom)).map((row) => [row.model, row.ms_per_atom, `${num(row.ms_per_atom)} ms`])),
    plainTable("Time and memory of each model", [
      { text: "Model", show: (row) => row.model },
      { text: "Processor", show: (row) => row.devices.join(", ") || NONE },
      ...(rows.some((row) => row.accelerators.length) ? [{ text: "Accelerated by", show: (row) => row.accelerators.join(", ") || NONE }] : []),
      { text: "Threads", number: true, show: (row) => row.threads.join(", ") || NONE },
      { text: "Structures", number: true, show: (row) => whole(row.structures) },
      { text: "Evaluation", number: true, show: (row) => seconds(row.evaluate_s) },
      { text: "Throughput", unit: "structures/s", number: true, show: (row) => num(row.structures_per_s) },
      { text: "Start of jobs", number: true, show: (row) => [seconds(row.start_s), row.jobs > 1 && h("span", { class: "unit" }, plural(row.jobs, "job"))] },
      { text: "Peak memory", unit: "MB", number: true, show: (row) => rounded(row.peak_memory_mb) },
      { text: "Peak GPU memory", unit: "MB", number: true, show: (row) => rounded(row.peak_gpu_memory_mb) },
    ], rows));
}

function methods() {
  return section("methods", "Methods", "Text for a methods section, written from this run.", DATA.methods.map((text) => h("p", { class: "prose" }, text)));
}

function citing() {
  const copy = h("button", { onclick: async () => { try { await navigator.clipboard.writeText(DATA.bibtex); copy.textContent = "Copied"; } catch { copy.textContent = "Select it below"; } } }, "Copy BibTeX");
  const link = (address) => h("a", { href: address, rel: "noreferrer" }, address.replace(/^https?:\/\//, ""));
  const safe = (address) => (/^https?:\/\//.test(address || "") ? link(address) : address);
  return section("citations", "Licences and citations", "Of exactly the models that were used. Whoever publishes the numbers cites these; licences of weights may limit what they can be used for.",
    plainTable("Licences and publications", [
      { text: "Model", show: (m) => m.name },
      { text: "Code", show: (m) => m.code_licence || "not known" },
      { text: "Weights", show: (m) => [m.weights_licence || "not known", m.licence_page && h("span", { class: "under" }, safe(m.licence_page))] },
      { text: "Publication", wide: true, show: (m) => { const cited = DATA.citations.find((one) => one.models.includes(m.name)); return cited ? [cited.title !== cited.address && cited.title, h("span", { class: "under" }, safe(cited.address || m.citation))] : "none known"; } },
    ], DATA.models),
    h("details", { open: DATA.models.length <= 4 }, h("summary", {}, "BibTeX"), h("div", { class: "code" }, copy, h("pre", { tabindex: "0", "aria-label": "BibTeX" }, DATA.bibtex))));
}

function provenance() {
  const p = DATA.provenance, hash = (text) => (text ? h("code", { title: text }, text.slice(0, 12)) : NONE);
  return section("provenance", "Provenance", "What computed these numbers. provenance.json has all of it, with the names of machines and folders, which are left out here.",
    facts([["MIRA", p.mira], ["Python", p.python], ["System", p.platform], ...Object.entries(p.packages || {}), ["Results written", (DATA.collected || "").replace("T", " ").slice(0, 19) || null], ["Report written", DATA.written.replace("T", " ").slice(0, 19)]]),
    p.call && p.call.command && h("div", { class: "code" }, h("pre", { tabindex: "0", "aria-label": "Command" }, p.call.command.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" "))),
    plainTable("Software and weights of each model", [
      { text: "Model", show: (m) => m.name },
      { text: "Package", show: (m) => m.package },
      { text: "Image", show: (m) => [m.image, m.runtime && h("span", { class: "unit" }, m.runtime)] },
      { text: "Recipe", show: (m) => hash(m.image_recipe) },
      { text: "Weights, sha256", show: (m) => hash(m.weights_sha256) },
      { text: "Training data", show: (m) => m.training_data || "not known" },
      { text: "Processor", show: (m) => m.device || NONE },
    ], DATA.models),
    h("details", { class: "long" }, h("summary", {}, "All of it as JSON"), h("div", { class: "code" }, h("pre", { tabindex: "0", "aria-label": "Provenance" }, JSON.stringify(p, null, 1)))));
}
