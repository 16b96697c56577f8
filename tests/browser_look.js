// What a reader would see of a page: see browser.Browser.look.
(() => {
  const page = document.documentElement;
  const channels = text => (text.match(/[\d.]+/g) || []).map(Number);
  const luminance = rgb => {
    const [r, g, b] = rgb.slice(0, 3).map(c => c / 255)
      .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const background = element => {
    for (let above = element; above; above = above.parentElement) {
      const rgb = channels(getComputedStyle(above).backgroundColor);
      if (rgb.length === 3 || rgb[3] > 0.99) return rgb;
    }
    return [255, 255, 255];
  };
  const hasText = element => [...element.childNodes].some(
    node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  const scrolls = element => element.closest(".scroll, pre") !== null;
  const shown = [...document.body.querySelectorAll("*")].filter(
    element => element.getClientRects().length && !element.closest("script, style, .modebar, .nnlab-graph, .hoverlayer"));
  const pale = [], wide = [], small = [];
  for (const element of shown) {
    const style = getComputedStyle(element);
    const inPlot = element.closest("svg") !== null;
    if (hasText(element) && style.visibility !== "hidden" && !element.closest(".heatmaplayer, .hm")) {
      const ratio = contrast(channels(inPlot ? style.fill : style.color), background(element));
      if (ratio < 4.5) pale.push(`${ratio.toFixed(2)}: ${element.textContent.trim().slice(0, 60)}`);
      if (parseFloat(style.fontSize) < 9.5) small.push(`${style.fontSize}: ${element.textContent.slice(0, 60)}`);
    }
    const box = element.getBoundingClientRect();
    if (!scrolls(element) && !inPlot && box.right > innerWidth + 1 && box.width > 0)
      wide.push(`${element.tagName}.${element.className} ends at ${Math.round(box.right)}`);
  }
  const plots = [...document.querySelectorAll(".plot")];
  return {
    window: innerWidth, page: page.scrollWidth, pale: [...new Set(pale)], wide, small: [...new Set(small)],
    figures: plots.length,
    undrawn: plots.filter(plot => !plot.querySelector(".main-svg path, .main-svg image, canvas")).map(plot => plot.id),
    clipped: plots.filter(plot => plot.querySelector(".main-svg")
      && plot.querySelector(".main-svg").getBoundingClientRect().width > plot.getBoundingClientRect().width + 1).map(p => p.id),
    unloaded: [...document.images].filter(image => !image.naturalWidth).map(image => image.alt),
    headings: [...document.querySelectorAll("h2")].map(heading => heading.textContent),
    background: getComputedStyle(document.body).backgroundColor,
  };
})()
