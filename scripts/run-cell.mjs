// Makes a notebook on a running Jupyter server and runs one cell of it there, as JupyterLab does:
// node run-cell.mjs URL-WITH-TOKEN NAME CODE. Prints what the cell prints; fails where it does.
import { randomUUID } from 'node:crypto';

const KERNEL = 'nibblelens';

const [address, name, code] = process.argv.slice(2);
const { origin, searchParams } = new URL(address);
const token = searchParams.get('token');

async function request(method, path, body) {
  const response = await fetch(`${origin}/api/${path}`, {
    method,
    headers: { Authorization: `token ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

function message(type, content, session) {
  const header = { msg_id: randomUUID(), msg_type: type, session, username: 'user', date: new Date().toISOString(), version: '5.3' };
  return { header, parent_header: {}, metadata: {}, content, channel: 'shell', buffers: [] };
}

/** Runs the code in a kernel and resolves to what it printed. */
function execute(kernel, session) {
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/api/kernels/${kernel}/channels?session_id=${session}&token=${token}`);
  const request = message('execute_request', { code, silent: false, store_history: true, allow_stdin: false, stop_on_error: true }, session);
  let printed = '';
  return new Promise((resolve, reject) => {
    socket.onopen = () => socket.send(JSON.stringify(request));
    socket.onerror = () => reject(new Error('the connection to the kernel failed'));
    socket.onmessage = ({ data }) => {
      const { header, parent_header: parent, content } = JSON.parse(data);
      if (parent.msg_id !== request.header.msg_id) return;
      if (header.msg_type === 'stream') printed += content.text;
      if (header.msg_type === 'error') reject(new Error([content.ename, content.evalue, ...content.traceback].join('\n')));
      if (header.msg_type === 'status' && content.execution_state === 'idle') resolve(printed);
    };
  }).finally(() => socket.close());
}

const cell = { cell_type: 'code', id: 'cell-0', metadata: {}, source: code, execution_count: null, outputs: [] };
const metadata = { kernelspec: { name: KERNEL, display_name: KERNEL, language: 'typescript' } };
await request('PUT', `contents/${name}`, {
  type: 'notebook',
  content: { cells: [cell], metadata, nbformat: 4, nbformat_minor: 5 },
});
const { id, kernel } = await request('POST', 'sessions', { path: name, name, type: 'notebook', kernel: { name: KERNEL } });
try {
  process.stdout.write(await execute(kernel.id, id));
} finally {
  await fetch(`${origin}/api/sessions/${id}`, { method: 'DELETE', headers: { Authorization: `token ${token}` } });
}
