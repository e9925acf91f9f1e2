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
for (const [id, spec] of Object.entries(read("charts"))) draw(document.getElementById(id), spec);

for (const field of document.querySelectorAll("[data-figure]")) {
  field.addEventListener("input", () => {
    const specs = more.picks[field.dataset.figure][field.value];
    if (!specs) return;
    const place = document.getElementById(`picked-${field.dataset.figure}`);
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
    for (const other of views) other.setAttribute("aria-pressed", String(other === view));
  });
}
