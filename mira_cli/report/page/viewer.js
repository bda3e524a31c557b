// The structures to look at, in 3-D, with an arrow on each atom for a difference of forces.

const LONGEST = 2.5; // Å, the largest arrow
const MOST_ARROWS = 400;
const OTHERS = "others", NOTHING = "nothing";
let showStructure = () => {};

function looking() {
  const { by, structures } = DATA.look_at;
  if (!structures.length) return null;
  const hasReference = structures.some((one) => one.reference);
  const state = { k: 0, a: 0, b: NAMES.length > 1 ? OTHERS : NOTHING };
  let viewer = null, failed = null;
  const stage = h("div", { class: "stage" }), caption = h("p", { class: "note", role: "status" }), beside = h("div", {}), picks = h("div", { class: "picks" });
  const list = h("ol", { class: "list" });
  // the wheel belongs to the page, unless a key says otherwise
  stage.addEventListener("wheel", (event) => { if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); }, { capture: true });

  function choose(k) {
    const one = structures[k];
    const outlier = one.outlier ? PLACE.get(one.outlier) : -1;
    const first = (one.forces || []).findIndex((forces) => forces);
    state.k = k;
    if (outlier >= 0) state.a = outlier;
    else if (one.forces && !one.forces[state.a]) state.a = Math.max(0, first);
    draw();
  }

  function vectors(one) {
    const forces = one.forces[state.a];
    if (!forces) return null;
    if (state.b === NOTHING) return forces;
    if (state.b === REFERENCE) return one.reference && forces.map((v, i) => v - one.reference[i]);
    const others = state.b === OTHERS ? one.forces.filter((given, m) => given && m !== state.a) : [one.forces[state.b]].filter(Boolean);
    if (!others.length) return null;
    return forces.map((v, i) => v - others.reduce((sum, given) => sum + given[i], 0) / others.length);
  }

  function draw() {
    const one = structures[state.k];
    list.replaceChildren(...structures.map((each, k) => h("li", {}, h("button", { "aria-current": k === state.k ? "true" : null, onclick: () => choose(k) },
      h("span", { class: "id" }, each.id), h("span", { class: "about" }, `${each.formula || ""}, ${plural(each.atoms, "atom")}`),
      h("span", { class: "value" }, by === "spread" ? num(each.force_spread) : num(Math.max(...each.fmax.filter(isNumber))), h("span", { class: "unit" }, "eV/Å"))))));
    const against = [...(NAMES.length > 1 ? [[OTHERS, "mean of the others"]] : []), ...NAMES.map((name, i) => [i, name]), ...(hasReference ? [[REFERENCE, "reference (of the input)"]] : []), [NOTHING, "nothing: the forces themselves"]];
    picks.replaceChildren(choice("Forces of", NAMES.map((name, i) => [i, name]), state.a, (v) => { state.a = Number(v); draw(); }),
      choice("minus", against, state.b, (v) => { state.b = /^\d+$/.test(v) ? Number(v) : v; draw(); }));
    if (!one.elements) {
      caption.textContent = `${one.id} has ${plural(one.atoms, "atom")}, too many to draw here.`;
      beside.replaceChildren();
      if (viewer) { viewer.clear(); viewer.render(); }
      return;
    }
    const arrows = vectors(one), n = one.elements.length;
    const size = arrows && Array.from({ length: n }, (_, i) => Math.hypot(arrows[3 * i], arrows[3 * i + 1], arrows[3 * i + 2]));
    const order = size && size.map((_, i) => i).sort((i, j) => size[j] - size[i]);
    const what = state.b === NOTHING ? "force" : "force difference";
    caption.textContent = (failed ? `${failed} ` : "") + (arrows ? `Arrows: ${what}; the longest is ${num(size[order[0]])} eV/Å, on ${one.elements[order[0]]} (atom ${order[0]}, counted from 0).` : "These two do not both have forces for this structure.");
    beside.replaceChildren(...(arrows ? [plainTable(`Atoms with the largest ${what}`, [
      { text: "Atom", show: (i) => `${one.elements[i]} ${i}` },
      { text: what[0].toUpperCase() + what.slice(1), unit: "eV/Å", number: true, show: (i) => num(size[i]) },
      { text: `Force of ${NAMES[state.a]}`, unit: "eV/Å", number: true, show: (i) => num(Math.hypot(...one.forces[state.a].slice(3 * i, 3 * i + 3))) },
    ], order.slice(0, 6))] : []));
    render(one, arrows, size, order);
  }

  function render(one, arrows, size, order) {
    if (!viewer) return;
    const style = getComputedStyle(document.documentElement), n = one.elements.length;
    const at = (i) => ({ x: one.positions[3 * i], y: one.positions[3 * i + 1], z: one.positions[3 * i + 2] });
    viewer.clear();
    viewer.addModel(`${n}\n\n${one.elements.map((element, i) => `${element} ${at(i).x} ${at(i).y} ${at(i).z}`).join("\n")}\n`, "xyz");
    viewer.setStyle({}, { sphere: { scale: 0.27, colorscheme: "Jmol" }, stick: { radius: 0.09, colorscheme: "Jmol" } });
    if (one.cell) drawCell(viewer, one.cell, style.getPropertyValue("--muted").trim());
    const color = style.getPropertyValue("--arrow").trim();
    for (const i of arrows && size[order[0]] > 0 ? order.slice(0, MOST_ARROWS) : []) {
      const zoom = LONGEST / size[order[0]];
      if (size[i] * zoom < 0.06) break;
      const start = at(i), end = { x: start.x + arrows[3 * i] * zoom, y: start.y + arrows[3 * i + 1] * zoom, z: start.z + arrows[3 * i + 2] * zoom };
      viewer.addArrow({ start, end, radius: 0.08, radiusRatio: 2.4, mid: Math.max(0.5, 1 - 0.5 / (size[i] * zoom)), color });
    }
    viewer.setView([0, 0, 0, 0, 0, 0, 0, 1]);
    viewer.rotate(-74, "x"); // z, the normal of surfaces, is up
    viewer.rotate(18, "z");
    viewer.zoomTo({ model: -1 });
    viewer.render();
    stage.setAttribute("aria-label", `${one.id}, ${one.formula}, drawn in 3-D`);
  }

  function begin() {
    if (viewer || failed) return;
    try {
      viewer = window.$3Dmol.createViewer(stage, { backgroundAlpha: 0, antialias: true, disableFog: true });
      if (!viewer) throw new Error("no WebGL");
    } catch {
      failed = "This browser cannot draw in 3-D (no WebGL).";
      stage.classList.add("empty");
    }
    draw();
  }

  // a canvas that was never on the screen, or is 3-D, would be blank on paper
  const paper = h("img", { class: "paper" });
  addEventListener("beforeprint", () => {
    if (window.$3Dmol) begin();
    if (!viewer || !structures[state.k].elements) return paper.remove();
    paper.src = viewer.pngURI();
    paper.alt = stage.getAttribute("aria-label");
    stage.after(paper);
  });
  const turn = (axis, angle) => () => viewer && (viewer.rotate(angle, axis), viewer.render());
  const closer = (factor) => () => viewer && (viewer.zoom(factor), viewer.render());
  fill(stage, { role: "img", "aria-label": "The structure in 3-D" }, []);
  showStructure = (k) => { if (window.$3Dmol) begin(); choose(k); document.getElementById("look").scrollIntoView({ behavior: calm() ? "auto" : "smooth" }); };
  document.addEventListener("themechange", () => viewer && draw());
  const lead = by === "spread" ? "The structures on which the models' forces spread most: candidates for a reference calculation. The number is the largest spread of an atom." : "The structures with the largest forces.";
  const found = section("look", by === "spread" ? "Most disputed structures" : "Structures with the largest forces", lead,
    h("div", { class: "look" }, list, h("div", { class: "view" }, picks, h("div", { class: "frame" }, stage,
      h("div", { class: "turn", role: "group", "aria-label": "Turn the structure" },
        h("button", { onclick: turn("y", -20), "aria-label": "Turn left" }, "←"), h("button", { onclick: turn("y", 20), "aria-label": "Turn right" }, "→"),
        h("button", { onclick: turn("x", -20), "aria-label": "Turn up" }, "↑"), h("button", { onclick: turn("x", 20), "aria-label": "Turn down" }, "↓"),
        h("button", { onclick: closer(1.25), "aria-label": "Closer" }, "+"), h("button", { onclick: closer(0.8), "aria-label": "Further" }, "−"))), caption, beside)));
  if (!window.$3Dmol) stage.parentElement.hidden = true;
  choose(0);
  if (window.$3Dmol) new IntersectionObserver((entries, observer) => { if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); begin(); } }, { rootMargin: "300px" }).observe(found);
  return found;
}

function drawCell(viewer, cell, color) {
  const corner = (a, b, c) => ({ x: a * cell[0] + b * cell[3] + c * cell[6], y: a * cell[1] + b * cell[4] + c * cell[7], z: a * cell[2] + b * cell[5] + c * cell[8] });
  for (const [p, q] of [[0, 0], [0, 1], [1, 0], [1, 1]])
    for (const [start, end] of [[corner(0, p, q), corner(1, p, q)], [corner(p, 0, q), corner(p, 1, q)], [corner(p, q, 0), corner(p, q, 1)]])
      viewer.addLine({ start, end, color });
}
