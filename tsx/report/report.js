const read = (id) => JSON.parse(document.getElementById(id).textContent);
const options = {ast: true, actions: false, renderer: "svg", tooltip: {theme: "custom"}};
const draw = (id, spec) => vegaEmbed(document.getElementById(id), spec, options).catch(() => {
  document.getElementById(id).textContent = "This chart cannot be drawn here; the tables hold its figures.";
});
for (const [id, spec] of Object.entries(read("charts"))) draw(id, spec);

const more = read("more");
const picker = document.getElementById("series");
if (picker) {
  picker.addEventListener("input", () => {
    const spec = more.series[picker.value];
    if (spec) draw("picked", spec);
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
