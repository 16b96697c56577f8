// Draws the page's figures in the colours of the screen, and again where it turns dark, light, or is printed.
"use strict";
const { colours, figures } = JSON.parse(document.getElementById("figures").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 640px)");
let printing = false;

// `--series0/0.2` is the colour of that name, seen through; anything else stays.
function colour(name, palette) {
  const [, key, opacity] = /^--([a-z0-9]+)(?:\/([0-9.]+))?$/.exec(name) || [];
  if (!palette[key]) return name;
  if (!opacity) return palette[key];
  const [r, g, b] = [1, 3, 5].map(i => parseInt(palette[key].slice(i, i + 2), 16));
  return `rgba(${r},${g},${b},${opacity})`;
}

// Names of colours stand under keys such as `color`, `fillcolor` and `colorscale` alone; labels stay as they are.
function coloured(value, palette, isColour) {
  if (typeof value === "string") return isColour ? colour(value, palette) : value;
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) {
    const plain = !isColour && typeof value[0] !== "object";
    return plain ? value : value.map(item => coloured(item, palette, isColour));
  }
  return Object.fromEntries(Object.entries(value).map(
    ([key, item]) => [key, coloured(item, palette, /color/.test(key))]));
}

function template(palette) {
  const axis = {
    gridcolor: palette.grid, linecolor: palette.muted, zerolinecolor: palette.line, tickcolor: palette.muted,
    automargin: true, ticks: "outside", ticklen: 4, title: { standoff: 8, font: { size: 12 } }, zeroline: false,
  };
  const bar = { outlinewidth: 0, thickness: 12, tickcolor: palette.muted };
  return { layout: {
    font: { family: "system-ui, sans-serif", size: 12, color: palette.ink },
    paper_bgcolor: palette.page, plot_bgcolor: "rgba(0,0,0,0)", xaxis: axis, yaxis: axis,
    colorway: Object.keys(palette).filter(key => key.startsWith("series")).map(key => palette[key]),
    coloraxis: { colorbar: bar },
    hoverlabel: { bgcolor: palette.panel, bordercolor: palette.line, font: { color: palette.ink }, namelength: -1 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: palette.muted, activecolor: palette.ink },
  }, data: {
    heatmap: [{ colorbar: bar }],
    parcoords: [{ line: { colorbar: bar } }],
  } };
}

const CONFIG = {
  responsive: true, displaylogo: false, displayModeBar: matchMedia("(pointer: coarse)").matches ? false : "hover", plotlyServerURL: "",
  modeBarButtonsToRemove: [
    "lasso2d", "select2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "pan2d", "sendChartToCloud"],
};

// The toolbar lies above the plot, the legend below the plot, and its lines are added to the height.
async function draw(id) {
  const element = document.getElementById(id), figure = figures[id];
  const palette = dark.matches && !printing ? colours.dark : colours.light;
  const height = Number(element.dataset.height);
  const layout = {
    margin: { l: 52, r: 14, t: 30, b: 42 },
    legend: { orientation: "h", x: 0, xanchor: "left", y: -0.18, yanchor: "top", font: { size: 11 } },
    // A finger that moves over a figure scrolls the page.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    ...coloured(figure.layout, palette, false), template: template(palette), autosize: true, height,
  };
  await Plotly.react(element, coloured(figure.data, palette, false), layout, CONFIG);
  const legend = element.querySelector(".legend .bg");
  const lines = legend ? legend.getBBox().height : 0;
  if (lines > 0) await Plotly.relayout(element, {
    height: height + lines, "legend.y": -44 / (height - 72) });
}

async function drawAll() {
  for (const id of Object.keys(figures)) {
    try {
      await draw(id);
    } catch (error) {
      console.error(`${id}: ${error}`);
    }
  }
  document.documentElement.dataset.drawn = String(Number(document.documentElement.dataset.drawn || 0) + 1);
}

dark.addEventListener("change", drawAll);
narrow.addEventListener("change", drawAll);
addEventListener("beforeprint", () => { printing = true; drawAll(); });
addEventListener("afterprint", () => { printing = false; drawAll(); });
drawAll();
