"use strict";
(function () {
  const MARGIN = 10, LETTER = 6.7;
  const picture = document.currentScript.closest("svg");
  const width = picture.viewBox.baseVal.width - 2 * MARGIN;
  const total = Number(picture.dataset.total);
  const part = (name) => picture.querySelector("#" + name);
  const notes = part("details").textContent;
  const boxes = Array.from(picture.querySelectorAll("#boxes g"), (group) => {
    const title = group.querySelector("title").textContent;
    return {
      group, title,
      label: title.slice(0, title.lastIndexOf(" (")),
      start: Number(group.dataset.s),
      value: Number(group.dataset.v),
      rect: group.querySelector("rect"),
      text: group.querySelector("text"),
      y: Number(group.querySelector("rect").getAttribute("y")),
    };
  });

  function draw(box, x, size) {
    box.rect.setAttribute("x", x.toFixed(2));
    box.rect.setAttribute("width", Math.max(0, size).toFixed(2));
    box.text.setAttribute("x", (x + 3).toFixed(2));
    const letters = Math.floor((size - 6) / LETTER);
    box.text.textContent = letters < 3 ? ""
      : box.label.length <= letters ? box.label : box.label.slice(0, letters - 1) + "…";
  }

  function zoom(to) {
    const scale = width / Math.max(1, to.value), end = to.start + to.value;
    for (const box of boxes) {
      const holds = box.start <= to.start && box.start + box.value >= end && box.y >= to.y;
      const within = box.start >= to.start && box.start + box.value <= end && box.y <= to.y;
      box.group.classList.toggle("away", !holds && !within);
      box.group.classList.toggle("behind", holds && box !== to);
      if (within && !(holds && box !== to)) {
        draw(box, MARGIN + (box.start - to.start) * scale, box.value * scale);
      } else if (holds) {
        draw(box, MARGIN, width);
      }
    }
    part("reset").style.visibility = to === boxes[0] ? "hidden" : "visible";
  }

  function search(word) {
    const wanted = word.toLowerCase();
    let covered = 0, end = -1;
    const found = boxes.filter((box) => {
      const is = wanted !== "" && box.label.toLowerCase().includes(wanted);
      box.group.classList.toggle("found", is);
      return is;
    });
    // A box in another one that was found counts once.
    for (const box of found.sort((a, b) => a.start - b.start || b.value - a.value)) {
      if (box.start >= end) {
        covered += box.value;
        end = box.start + box.value;
      }
    }
    part("found").textContent = wanted === "" ? ""
      : "found: " + (100 * covered / Math.max(1, total)).toFixed(2) + "%";
    part("search").textContent = wanted === "" ? "Search" : "Reset search";
  }

  function ask() {
    if (part("found").textContent !== "") {
      search("");
      return;
    }
    const word = window.prompt("Functions whose names have:", "");
    if (word !== null) {
      search(word.trim());
    }
  }

  for (const box of boxes) {
    box.group.addEventListener("click", () => zoom(box));
    box.group.addEventListener("mouseover", () => { part("details").textContent = box.title; });
    box.group.addEventListener("mouseout", () => { part("details").textContent = notes; });
  }
  part("reset").addEventListener("click", () => zoom(boxes[0]));
  part("search").addEventListener("click", ask);
  window.addEventListener("load", () => window.scrollTo(0, document.documentElement.scrollHeight));
  window.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "f") {
      event.preventDefault();
      ask();
    } else if (event.key === "Escape") {
      zoom(boxes[0]);
      search("");
    }
  });
})();
