const read = (id) => JSON.parse(document.getElementById(id).textContent);
const more = read("more");
const options = {ast: true, actions: false, renderer: "svg", tooltip: {theme: "custom"}, config: more.config};
const draw = (place, spec) => {
  place.classList.add("chart");
  return vegaEmbed(place, spec, options).catch(() => {
    place.textContent = "This chart cannot be drawn here; the tables hold its figures.";
  });
};
// A browser that darkens pages by itself darkens even what asks to stay light, but no charts.
const probe = document.createElement("div");
probe.style.cssText = "display: none; color-scheme: light; background-color: canvas";
document.body.append(probe);
document.body.classList.toggle("darkened", getComputedStyle(probe).backgroundColor !== "rgb(255, 255, 255)");
probe.remove();
const drawn = Object.entries(read("charts")).map(([id, spec]) => draw(document.getElementById(id), spec));

// Charts take their width from the page, so that folds are open until all are drawn, and on paper.
const folds = [...document.querySelectorAll("details.inner")];
const unfold = (wanted) => folds.forEach((fold) => { fold.open = wanted(fold); });
let opened = [];
addEventListener("beforeprint", () => { opened = folds.filter((fold) => fold.open); unfold(() => true); });
addEventListener("afterprint", () => unfold((fold) => opened.includes(fold)));
for (const fold of folds) fold.addEventListener("toggle", () => dispatchEvent(new Event("resize")));
Promise.all(drawn).then(() => unfold(() => document.body.dataset.view === "internals"));

for (const field of document.querySelectorAll("[data-figure]")) {
  field.addEventListener("input", () => {
    const picks = more.picks[field.dataset.figure], typed = field.value.toLowerCase(), specs = picks[field.value];
    const place = document.getElementById(`picked-${field.dataset.figure}`);
    if (!specs) {
      // What is half typed leaves the last series in place.
      const possible = Object.keys(picks).some((name) => name.toLowerCase().includes(typed));
      if (!possible) place.textContent = "No series of this name is here.";
      return;
    }
    place.replaceChildren(...specs.map(() => document.createElement("div")));
    specs.forEach((spec, k) => draw(place.children[k], spec));
  });
}
const download = document.getElementById("download");
if (download) {
  download.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([more.csv], {type: "text/csv"}));
    link.download = "forecast.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
const views = document.querySelectorAll("[data-show]");
for (const view of views) {
  view.addEventListener("click", () => {
    document.body.dataset.view = view.dataset.show;
    if (view.dataset.show === "internals") unfold(() => true);
    for (const other of views) other.setAttribute("aria-pressed", String(other === view));
  });
}
// Headings that a link leads to stay below the contents, however many lines these take.
const contents = document.querySelector("nav");
new ResizeObserver(() => {
  const stuck = getComputedStyle(contents).position === "sticky";
  document.documentElement.style.scrollPaddingTop = `${stuck ? contents.offsetHeight : 0}px`;
}).observe(contents);
