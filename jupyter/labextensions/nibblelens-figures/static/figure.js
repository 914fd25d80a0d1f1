// Draws a Plotly figure, in JupyterLab and in exported pages.
(() => {
  const NibbleLens = (window.NibbleLens ??= {});

  NibbleLens.drawFigure = async (node, { data, layout = {}, config = {}, frames }) => {
    node.classList.add('nl-figure');
    // Room for the picture before it is there, so that the page does not jump.
    if (layout.height) node.style.minHeight = `${layout.height}px`;
    await window.Plotly.react(node, {
      data,
      layout: { autosize: true, ...layout },
      config: { responsive: true, displaylogo: false, ...config },
      frames,
    });
  };

  NibbleLens.resizeFigure = (node) => {
    if (node._fullLayout) window.Plotly.Plots.resize(node);
  };

  NibbleLens.removeFigure = (node) => {
    if (node._fullLayout) window.Plotly.purge(node);
  };
})();
