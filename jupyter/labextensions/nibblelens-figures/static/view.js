// Draws tables, texts and progress bars of application/vnd.nibblelens.view+json, in JupyterLab and in exported pages.
// All that comes from the notebook is set as text, never as markup.
(() => {
  const NibbleLens = (window.NibbleLens ??= {});

  function element(tag, className, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children.filter((child) => child !== undefined && child !== null && child !== ''));
    return made;
  }

  const typographic = (number) => number.replace(/-(?=[\d.I])/g, '\u2212');

  function table({ title, columns, rows, more }) {
    const cell = (tag, i, text) =>
      element(tag, columns[i].number ? 'nl-number' : '', columns[i].number ? typographic(text) : text);
    const head = element(
      'tr',
      '',
      ...columns.map(({ name }, i) => element('th', columns[i].number ? 'nl-number' : '', name)),
    );
    const body = rows.map((row) => element('tr', '', ...row.map((text, i) => cell('td', i, text))));
    const drawn = element('table', '', element('thead', '', head), element('tbody', '', ...body));
    const rest =
      more > 0 && element('div', 'nl-note', `${more.toLocaleString('en')} more ${more === 1 ? 'row' : 'rows'}`);
    return element(
      'div',
      'nl-table',
      title && element('div', 'nl-title', title),
      element('div', 'nl-scroll', drawn),
      rest || '',
    );
  }

  function text({ prompt, text, growing, note }) {
    const body = element('div', 'nl-body');
    if (prompt) body.append(element('span', 'nl-prompt', prompt));
    body.append(text);
    if (growing) body.append(element('span', 'nl-caret'));
    return element('div', 'nl-text', body, note && element('div', 'nl-note', note));
  }

  function progress({ label, done, total, note }) {
    const share = total > 0 ? Math.min(1, done / total) : 0;
    const fill = element('div', 'nl-fill');
    fill.style.width = `${100 * share}%`;
    const track = element('div', 'nl-track', fill);
    track.setAttribute('role', 'progressbar');
    track.setAttribute('aria-valuemax', total);
    track.setAttribute('aria-valuenow', done);
    const count = element('span', 'nl-count', `${done.toLocaleString('en')} / ${total.toLocaleString('en')}`);
    const drawn = element(
      'div',
      'nl-progress',
      element('span', 'nl-label', label),
      track,
      count,
      note && element('span', 'nl-note', note),
    );
    if (share === 1) drawn.classList.add('nl-complete');
    return drawn;
  }

  const kinds = { table, text, progress };

  NibbleLens.drawView = (node, view) => {
    node.classList.add('nl-view');
    const draw = Object.hasOwn(kinds, view.kind) ? kinds[view.kind] : () => `a view of an unknown kind: ${view.kind}`;
    node.replaceChildren(draw(view));
  };
})();
