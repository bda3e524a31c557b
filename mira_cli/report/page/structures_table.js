// The table of structures: sorted by any column, filtered by words and by status, a page at a time.

const QUANTITIES = {
  energy: ["Energy", "eV/atom", (v) => fixed(v, 4)],
  aligned: ["Energy, aligned", "eV/atom", (v) => fixed(v, 4)],
  fmax: ["Largest force", "eV/Å", (v) => num(v)],
  frms: ["RMS force", "eV/Å", (v) => num(v)],
  pressure: ["Pressure", "GPa", (v) => num(v)],
  status: ["Status", "", null],
};
// columns of the task, by their names, where it says nothing of the structures as they are
if (!COMPARED) {
  const status = QUANTITIES.status;
  for (const key of Object.keys(QUANTITIES)) delete QUANTITIES[key];
  for (const [key, text] of Object.entries(DATA.table.meanings)) QUANTITIES[key] = [...columnWords(key), (v) => (typeof v === "string" ? v : DATA.table.whole.includes(key) ? whole(v) : num(v, 5)), text.replace(/^./, (letter) => letter.toUpperCase()) + "."];
  QUANTITIES.status = status;
}
const PAGE = 25;
const QUANTITY_NOTES = {
  energy: "Energies as each model gives them. Their zeros differ between models, so do not compare columns.",
  aligned: DATA.alignment.column,
};

function structuresTable() {
  const table = DATA.table, n = table.id.length;
  const state = { quantity: Object.keys(QUANTITIES).find((key) => key !== "status") || "status", sort: "order", down: false, words: "", status: "any", page: 0 };
  const collator = new Intl.Collator("en", { numeric: true });
  const text = table.id.map((id, i) => `${id} ${table.formula[i] || ""} ${table.outlier[i] || ""}`.toLowerCase());
  const hasSpread = table.force_spread.some(isNumber), hasEnergySpread = table.energy_spread.some(isNumber);
  const hasOutlier = table.outlier.some(Boolean);
  const statusOf = (m, i) => table.statuses[table.quantities.status[m][i]];

  const spread = (v) => (isNumber(v) && v < DATA.rounding ? `< ${num(DATA.rounding, 1)}` : num(v));

  const columns = () => [
    { key: "order", text: "Structure", value: (i) => i, show: idCell, head: true },
    { key: "formula", text: "Formula", value: (i) => table.formula[i], show: (i) => table.formula[i] || NONE },
    { key: "atoms", text: "Atoms", number: true, value: (i) => table.atoms[i], show: (i) => whole(table.atoms[i]) },
    hasSpread && { key: "force_spread", text: "Force spread", unit: "eV/Å", number: true, value: (i) => table.force_spread[i], show: (i) => spread(table.force_spread[i]) },
    hasEnergySpread && { key: "energy_spread", text: "Energy spread", unit: "eV/atom", number: true, value: (i) => table.energy_spread[i], show: (i) => spread(table.energy_spread[i]) },
    hasOutlier && { key: "outlier", text: "Outlier", value: (i) => table.outlier[i], show: (i) => table.outlier[i] || NONE },
    ...NAMES.map((name, m) => ({
      key: `model-${m}`, text: name, unit: QUANTITIES[state.quantity][1], number: true, model: true,
      value: (i) => (state.quantity === "status" ? statusOf(m, i) : table.quantities[state.quantity][m][i]),
      show: (i) => modelCell(m, i),
    })),
  ].filter(Boolean);

  function idCell(i) {
    const drawn = DATA.look_at.structures.findIndex((one) => one.id === table.id[i] && one.elements);
    return [h("span", { class: "id" }, table.id[i]), drawn >= 0 && [" ", h("button", { class: "small", onclick: () => showStructure(drawn), "aria-label": `Show ${table.id[i]} in 3-D` }, "3-D")]];
  }

  function modelCell(m, i) {
    const status = statusOf(m, i);
    if (state.quantity === "status" || status !== "ok") return h("span", { class: status === "ok" ? "good" : "bad" }, status.replaceAll("_", " "));
    const value = table.quantities[state.quantity][m][i];
    return value === null ? NONE : QUANTITIES[state.quantity][2](value);
  }

  function rows() {
    const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
    const kept = [];
    for (let i = 0; i < n; i++) {
      if (!words.every((word) => text[i].includes(word))) continue;
      if (state.status === "not ok" && NAMES.every((_, m) => statusOf(m, i) === "ok")) continue;
      if (!["any", "not ok"].includes(state.status) && !NAMES.some((_, m) => statusOf(m, i) === state.status)) continue;
      kept.push(i);
    }
    const column = columns().find((one) => one.key === state.sort) || columns()[0];
    const sign = state.down ? -1 : 1;
    return kept.sort((i, j) => {
      const a = column.value(i), b = column.value(j), none = (a === null) - (b === null);
      if (none || a === null) return none || i - j;
      return sign * (typeof a === "string" ? collator.compare(a, b) : a - b) || i - j;
    });
  }

  const head = h("tr", {}), body = h("tbody", {}), where = h("span", { role: "status" }), note = h("p", { class: "note" });
  const caption = h("caption", {}, "Structures");
  const back = h("button", { onclick: () => go(state.page - 1) }, "Previous"), on = h("button", { onclick: () => go(state.page + 1) }, "Next");
  const go = (page) => { state.page = page; draw(); };
  const change = (what) => { Object.assign(state, { page: 0 }, what); draw(); };

  function sortBy(key, number) {
    // numbers begin with the largest: that is what one looks for
    if (state.sort === key) change({ down: !state.down });
    else change({ sort: key, down: number });
    head.querySelector(`[data-key="${key}"]`).focus();
  }

  function draw() {
    const shown = rows(), all = columns();
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const begin = state.page * PAGE, end = Math.min(shown.length, begin + PAGE);
    head.replaceChildren(...all.map((column) => {
      const sorted = state.sort === column.key;
      return h("th", { scope: "col", class: [column.number && "number", column.model && "model"].filter(Boolean).join(" "), "aria-sort": sorted ? (state.down ? "descending" : "ascending") : "none" },
        h("button", { class: "sort", "data-key": column.key, onclick: () => sortBy(column.key, !!column.number && state.quantity !== "status") }, h("span", {}, column.text), h("span", { class: "arrow", "aria-hidden": "true" }, sorted ? (state.down ? "↓" : "↑") : "")),
        column.unit && h("span", { class: "unit" }, column.unit));
    }));
    body.replaceChildren(...shown.slice(begin, end).map((i) => h("tr", {}, all.map((column) =>
      h(column.head ? "th" : "td", { scope: column.head ? "row" : null, class: column.number ? "number" : null }, column.show(i))))));
    if (!shown.length) body.append(h("tr", {}, h("td", { colspan: all.length, class: "empty" }, "No structure matches.")));
    where.textContent = shown.length ? `${whole(begin + 1)}–${whole(end)} of ${plural(shown.length, "structure")}` : "no structures";
    back.disabled = state.page === 0;
    on.disabled = state.page >= pages - 1;
    caption.textContent = `${QUANTITIES[state.quantity][0]} of each structure and model`;
    note.textContent = QUANTITY_NOTES[state.quantity] || QUANTITIES[state.quantity][3] || "";
    note.hidden = !note.textContent;
  }

  const quantities = Object.keys(QUANTITIES).filter((key) => key !== "aligned" || table.quantities.aligned);
  const search = h("input", { type: "search", placeholder: "file, formula, model …", "aria-label": "Filter structures", oninput: (event) => change({ words: event.target.value }) });
  const statuses = [["any", "any"], ["not ok", "not ok for some model"], ...table.statuses.map((name) => [name, name.replaceAll("_", " ")])];
  draw();
  return section("structures", "Structures",
    n < table.total && `${whole(n)} of ${whole(table.total)} structures: the most disputed ones, and others evenly spaced in the input. comparison.csv has all.`,
    h("div", { class: "controls" },
      segments("Show", quantities.map((key) => [key, QUANTITIES[key][0]]), state.quantity, (quantity) => change({ quantity, page: state.page })),
      h("div", { class: "choice" }, h("span", { "aria-hidden": "true" }, "Filter"), search),
      choice("Status", statuses, "any", (status) => change({ status }))),
    note,
    scrolling("Table of structures", h("table", { class: "structures" }, caption, h("thead", {}, head), body)),
    h("div", { class: "pager" }, back, where, on));
}
