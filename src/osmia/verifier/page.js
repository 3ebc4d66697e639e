"use strict";
(function () {
  const programs = JSON.parse(document.getElementById("data").textContent);
  const panel = document.getElementById("panel");
  const AROUND = 40, INSTRUCTION = /^\d+: \([0-9a-f]{2}\) /;
  const kept = new Map();

  function element(name, text, data) {
    const made = document.createElement(name);
    made.textContent = text;
    Object.assign(made.dataset, data || {});
    return made;
  }

  // A piece of the log as visits: lines, the first of which is the instruction; `before` has the
  // source line and where the verifier came from. null: the piece was left out.
  async function piece(program, log, number) {
    const id = "log" + program + "-" + log + "-" + number;
    if (kept.has(id)) {
      return kept.get(id);
    }
    const script = document.getElementById(id);
    if (!script) {
      return null;
    }
    const packed = Uint8Array.from(atob(script.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const visits = [];
    let before = [];
    for (const line of (await new Response(stream).text()).split("\n")) {
      if (INSTRUCTION.test(line)) {
        visits.push(Object.assign([line], { before }));
        before = [];
      } else if (/^(?:; |from \d)/.test(line)) {
        before.push(line);
      } else if (visits.length && line !== "") {
        visits[visits.length - 1].push(line);
      }
    }
    if (kept.size > 8) {
      kept.delete(kept.keys().next().value);
    }
    kept.set(id, visits);
    return visits;
  }

  async function visit(program, log, number) {
    const size = programs[program].visits;
    const visits = await piece(program, log, Math.floor(number / size));
    return visits === null ? null : visits[number % size] || null;
  }

  // The instructions of a source line.
  function showSlots(program, slots) {
    panel.replaceChildren(element("h3", "Instructions"));
    const table = element("table", "");
    for (const slot of slots) {
      const [text, visits, pruned] = programs[program].slots[slot] || ["?", 0, 0];
      const row = element("tr", "", { slot, program });
      row.append(element("td", String(slot)), element("td", visits.toLocaleString("en")));
      row.append(element("td", text + (pruned ? "   (seen before: " + pruned + ")" : "")));
      table.append(row);
    }
    panel.append(table);
    if (slots.length) {
      showSlot(program, slots[0]);
    }
  }

  // What was known at an instruction's first and last visits.
  async function showSlot(program, slot) {
    const known = programs[program].slots[slot];
    if (!known) {
      return;
    }
    for (const old of panel.querySelectorAll(".visits")) {
      old.remove();
    }
    for (const row of panel.querySelectorAll("[data-slot]")) {
      row.classList.toggle("chosen", row.dataset.slot === String(slot));
    }
    const box = element("div", "");
    box.className = "visits";
    box.append(element("h3", slot + ": " + known[0]));
    panel.append(box);
    for (const number of known[3]) {
      const lines = await visit(program, 0, number);
      const text = lines === null ? "(not in this page)" : states(lines);
      box.append(element("pre", "visit " + (number + 1).toLocaleString("en") + ": " + text,
        { visit: number, log: 0, program }));
    }
  }

  function states(lines) {
    const found = [];
    const comment = lines[0].indexOf(" ; ");
    if (comment >= 0) {
      found.push(lines[0].slice(comment + 3));
    }
    for (const line of lines.slice(1)) {
      if (/^(?:\d+: ?| )(?:frame\d+: ?)?(?:R\d|fp-)/.test(line)) {
        found.push(line);
      }
    }
    return found.join("\n  ") || "(nothing changed)";
  }

  // The log around a visit.
  async function showLog(program, log, number) {
    const all = programs[program].counts[log];
    panel.replaceChildren(element("h3", "Visit " + (number + 1).toLocaleString("en") + " of "
      + all.toLocaleString("en")));
    const steps = element("p", "");
    for (const [name, to] of [["first", 0], ["back", number - 1], ["on", number + 1],
      ["last", all - 1]]) {
      if (to >= 0 && to < all) {
        const button = element("button", name, { visit: to, log, program });
        steps.append(button, " ");
      }
    }
    panel.append(steps);
    const text = element("pre", "");
    for (let each = Math.max(0, number - AROUND); each <= Math.min(all - 1, number + AROUND); each++) {
      const lines = await visit(program, log, each);
      if (lines === null) {
        continue;
      }
      const shown = element("span", lines.before.concat(lines).join("\n") + "\n", { visit: each, log, program });
      shown.className = each === number ? "now" : "";
      text.append(shown);
    }
    if (!text.childNodes.length) {
      text.textContent = "(This part of the log is not in the page: it was too long.)";
    }
    panel.append(text);
    const now = text.querySelector(".now");
    if (now) {
      now.scrollIntoView({ block: "center" });
      const lines = await visit(program, log, number);
      chooseLine(program, lines[0].split(":", 1)[0]);
    }
  }

  // Mark the source line of an instruction.
  function chooseLine(program, slot) {
    for (const row of document.querySelectorAll("main [data-slots]")) {
      const is = row.dataset.slots.split(",").includes(slot) && programOf(row) === program;
      row.classList.toggle("chosen", is);
      if (is) {
        row.scrollIntoView({ block: "nearest" });
      }
    }
  }

  function programOf(target) {
    return Number(target.closest("[data-program]").dataset.program);
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-visit], [data-slots], [data-slot]");
    if (!target) {
      return;
    }
    const program = programOf(target), data = target.dataset;
    if (data.visit !== undefined) {
      showLog(program, Number(data.log), Number(data.visit));
    } else if (data.slots !== undefined) {
      for (const old of document.querySelectorAll("main .chosen")) {
        old.classList.remove("chosen");
      }
      target.classList.add("chosen");
      showSlots(program, data.slots.split(","));
    } else {
      showSlot(program, data.slot);
    }
  });
})();
