// JupyterLab's side of the renderers in figure.js and view.js, as the module-federation container that JupyterLab
// loads. It is written by hand, so that there is nothing to build.
(() => {
  const NAME = 'nibblelens-figures';
  const folder = document.currentScript.src.replace(/[^/]*$/, '');
  let shared;

  const append = (tag, attributes) =>
    new Promise((resolve, reject) => {
      const element = Object.assign(document.createElement(tag), attributes);
      element.onload = resolve;
      element.onerror = () => reject(new Error(`${attributes.src ?? attributes.href} does not load`));
      document.head.append(element);
    });

  const once = (make) => {
    let made;
    return () => (made ??= make());
  };
  const loadRenderers = once(() =>
    Promise.all([
      append('link', { rel: 'stylesheet', href: `${folder}style.css` }),
      append('script', { src: `${folder}figure.js` }),
      append('script', { src: `${folder}view.js` }),
    ]),
  );
  const loadPlotly = once(() => append('script', { src: `${folder}plotly.min.js` }));

  async function mimeExtension() {
    const { Widget } = (await Object.values(shared['@lumino/widgets'])[0].get())();

    class Output extends Widget {
      constructor({ mimeType }) {
        super();
        this.mimeType = mimeType;
      }
    }

    class Figure extends Output {
      async renderModel(model) {
        await Promise.all([loadRenderers(), loadPlotly()]);
        await window.NibbleLens.drawFigure(this.node, model.data[this.mimeType]);
      }

      onAfterShow() {
        this.onResize();
      }

      onResize() {
        if (this.isVisible) window.NibbleLens?.resizeFigure(this.node);
      }

      dispose() {
        if (!this.isDisposed) window.NibbleLens?.removeFigure(this.node);
        super.dispose();
      }
    }

    class View extends Output {
      async renderModel(model) {
        await loadRenderers();
        window.NibbleLens.drawView(this.node, model.data[this.mimeType]);
      }
    }

    // `safe` says that drawing runs nothing that came with the notebook, so that notebooks need not be trusted first.
    const factory = (Renderer, mimeType) => ({
      id: `${NAME}:${Renderer.name.toLowerCase()}`,
      rendererFactory: { safe: true, mimeTypes: [mimeType], createRenderer: (options) => new Renderer(options) },
      rank: 0,
      dataType: 'json',
    });
    return {
      __esModule: true,
      default: [
        factory(Figure, 'application/vnd.plotly.v1+json'),
        factory(View, 'application/vnd.nibblelens.view+json'),
      ],
    };
  }

  (window._JUPYTERLAB ??= {})[NAME] = {
    init: (scope) => {
      shared = scope;
    },
    get: async () => {
      const module = await mimeExtension();
      return () => module;
    },
  };
})();
